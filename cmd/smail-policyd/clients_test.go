package main

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// TestSilentClientsGo: the one that has been silent for longest makes room.
func TestSilentClientsGo(t *testing.T) {
	c := &clients{since: map[net.Conn]time.Time{}}
	var ends []net.Conn
	for i := range maxClients {
		end, conn := net.Pipe()
		ends = append(ends, end)
		c.add(conn)
		c.since[conn] = time.Now().Add(time.Duration(i-maxClients) * time.Second)
		if i == 0 { // it speaks
			go end.Write([]byte("x"))
			heard{conn, c}.Read(make([]byte, 1))
		}
	}
	_, conn := net.Pipe()
	c.add(conn)
	if n := c.count(); n != maxClients {
		t.Errorf("%d clients", n)
	}
	for i, end := range ends[:3] {
		end.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		_, err := end.Read(make([]byte, 1))
		if timeout, _ := err.(net.Error); (timeout == nil) != (i == 1) {
			t.Errorf("connection %d: %v", i, err)
		}
	}
}

// A trying listener's first accepts fail, as where there are no descriptors.
type trying struct {
	net.Listener
	errs []error
}

func (l *trying) Accept() (net.Conn, error) {
	if len(l.errs) == 0 {
		return l.Listener.Accept()
	}
	err := l.errs[0]
	l.errs = l.errs[1:]
	return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", err)}
}

// TestOutOfDescriptors: it waits for some, and goes on.
func TestOutOfDescriptors(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, ended := set(t, ""), make(chan error, 1)
	go func() {
		ended <- s.listen(&trying{inner, []error{syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED}}, 0)
	}()
	c, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(c, "request=smtpd_access_policy\n\n")
	if n, err := c.Read(make([]byte, 100)); n == 0 {
		t.Error(err)
	}
	c.Close()
	inner.Close()
	if err := <-ended; err == nil {
		t.Error("no end with the listener's")
	}
}
