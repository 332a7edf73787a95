package pop3d

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"smail/maildir"
)

// A client says its lines, which a reader gives, and keeps what it is told.
type client struct {
	io.Reader
	said strings.Builder
}

func (c *client) Write(p []byte) (int, error) { return c.said.Write(p) }

// inbox makes a Maildir with messages, in the order of their keys.
func inbox(t *testing.T, messages ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "Maildir")
	for _, d := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for i, m := range messages {
		name := filepath.Join(dir, "cur", fmt.Sprintf("1700000%03d.M1P1.host:2,S", i))
		if err := os.WriteFile(name, []byte(m), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// talk runs a session over a Maildir and returns what it said, and its end.
func talk(t *testing.T, dir string, o Options, lines ...string) (string, error) {
	t.Helper()
	store, err := maildir.Open(dir, maildir.Never)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	o.Store = store
	c := &client{Reader: strings.NewReader(strings.Join(lines, "\r\n") + "\r\n")}
	_, err = Serve(c, o)
	return c.said.String(), err
}

// TestDialogue: each command, what it accepts and what it refuses.
func TestDialogue(t *testing.T) {
	dir := inbox(t, "Subject: a\n\n.dot\nlast", "Subject: b\r\n\r\n..\r\n")
	got, err := talk(t, dir, Options{},
		"STAT", "LIST", "LIST 2", "LIST 3", "LIST x", "UIDL 0", "RETR 1", "RETR 2", "RETR", "TOP 1 1", "TOP 1", "TOP 1 -1", "TOP 9 1",
		"DELE 1", "DELE 1", "RETR 1", "STAT", "LIST", "RSET", "STAT", "NOOP", "UTF8", "LANG", "LANG en-GB", "LANG *", "LANG fr", "LANG a b",
		"CAPA", "PASS x", "", "QUIT")
	want := strings.Join([]string{"+OK 2 messages", "+OK 2 42", "+OK ", "1 24", "2 18", ".", "+OK 2 18", "-ERR No such message", "-ERR No such message", "-ERR No such message",
		"+OK Message follows", "Subject: a", "", "..dot", "last", ".", "+OK Message follows", "Subject: b", "", "...", ".", "-ERR No such message",
		"+OK Top of message follows", "Subject: a", "", "..dot", ".", "-ERR No such message", "-ERR Not a number of lines", "-ERR No such message",
		"+OK Deleted at QUIT", "-ERR No such message", "-ERR No such message", "+OK 1 18", "+OK ", "2 18", ".", "+OK Nothing is deleted", "+OK 2 42", "+OK ",
		"-ERR Only before login", "+OK", "en English", "i-default English", ".", "+OK en English", "+OK en English", "-ERR Not a language spoken here", "-ERR One language",
		"+OK", "TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "EXPIRE NEVER", "UTF8", "LANG", "IMPLEMENTATION smail", ".",
		"-ERR Unknown command", "-ERR Unknown command", "+OK Goodbye", ""}, "\r\n")
	if got != want || err != nil {
		t.Errorf("%v, said\n%q, want\n%q", err, got, want)
	}
}

// TestDeletions happen at QUIT, and only there.
func TestDeletions(t *testing.T) {
	dir := inbox(t, "Subject: a\n\n", "Subject: b\n\n", "Subject: c\n\n")
	left := func() int {
		files, _ := filepath.Glob(filepath.Join(dir, "cur", "*"))
		return len(files)
	}
	if _, err := talk(t, dir, Options{}, "DELE 1", "DELE 2"); err == nil || left() != 3 {
		t.Errorf("hung up: %v, %d left", err, left())
	}
	stop := errors.New("stop")
	o := Options{Interrupted: stop, Ending: func() string { return "Over" }}
	store, _ := maildir.Open(dir, maildir.Never)
	c := &client{Reader: io.MultiReader(strings.NewReader("DELE 1\r\n"), failing{stop})}
	o.Store = store
	_, err := Serve(c, o)
	store.Close()
	if err == nil || left() != 3 || !strings.HasSuffix(c.said.String(), "-ERR [SYS/TEMP] Over\r\n") {
		t.Errorf("told to end: %v, %d left, said %q", err, left(), c.said.String())
	}
	if got, err := talk(t, dir, Options{}, "DELE 1", "DELE 3", "QUIT"); err != nil || left() != 1 || !strings.HasSuffix(got, "+OK Goodbye\r\n") {
		t.Errorf("QUIT: %v, %d left, said %q", err, left(), got)
	}
	if got, _ := talk(t, dir, Options{}, "RETR 1", "QUIT"); !strings.Contains(got, "Subject: b") {
		t.Errorf("the wrong message is left: %q", got)
	}
}

// TestSeen: what was sent whole has been seen, once the client says QUIT, unless it
// takes that back.
func TestSeen(t *testing.T) {
	dir := inbox(t, "Subject: a\n\n", "Subject: b\n\n", "Subject: c\n\n", "Subject: d\n\n")
	names, _ := filepath.Glob(filepath.Join(dir, "cur", "*"))
	for _, name := range names {
		os.Rename(name, strings.TrimSuffix(name, "S"))
	}
	seen := func() int {
		files, _ := filepath.Glob(filepath.Join(dir, "cur", "*:2,S"))
		return len(files)
	}
	talk(t, dir, Options{}, "RETR 1")
	if n := seen(); n != 0 {
		t.Errorf("without QUIT %d are seen", n)
	}
	talk(t, dir, Options{}, "RETR 1", "RSET", "TOP 2 9", "RETR 3", "RETR 4", "DELE 4", "QUIT")
	if files, _ := filepath.Glob(filepath.Join(dir, "cur", "*")); seen() != 1 || len(files) != 3 || !strings.HasSuffix(files[2], ":2,S") {
		t.Errorf("left are %q", files)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestSideBySide: what another session removes is gone when it is asked for,
// and its number stays. What comes meanwhile is not there.
func TestSideBySide(t *testing.T) {
	dir := inbox(t, "Subject: a\n\n", "Subject: b\n\n")
	store, err := maildir.Open(dir, maildir.Never)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	meanwhile := func() string {
		files, _ := filepath.Glob(filepath.Join(dir, "cur", "*000.M1*"))
		os.Remove(files[0])
		os.WriteFile(filepath.Join(dir, "new", "1700000999.M1P1.host"), []byte("Subject: new\n\n"), 0o600)
		return "RETR 1\r\nRETR 2\r\nSTAT\r\nDELE 1\r\nQUIT\r\n"
	}
	c := &client{Reader: io.MultiReader(strings.NewReader("STAT\r\n"), &late{make: meanwhile})}
	if _, err := Serve(c, Options{Store: store}); err != nil {
		t.Error(err)
	}
	want := "+OK 2 messages\r\n+OK 2 28\r\n-ERR Message is gone\r\n+OK Message follows\r\nSubject: b\r\n\r\n.\r\n"
	if got := c.said.String(); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "+OK Goodbye\r\n") {
		t.Errorf("said %q, want %q first", got, want)
	}
}

// late is a reader of a text that is made when it is first asked.
type late struct {
	make func() string
	r    *strings.Reader
}

func (l *late) Read(p []byte) (int, error) {
	if l.r == nil {
		l.r = strings.NewReader(l.make())
	}
	return l.r.Read(p)
}

// TestUIDL: in the form of each server, and what the server before had kept.
func TestUIDL(t *testing.T) {
	const validity = 1700791552 // 65603500
	dir := inbox(t, "Subject: a\n\n", "Subject: b\n\n", "Subject: c\n\n")
	list := fmt.Sprintf("3 V%d N4 Gabc\n1 :1700000000.M1P1.host\n2 PUIDL-of-old :1700000001.M1P1.host\n3 O1 :1700000002.M1P1.host\n", validity)
	if err := os.WriteFile(filepath.Join(dir, "dovecot-uidlist"), []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	for form, want := range map[string]func(uid int) string{
		"dovecot": func(uid int) string { return fmt.Sprintf("%08x%08x", uid, validity) },
		"uw":      func(uid int) string { return fmt.Sprintf("%08x%08x", validity, uid) },
		"courier": func(uid int) string { return fmt.Sprintf("UID%d-%d", uid, validity) },
		"cyrus":   func(uid int) string { return fmt.Sprintf("%d.%d", validity, uid) },
		"qmail":   func(uid int) string { return fmt.Sprintf("1700000%03d.M1P1.host", uid-1) },
	} {
		got, _ := talk(t, dir, Options{UIDL: form}, "UIDL", "UIDL 3", "QUIT")
		text := "+OK \r\n1 " + want(3) + "\r\n2 " + want(1) + "\r\n3 UIDL-of-old\r\n.\r\n+OK 3 UIDL-of-old\r\n"
		if !strings.Contains(got, text) {
			t.Errorf("%s: said %q, want %q", form, got, text)
		}
	}
}

// TestRefuse: what must be mended first is told from what may pass.
func TestRefuse(t *testing.T) {
	for err, want := range map[error]string{
		fmt.Errorf("open: %w", syscall.EACCES): "-ERR [SYS/PERM] ", fmt.Errorf("open: %w", syscall.ENOTDIR): "-ERR [SYS/PERM] ",
		fmt.Errorf("open: %w", syscall.EMFILE): "-ERR [SYS/TEMP] ", syscall.ENOSPC: "-ERR [SYS/TEMP] ",
		fmt.Errorf("open: %w", maildir.ErrLocked): "-ERR [IN-USE] ",
	} {
		var b strings.Builder
		if Refuse(&b, err); !strings.HasPrefix(b.String(), want) {
			t.Errorf("%v: %q", err, b.String())
		}
	}
}
