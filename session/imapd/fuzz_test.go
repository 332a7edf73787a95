package imapd

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"smail/maildir"
)

// A script is a client that says what it has to say, and leaves.
type script struct {
	*bytes.Reader
	written int
}

func (s *script) Write(p []byte) (int, error) { s.written += len(p); return len(p), nil }
func (s *script) Interrupt()                  {}
func (s *script) Calm()                       {}
func (s *script) Ending() string              { return "" }

// FuzzSession feeds a whole session whatever bytes there are: it ends with
// them, in bounded time and memory.
func FuzzSession(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txt")
	for _, file := range files { // the client's side of the dialogues
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var said []byte
		for line := range bytes.Lines(text) {
			if rest, ok := bytes.CutPrefix(line, []byte("C: ")); ok {
				said = append(said, unescape(string(bytes.TrimRight(rest, "\n")))+"\r\n"...)
			}
		}
		f.Add(said)
	}
	f.Add([]byte("a SELECT INBOX\r\nb COMPRESS DEFLATE\r\n\x4a\x04\x00\x00\x00\xff\xff"))
	f.Fuzz(func(t *testing.T, said []byte) {
		root := filepath.Join(t.TempDir(), "Maildir")
		store, err := maildir.Open(root, maildir.Never)
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		deliver(t, root, 1, "one")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		done := make(chan struct{})
		go func() {
			defer close(done)
			Serve(&script{Reader: bytes.NewReader(said)}, Options{Store: store, Hostname: "host", MaxMessageSize: 10000, Interrupted: errInterrupted})
		}()
		select {
		case <-done:
		case <-time.After(8 * time.Second): // the fuzzing engine waits for ten, and says nothing
			t.Fatal("the session does not end")
		}
		runtime.ReadMemStats(&after)
		if grown := int64(after.Sys) - int64(before.Sys); grown > 64<<20 {
			t.Errorf("memory grew by %d MiB", grown>>20)
		}
	})
}
