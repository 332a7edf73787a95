package pop3d

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"smail/maildir"
)

// A cutter cuts a file short when the client's second line is read.
type cutter struct {
	lines [][]byte
	path  string
	said  bytes.Buffer
}

func (c *cutter) Read(p []byte) (int, error) {
	if len(c.lines) == 1 {
		if err := os.Truncate(c.path, 0); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.lines[0])
	c.lines = c.lines[1:]
	return n, nil
}

func (c *cutter) Write(p []byte) (int, error) { return c.said.Write(p) }

// TestIndexCutShort: a file that is cut short under a session costs it the connection,
// and the next one nothing.
func TestIndexCutShort(t *testing.T) {
	for file, command := range map[string]string{"smail.index": "UIDL\r\n", "smail.index.names": "RETR 480\r\n"} {
		messages := make([]string, 500)
		for i := range messages {
			messages[i] = fmt.Sprintf("Subject: %d\n\nx\n", i+1)
		}
		dir := inbox(t, messages...)
		store, err := maildir.Open(dir, maildir.Never)
		if err != nil {
			t.Fatal(err)
		}
		c := &cutter{lines: [][]byte{[]byte("NOOP\r\n"), []byte(command)}, path: filepath.Join(dir, file)}
		_, err = Serve(c, Options{Store: store})
		store.Close()
		if err != maildir.ErrCutShort {
			t.Errorf("%s: ended with %v after %q", file, err, c.said.String())
		}
		if said, _ := talk(t, dir, Options{}, "RETR 480", "QUIT"); !strings.Contains(said, "\r\nSubject: 480\r\n") {
			t.Errorf("%s: the next session says %q", file, said)
		}
	}
}
