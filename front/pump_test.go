package front

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
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

// TestNoDeadlineIsLeft: what is written for another reason later, such as an answer to
// TLS's KeyUpdate (RFC 8446 section 4.6.3), has its own time.
func TestNoDeadlineIsLeft(t *testing.T) {
	src, session := unixPair(t)
	dst, client := unixPair(t)
	defer client.Close()
	defer session.Close()
	go copyConn(dst, src, 500*time.Millisecond, nil)
	b := make([]byte, 4)
	for _, word := range []string{"said", "more"} {
		session.Write([]byte(word))
		if _, err := io.ReadFull(client, b); err != nil || string(b) != word {
			t.Fatalf("%q, %v", b, err)
		}
		time.Sleep(700 * time.Millisecond)
		if _, err := dst.Write([]byte("keys")); err != nil {
			t.Fatal(err)
		}
		io.ReadFull(client, b)
	}
}

// TestPumpIsExact: whatever pieces bytes come in, they go on as they came.
func TestPumpIsExact(t *testing.T) {
	sent := make([]byte, 20<<20)
	rand.NewChaCha8([32]byte{1}).Read(sent)
	t.Run("a socket", func(t *testing.T) {
		src, session := unixPair(t)
		pumpThrough(t, src, session, sent)
	})
	t.Run("what cannot say what is ready", func(t *testing.T) {
		src, session := net.Pipe()
		pumpThrough(t, src, session, sent)
	})
}

func unixPair(t *testing.T) (a, b net.Conn) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []*net.Conn{&a, &b} {
		f := os.NewFile(uintptr(fds[i]), "pair")
		if *c, err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	return a, b
}

func pumpThrough(t *testing.T, src, session net.Conn, sent []byte) {
	random := rand.New(rand.NewPCG(1, 2))
	client, dst := net.Pipe()
	go func() {
		for rest := sent; len(rest) > 0; {
			n := min(len(rest), 1+random.IntN(1<<(1+random.IntN(17))))
			if len(rest)%7 == 0 {
				n = min(len(rest), smallBuffer) // a buffer that is just full, and then nothing
			}
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
