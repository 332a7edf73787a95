package session

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestHangUp: a session that is to end waits neither for a command's end nor for an
// answer to be taken.
func TestHangUp(t *testing.T) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, client := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "client")
	defer ours.Close()
	defer client.Close()
	c := &Conn{in: ours, out: ours, timeout: time.Hour, ending: "Over"}
	time.AfterFunc(50*time.Millisecond, func() { c.hangUp(time.Second) })
	client.Write([]byte("a"))
	for n := 1; n > 0; {
		n, err = c.Read(make([]byte, 10))
	}
	if err == nil || !strings.HasPrefix(err.Error(), "Over, ") {
		t.Errorf("read: %v", err)
	}
	if _, err := c.Write([]byte("last words")); err != nil {
		t.Errorf("last words: %v", err)
	}
	start := time.Now()
	if _, err := c.Write(make([]byte, 8<<20)); err == nil || time.Since(start) > 10*time.Second {
		t.Errorf("write: %v", err)
	}
	client.Write([]byte("b"))
	if n, err := c.Read(make([]byte, 10)); n > 0 || err == nil {
		t.Errorf("read again: %d, %v", n, err)
	}
}
