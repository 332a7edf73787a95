package front

import (
	"bytes"
	"io"
	"math/rand/v2"
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

// TestPumpIsExact: whatever pieces bytes come in, they go on as they came.
func TestPumpIsExact(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	sent := make([]byte, 20<<20)
	for i := range sent {
		sent[i] = byte(random.Uint32())
	}
	client, dst := net.Pipe()
	src, session := net.Pipe()
	go func() {
		for rest := sent; len(rest) > 0; {
			n := min(len(rest), 1+random.IntN(1<<(1+random.IntN(17))))
			session.Write(rest[:n])
			rest = rest[n:]
		}
		session.Close()
	}()
	total := make(chan int64)
	go func() {
		n, err := copyConn(dst, src, time.Minute, nil)
		if err != nil {
			t.Error(err)
		}
		dst.Close()
		total <- n
	}()
	got, err := io.ReadAll(client)
	if n := <-total; err != nil || n != int64(len(sent)) || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes of %d came, %d counted; %v", len(got), len(sent), n, err)
	}
}
