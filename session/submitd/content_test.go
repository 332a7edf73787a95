package submitd

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"smail/config"
)

// A client is what a session reads and writes.
type client struct {
	io.Reader
	said strings.Builder
}

func (c *client) Write(p []byte) (int, error) { return c.said.Write(p) }

// TestContent: after DATA every text over the bytes that matter is taken to its
// end, by CRLF alone, and nothing behind it.
func TestContent(t *testing.T) {
	const behind = "\r\n.\r\nNOOP\r\n"
	level := []string{""}
	for range 6 {
		var next []string
		for _, shape := range level {
			for name, r := range map[string]io.Reader{
				"one": iotest.OneByteReader(strings.NewReader(shape + behind)), "half": iotest.HalfReader(strings.NewReader(shape + behind)),
				"all": strings.NewReader(shape + behind),
			} {
				c := newConn(&server{}, &client{Reader: r})
				d := c.content(0)
				got, err := io.ReadAll(d)
				d.finish()
				rest, _ := io.ReadAll(c.in)
				want, wantRest := cutContent(shape + behind)
				if err != nil || string(got) != want || string(rest) != wantRest || c.feed != ".\r\n" {
					t.Fatalf("%q by %s: %q, then %q, %v; want %q, then %q", shape, name, got, rest, err, want, wantRest)
				}
			}
			for _, c := range "\r\n.\x00a" {
				next = append(next, shape+string(c))
			}
		}
		level = next
	}
}

// cutContent is RFC 5321 section 4.5.2, byte for byte.
func cutContent(text string) (content, behind string) {
	var b strings.Builder
	for i := 0; ; i++ {
		begin := i == 0 || strings.HasSuffix(text[:i], "\r\n")
		if begin && strings.HasPrefix(text[i:], ".\r\n") {
			return b.String(), text[i+3:]
		}
		if !(begin && text[i] == '.') {
			b.WriteByte(text[i])
		}
	}
}

// TestContentEnds: what cannot be read to its end ends the connection.
func TestContentEnds(t *testing.T) {
	for what, text := range map[string]string{
		"no end": "a\r\nb", "a long line": strings.Repeat("a", maxLineBytes+1) + "\r\n.\r\n",
	} {
		c := newConn(&server{}, &client{Reader: strings.NewReader(text)})
		c.feed = ""
		d := c.content(0)
		_, err := io.Copy(io.Discard, d)
		d.finish()
		if err == nil || c.failed() == nil || c.feed != "" {
			t.Errorf("%s: %v, %v", what, err, c.failed())
		}
	}
	c := newConn(&server{}, &client{Reader: strings.NewReader("12345\r\n.\r\nNOOP\r\n")})
	c.feed = ""
	d := c.content(6)
	_, err := io.ReadAll(d)
	if d.finish(); err == nil || c.failed() != nil || c.feed == "" {
		t.Errorf("too large: %v, %v", err, c.failed())
	}
}

// TestPipelined: commands and messages that come all at once are told apart,
// however they come.
func TestPipelined(t *testing.T) {
	const head = "MAIL FROM:<me@host.example>\r\nRCPT TO:<you@host.example>\r\n"
	const text = "EHLO me\r\n" +
		head + "DATA\r\nSubject: 1\r\n\r\n..one\r\nDATA\r\nMAIL FROM:<x@host.example>\r\n.\r\n" +
		"DATA\r\n" + // refused: no sender
		head + "BDAT 17\r\nSubject: 2\r\n\r\nDATBDAT 3 LAST\r\nA\r\n" +
		head + "data\r\nSubject: 3\r\n\r\nbad\n.\r\nDATA\r\n.\r\n" + // a bare LF
		head + "DATA\r\nSubject: 4\r\n\r\n.\r\n" +
		"QUIT\r\n"
	for name, r := range map[string]io.Reader{
		"one": iotest.OneByteReader(strings.NewReader(text)), "half": iotest.HalfReader(strings.NewReader(text)), "all": strings.NewReader(text),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c := &client{Reader: r}
			cfg := &config.Config{Hostname: "host.example", MaxMessageSize: 1000, MaxRecipients: 10, SenderCheck: "off"}
			cfg.Relay = config.Relay{Kind: "maildir", To: dir}
			if _, err := Serve(c, Options{Config: cfg, User: "me"}); err != nil {
				t.Fatal(err)
			}
			files, _ := filepath.Glob(filepath.Join(dir, "new", "*"))
			var all []string
			for _, f := range files {
				b, _ := os.ReadFile(f)
				_, body, _ := strings.Cut(string(b), "\n\n")
				all = append(all, body)
			}
			if len(all) != 3 {
				t.Errorf("messages: %q, said %s", all, c.said.String())
			}
			for _, want := range []string{".one\nDATA\nMAIL FROM:<x@host.example>\n", "DATA\n", ""} {
				found := false
				for _, body := range all {
					found = found || body == want
				}
				if !found {
					t.Errorf("%q is not among %q; said %s", want, all, c.said.String())
				}
			}
			for _, code := range []string{"502 ", "550 5.6.0", "221 "} {
				if strings.Count(c.said.String(), code) != 1 {
					t.Errorf("not one %s: %s", code, c.said.String())
				}
			}
		})
	}
}

// TestNothingMore: behind a BDAT whose chunk cannot be told from commands, and
// behind QUIT, nothing is answered.
func TestNothingMore(t *testing.T) {
	for _, last := range []string{"BDAT", "BDAT x", "BDAT -1", "BDAT 6 FIRST", "BDAT 6 LAST LAST", "BDAT 99999999999 LAST", "QUIT"} {
		c := &client{Reader: strings.NewReader(last + "\r\nVRFY x\r\nNOOP\r\n")}
		Serve(c, Options{Config: testConfig(t), User: "me"})
		if got := c.said.String(); strings.Count(got, "\r\n") != 2 { // a greeting, and the reply
			t.Errorf("%s: %q", last, got)
		}
	}
}
