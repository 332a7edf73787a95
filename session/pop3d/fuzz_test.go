package pop3d

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"smail/maildir"
)

// FuzzSession feeds a whole session whatever bytes there are: it ends with them, and
// only a QUIT removes a message.
func FuzzSession(f *testing.F) {
	f.Add("CAPA\r\nSTAT\r\nLIST\r\nUIDL 1\r\nTOP 1 2\r\nRETR 2\r\nDELE 1\r\nQUIT\r\n")
	f.Add("DELE 1\r\nDELE 2\r\nRSET\r\nLAST\r\nNOOP\r\nUTF8\r\nLANG en\r\nAUTH PLAIN\r\n")
	f.Add("RETR 99999999999999999999\r\nTOP 1 99999999999\r\nDELE -1\r\nLIST 0\r\n\x00\r\n")
	f.Fuzz(func(t *testing.T, said string) {
		dir := filepath.Join(t.TempDir(), "Maildir")
		for _, sub := range []string{"cur", "new", "tmp"} {
			os.MkdirAll(filepath.Join(dir, sub), 0o700)
		}
		for _, name := range []string{"1700000001.M1P1.host:2,", "1700000002.M2P1.host:2,S"} {
			os.WriteFile(filepath.Join(dir, "cur", name), []byte("Subject: a\n\n.b\n"), 0o600)
		}
		store, err := maildir.Open(dir, maildir.Never)
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		done := make(chan struct{})
		go func() {
			defer close(done)
			Serve(&client{Reader: strings.NewReader(said)}, Options{Store: store})
		}()
		select {
		case <-done:
		case <-time.After(8 * time.Second): // the fuzzing engine waits for ten, and says nothing
			t.Fatal("the session does not end")
		}
		left, _ := filepath.Glob(filepath.Join(dir, "cur", "17*"))
		if len(left) < 2 && !strings.Contains(strings.ToUpper(said), "QUIT") {
			t.Errorf("%d messages are left", len(left))
		}
	})
}
