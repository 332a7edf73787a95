package front

import (
	"net"
	"testing"
	"time"
)

// TestWhoTakesNothing of what he asked for, or too little of it, is given up, and
// the session hears of it.
func TestWhoTakesNothing(t *testing.T) {
	for name, takes := range map[string]func(net.Conn){
		"nothing": func(net.Conn) {},
		"a byte now and then": func(c net.Conn) {
			for {
				if _, err := c.Read(make([]byte, 1)); err != nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			client, dst := net.Pipe()
			src, session := net.Pipe()
			defer client.Close()
			defer session.Close()
			go takes(client)
			go session.Write(make([]byte, largeBuffer))
			told := false
			done := make(chan error)
			go func() {
				_, err := copyConn(dst, src, 100*time.Millisecond, func() error { told = true; return nil })
				done <- err
			}()
			select {
			case err := <-done:
				if err == nil || !told {
					t.Errorf("ended with %v, session told %v", err, told)
				}
			case <-time.After(10 * time.Second):
				t.Error("it goes on")
			}
		})
	}
}
