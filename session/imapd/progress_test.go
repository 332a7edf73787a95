package imapd

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"smail/imap"
)

// TestProgress: a client hears of a command that takes long, and one that has
// left ends it.
func TestProgress(t *testing.T) {
	out := &script{Reader: bytes.NewReader(nil)}
	s := &session{conn: out, in: out, tag: "a", Options: Options{Progress: time.Millisecond}}
	var said bytes.Buffer
	s.w = imap.NewEncoder(&said)
	w := s.begin(7)
	w.step()
	time.Sleep(20 * time.Millisecond)
	if err := w.step(); err != nil {
		t.Error(err)
	}
	w.finish()
	if got := said.String(); !strings.HasPrefix(got, "* OK [INPROGRESS (\"a\" 1 7)] Still at work\r\n") {
		t.Errorf("said %q", got)
	}
	s.w = imap.NewEncoder(&brokenWriter{})
	w = s.begin(0)
	time.Sleep(20 * time.Millisecond)
	if w.step() == nil {
		t.Error("goes on for a client that has left")
	}
	w.finish()
}

type brokenWriter struct{}

func (brokenWriter) Write(p []byte) (int, error) { return 0, errInterrupted }
