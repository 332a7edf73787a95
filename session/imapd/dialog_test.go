package imapd

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"smail/maildir"
)

// TestDialogues speaks the files of testdata. The first line of each says what
// is shown. Of the others,
//
//	C: is sent, with CRLF behind it (a last \ leaves that out)
//	S: is what must come back, where * stands for anything
//	U: is what must come back at last: what is before it is passed over
//	D: delivers a message with this subject into INBOX
//	X: runs a shell command in the Maildir, as another program would
//	P: is namespace_prefix, on the second line
//
// {name} stands for one word: what it was when it first came back.
//
// and what begins with # is why.
func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no dialogues")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			speak(t, file, strings.Split(string(text), "\n")[1:])
		})
	}
}

func speak(t *testing.T, file string, lines []string) {
	root := filepath.Join(t.TempDir(), "Maildir")
	prefix, _ := strings.CutPrefix(lines[0], "P: ")
	if prefix == lines[0] {
		prefix = ""
	}
	client, ended := startWith(t, root, prefix)
	r := bufio.NewReader(client)
	delivered := 0
	words := map[string]string{}
	for i, line := range lines {
		kind, rest, _ := strings.Cut(line, ":")
		rest = fill(strings.TrimPrefix(rest, " "), words)
		where := fmt.Sprintf("%s:%d", file, i+2)
		switch kind {
		case "C":
			text, open := strings.CutSuffix(rest, `\`)
			if !open {
				text += "\r\n"
			}
			if _, err := io.WriteString(client, unescape(text)); err != nil {
				t.Fatalf("%s: %v", where, err)
			}
		case "S", "U":
			for {
				got, err := r.ReadString('\n')
				if err != nil {
					t.Fatalf("%s: %v, want %q", where, err, rest)
				}
				if learn(strings.TrimRight(got, "\r\n"), unescape(rest), words) {
					break
				}
				if kind == "S" {
					t.Fatalf("%s: got %q, want %q", where, got, rest)
				}
			}
		case "D":
			delivered++
			deliver(t, root, delivered, rest)
		case "X":
			shell(t, root, rest)
		}
	}
	client.Close()
	<-ended
}

// start runs a session on one end of a pipe.
func start(t *testing.T, root string) (net.Conn, <-chan error) { return startWith(t, root, "") }

func startWith(t *testing.T, root, prefix string) (net.Conn, <-chan error) {
	t.Helper()
	store, err := maildir.Open(root, maildir.Never)
	if err != nil {
		t.Fatal(err)
	}
	client, server := connected(t)
	client.SetDeadline(time.Now().Add(20 * time.Second))
	ended := make(chan error, 1)
	go func() {
		_, err := Serve(&pipe{Conn: server}, Options{Store: store, Prefix: prefix, Hostname: "host", MaxMessageSize: 10000, Interrupted: errInterrupted})
		server.Close()
		ended <- err
	}()
	return client, ended
}

// connected returns two ends of a socket.
func connected(t *testing.T) (a, b net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var conns [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		if conns[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	return conns[0], conns[1]
}

var errInterrupted = errors.New("interrupted")

// A pipe is a Conn that can be interrupted.
type pipe struct {
	net.Conn
	mu          sync.Mutex
	interrupted bool
}

func (p *pipe) Interrupt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.interrupted = true
	p.SetReadDeadline(time.Unix(1, 0))
}

// calmed takes back an Interrupt, and says whether there was one.
func (p *pipe) calmed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.interrupted
	p.interrupted = false
	if was {
		p.SetReadDeadline(time.Time{})
	}
	return was
}

func (p *pipe) Calm() { p.calmed() }

func (p *pipe) Ending() string { return "" }

func (p *pipe) Read(b []byte) (int, error) {
	if p.calmed() {
		return 0, errInterrupted
	}
	n, err := p.Conn.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) && p.calmed() {
		return n, errInterrupted
	}
	return n, err
}

var word = regexp.MustCompile(`\{[a-z]+\}`)

// fill puts in the words that are known.
func fill(line string, words map[string]string) string {
	return word.ReplaceAllStringFunc(line, func(name string) string { return cmp.Or(words[name], name) })
}

// learn compares with a pattern, and takes from it the words that are new.
func learn(got, pattern string, words map[string]string) bool {
	names := word.FindAllString(pattern, -1)
	if len(names) == 0 {
		return like(got, pattern)
	}
	expr := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`)
	expr = strings.Replace(expr, `.* `, `\* `, 1)
	for _, name := range names {
		expr = strings.Replace(expr, regexp.QuoteMeta(name), `([^ ()\[\]]+)`, 1)
	}
	found := regexp.MustCompile("^" + expr + "$").FindStringSubmatch(got)
	for i, name := range names {
		if found != nil {
			words[name] = found[i+1]
		}
	}
	return found != nil
}

// like compares with a pattern in which * stands for anything; a leading "* "
// is IMAP's own.
func like(got, pattern string) bool {
	prefix := ""
	if strings.HasPrefix(pattern, "* ") {
		prefix, pattern = "* ", pattern[2:]
	}
	rest, ok := strings.CutPrefix(got, prefix)
	parts := strings.Split(pattern, "*")
	if !ok || !strings.HasPrefix(rest, parts[0]) {
		return false
	}
	rest = rest[len(parts[0]):]
	for i, p := range parts[1:] {
		k := strings.Index(rest, p)
		if i == len(parts)-2 {
			k = strings.LastIndex(rest, p)
			return k >= 0 && (p == "" || k+len(p) == len(rest))
		}
		if k < 0 {
			return false
		}
		rest = rest[k+len(p):]
	}
	return rest == ""
}

var unescape = strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\0`, "\x00", `\\`, `\`).Replace

func deliver(t *testing.T, root string, n int, subject string) {
	t.Helper()
	name := fmt.Sprintf("%d.M%dP1.test", 1000000000+n, n)
	text := fmt.Sprintf("From: Sender <sender@example.net>\nTo: to@example.net\nSubject: %s\nDate: Mon, 1 Jun 2026 10:00:0%d +0000\nMessage-ID: <%d@test>\n\nText of %s.\n", subject, n, n, subject)
	tmp := filepath.Join(root, "tmp", name)
	if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 6, n, 12, 0, 0, 0, time.UTC)
	os.Chtimes(tmp, at, at)
	if err := os.Rename(tmp, filepath.Join(root, "new", name)); err != nil {
		t.Fatal(err)
	}
}

func shell(t *testing.T, dir, command string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
}

// A brokenConn is a client that cannot be reached, or not be heard, for a
// reason that no network has.
type brokenConn struct {
	io.Reader
	read, write error
}

func (c *brokenConn) Read(p []byte) (int, error) {
	if c.read != nil {
		return 0, c.read
	}
	return c.Reader.Read(p)
}

func (c *brokenConn) Write(p []byte) (int, error) { return len(p), c.write }
func (c *brokenConn) Interrupt()                  {}
func (c *brokenConn) Calm()                       {}
func (c *brokenConn) Ending() string              { return "" }

// TestLostClient: whatever is wrong with the connection, the session ends.
func TestLostClient(t *testing.T) {
	for _, c := range []*brokenConn{{Reader: strings.NewReader("a NOOP\r\n"), write: syscall.ENOSPC}, {read: syscall.EIO}, {read: syscall.ENOSPC}} {
		store, err := maildir.Open(filepath.Join(t.TempDir(), "Maildir"), maildir.Never)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := Serve(c, Options{Store: store, Interrupted: errors.New("interrupted")})
			done <- err
		}()
		select {
		case err := <-done:
			if err == nil {
				t.Errorf("%v: ended as if nothing were wrong", c)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%v: goes on", c)
		}
	}
}
