package front

import (
	"bytes"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"smail/login"
)

// A stranger says what it has to say, and leaves.
type stranger struct {
	net.Conn
	says *bytes.Reader
}

func (s *stranger) Read(p []byte) (int, error)  { return s.says.Read(p) }
func (s *stranger) Write(p []byte) (int, error) { return len(p), nil }
func (s *stranger) Close() error                { return nil }

// FuzzDialogue feeds every protocol whatever bytes there are before a login, in
// clear text and not: it ends with them, asks the monitor no more often than it
// may, and lets in only whom the monitor lets in.
func FuzzDialogue(f *testing.F) {
	for _, say := range []string{
		"a CAPABILITY\r\nb LOGIN alice {6+}\r\nsecret\r\n", "a AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==\r\n", "a ID (\"name\" NIL)\r\na STARTTLS\r\n",
		"CAPA\r\nUSER alice\r\nPASS secret\r\n", "AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\nSTLS\r\n",
		"EHLO x\r\nAUTH LOGIN\r\nYWxpY2U=\r\nc2VjcmV0\r\n", "EHLO x\r\nMAIL FROM:<alice@example.org> SIZE=5\r\nDATA\r\n.\r\n",
	} {
		f.Add([]byte(say), uint8(0))
		f.Add([]byte(say), uint8(7))
	}
	f.Fuzz(func(t *testing.T, say []byte, kind uint8) {
		setup := &login.Setup{Service: []string{"imap", "pop3", "submission", "imaps", "pop3s", "submissions"}[kind%6], Hostname: "host"}
		asked := 0
		d := &front{setup: setup, conn: &stranger{says: bytes.NewReader(say)}, ask: func(r *login.Request) (login.Status, error) {
			if asked++; asked > 2*login.MaxTries {
				t.Errorf("asked %d times", asked)
			}
			if r.Kind == login.KindPassword && (len(r.Name) > login.MaxName || len(r.Password) > login.MaxPassword || len(r.Name) == 0) {
				t.Errorf("asked about a name of %d and a password of %d bytes", len(r.Name), len(r.Password))
			}
			return login.OK + 1, nil
		}}
		if kind >= 6 {
			d.tls = &tls.Conn{}
		}
		done := make(chan *login.Hello, 1)
		go func() {
			hello, _ := d.dialogue().run()
			done <- hello
		}()
		select {
		case hello := <-done:
			if hello != nil {
				t.Errorf("let in: %+v", hello)
			}
		case <-time.After(8 * time.Second): // the fuzzing engine waits for ten, and says nothing
			t.Fatal("the dialogue does not end")
		}
	})
}
