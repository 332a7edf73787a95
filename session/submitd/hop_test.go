package submitd

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"smail/config"
)

// A peer is a next hop on a socket: its lines of EHLO, and its reply to each
// command that begins with a key.
type peer struct {
	t       *testing.T
	offers  []string
	replies map[string]string // "drop" ends the connection, at once or behind "and"
	refuse  func(rcpt string) string
	lmtp    bool

	mu    sync.Mutex
	lines []string // all commands of all connections; content as one
	conns int
}

// listen serves connections until the test ends, and returns the address.
func (p *peer) listen(network, address string) string {
	l, err := net.Listen(network, address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.conns++
			p.mu.Unlock()
			go p.serve(c)
		}
	}()
	return l.Addr().String()
}

func (p *peer) note(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, line)
}

// answer sets what is said to commands that begin with the keys.
func (p *peer) answer(replies map[string]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.replies = replies
}

func (p *peer) instead(line, reply string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, value := range p.replies {
		if strings.HasPrefix(line, key) {
			reply = value
		}
	}
	return reply
}

func (p *peer) heard() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.lines...)
}

func (p *peer) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	fmt.Fprint(c, "220 next\r\n")
	var rcpts []string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		p.note(line)
		reply := "250 2.0.0 fine"
		switch verb, _, _ := strings.Cut(line, " "); verb {
		case "EHLO", "LHLO":
			reply = "250-next\r\n"
			for _, o := range p.offers {
				reply += "250-" + o + "\r\n"
			}
			reply += "250 END"
		case "XCLIENT":
			reply = "220 next"
		case "AUTH":
			reply = "235 2.7.0 in"
		case "MAIL":
			rcpts = nil
		case "RCPT":
			rcpts = append(rcpts, line)
		case "DATA":
			reply = "354 go on"
		}
		reply = p.instead(line, reply)
		if reply == "drop" {
			return
		}
		reply, last := strings.CutSuffix(reply, " and drop")
		fmt.Fprint(c, reply+"\r\n")
		if line == "QUIT" || last {
			return
		}
		if strings.HasPrefix(reply, "354") && !p.content(c, r, rcpts) {
			return
		}
	}
}

// content takes a message and answers, by LMTP for each recipient.
func (p *peer) content(c net.Conn, r *bufio.Reader, rcpts []string) bool {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			p.note("broken off")
			return false
		}
		if line == ".\r\n" {
			break
		}
		b.WriteString(line)
	}
	p.note("content " + b.String())
	if !p.lmtp {
		rcpts = []string{""}
	}
	for _, rcpt := range rcpts {
		reply := "250 2.0.0 Ok: queued as 4711"
		if p.refuse != nil {
			reply = p.refuse(rcpt)
		}
		if reply == "drop" {
			return false
		}
		fmt.Fprint(c, reply+"\r\n")
	}
	return true
}

func (p *peer) relay(kind string) config.Relay {
	if kind == "lmtp" {
		p.lmtp = true
		return config.Relay{Kind: kind, To: p.listen("unix", filepath.Join(p.t.TempDir(), "lmtp"))}
	}
	return config.Relay{Kind: kind, To: p.listen("tcp", "127.0.0.1:0")}
}

const letter = "DATA\r\nFrom: me@host.example\r\nDate: x\r\nMessage-ID: <x@x>\r\n\r\n..dot\r\nend\r\n.\r\n"

// TestHopKept: two messages over one connection, and dots as they were.
func TestHopKept(t *testing.T) {
	p := &peer{t: t, offers: []string{"PIPELINING", "SIZE 1000000", "8BITMIME", "DSN", "SMTPUTF8"}}
	cfg := testConfig(t)
	cfg.Relay = p.relay("smtp")
	const first = "EHLO x\r\nMAIL FROM:<me@host.example> RET=HDRS ENVID=a+2Bb SIZE=500\r\nRCPT TO:<you@there.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;you+2Bx@there.example\r\n"
	got := say(t, Options{Config: cfg}, first+letter+envelopeLines[len("EHLO me.example\r\n"):]+letter+"QUIT\r\n")
	if strings.Count(got, "250 2.0.0 Ok: queued as 4711\r\n") != 2 {
		t.Errorf("said %s", got)
	}
	deadline := time.Now().Add(5 * time.Second)
	for p.heard()[len(p.heard())-1] != "QUIT" && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	h := p.heard()
	if p.conns != 1 || len(h) != 10 || h[1] != "MAIL FROM:<me@host.example> BODY=8BITMIME SIZE=500 RET=HDRS ENVID=a+2Bb" ||
		h[2] != "RCPT TO:<you@there.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;you+2Bx@there.example" || !strings.HasSuffix(h[4], "\r\n\r\n..dot\r\nend\r\n") {
		t.Errorf("%d connections, heard %q", p.conns, h)
	}
}

// TestHopGone: a connection that was kept and has ended is made anew, once.
func TestHopGone(t *testing.T) {
	p := &peer{t: t}
	p.refuse = func(string) string { return "250 2.0.0 fine" }
	cfg := testConfig(t)
	cfg.Relay = p.relay("smtp")
	s := &server{Options: Options{Config: cfg, User: "me"}}
	s.hop = &hop{server: s}
	e := &envelope{from: "me@host.example", to: []recipient{{address: "you@there.example"}}}
	for i := range 3 {
		c, err := s.hop.begin(e)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "x\n")
		if _, err := c.commit(); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			s.hop.conn.Close()
		}
	}
	if p.conns != 2 {
		t.Errorf("%d connections", p.conns)
	}
}

// TestHopRefuses: its words are passed on, 4xx as well as 5xx, and what is no
// reply is not. A message whose last word was not heard is not told as sent.
func TestHopRefuses(t *testing.T) {
	for _, c := range []struct{ key, reply, want string }{
		{"MAIL", "550-5.7.1 no\r\n550 5.7.1 mail", "550 5.7.1 no mail"}, {"RCPT", "450 4.2.1 full", "450 4.2.1 full"},
		{"RCPT", "550 no code", "550 5.0.0 no code"}, {"RCPT", "421 4.3.2 down", "451 4.3.2 down"}, {"DATA", "554 5.5.1 none", "554 5.5.1 none"},
		{"DATA", "250 what", "451 4.3.0 Not handed over"}, {"MAIL", "drop", "451 4.3.0 Not handed over"}, {"EHLO", "999 x", "451 4.3.0"},
		{"EHLO", "550 \x07evil\x80", "550 5.0.0  evil"}, {"MAIL", "55", "451 4.3.0"}, {"MAIL", strings.Repeat("x", 5000), "451 4.3.0"},
		{"end", "452 4.3.1 full disk", "452 4.3.1 full disk"}, {"end", "drop", "451 4.3.0 Not handed over"}, {"end", "554 5.6.0 bad", "554 5.6.0 bad"},
	} {
		for _, offers := range [][]string{nil, {"PIPELINING"}} {
			p := &peer{t: t, offers: offers, replies: map[string]string{c.key: c.reply}}
			p.refuse = func(string) string { return c.reply }
			if c.key != "end" {
				p.refuse = nil
			}
			cfg := testConfig(t)
			cfg.Relay = p.relay("smtp")
			got := say(t, Options{Config: cfg}, envelopeLines+letter+"NOOP\r\nQUIT\r\n")
			lines := strings.Split(got, "\r\n")
			if len(lines) < 5 || !strings.HasPrefix(lines[len(lines)-4], c.want) {
				t.Errorf("%s %q: said %q, want %q", c.key, c.reply, got, c.want)
			}
		}
	}
}

// TestHopBrokenOff: a message that is found bad, or whose client is lost, does
// not reach the next hop's end of data.
func TestHopBrokenOff(t *testing.T) {
	big := strings.Repeat("a line of the message\r\n", 20000)
	for name, rest := range map[string]string{"a bare LF": big + "bad\n\r\n.\r\nQUIT\r\n", "client gone": big} {
		p := &peer{t: t, offers: []string{"PIPELINING"}}
		cfg := testConfig(t)
		cfg.Relay = p.relay("smtp")
		got := say(t, Options{Config: cfg}, envelopeLines+"DATA\r\nFrom: me@host.example\r\n\r\n"+rest)
		if strings.Contains(got, "250 2.0.0 Ok") {
			t.Errorf("%s: said %s", name, got)
		}
		deadline := time.Now().Add(5 * time.Second)
		for h := p.heard(); h[len(h)-1] != "broken off"; h = p.heard() {
			if time.Now().After(deadline) {
				t.Fatalf("%s: heard %.300q", name, h)
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// TestXCLIENT tells whose mail it is, but not from where if that is hidden.
func TestXCLIENT(t *testing.T) {
	for peerAddr, want := range map[string]string{"192.0.2.7": "XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.7 LOGIN=me HELO=me+2Bx",
		"2001:db8::1": "XCLIENT NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::1 LOGIN=me HELO=me+2Bx", "": "MAIL FROM:<me@host.example>"} {
		p := &peer{t: t, offers: []string{"XCLIENT NAME ADDR LOGIN HELO DESTADDR"}}
		cfg := testConfig(t)
		cfg.Relay = p.relay("smtp")
		say(t, Options{Config: cfg, Peer: peerAddr, Greeted: "me+x"}, envelopeLines+letter+"QUIT\r\n")
		if h := p.heard(); h[1] != want {
			t.Errorf("heard %q", h)
		}
		p.answer(map[string]string{"XCLIENT": "550 5.7.1 not for you"})
		if got := say(t, Options{Config: cfg, Peer: peerAddr}, envelopeLines+letter+"QUIT\r\n"); !strings.Contains(got, "250 2.0.0 Ok") {
			t.Errorf("XCLIENT refused: said %s", got)
		}
		p.answer(nil)
		cfg.HideClientAddress = true
		before := len(p.heard())
		say(t, Options{Config: cfg, Peer: peerAddr, Greeted: "me+x"}, envelopeLines+letter+"QUIT\r\n")
		if h := p.heard()[before:]; peerAddr != "" && !strings.Contains(strings.Join(h, "\n"), "\nXCLIENT LOGIN=me\n") {
			t.Errorf("hidden: heard %q", h)
		}
	}
}

// TestRelayAuth sends the password where nobody can be between, and a refusal
// of it is not the client's.
func TestRelayAuth(t *testing.T) {
	p := &peer{t: t, offers: []string{"AUTH PLAIN"}}
	cfg := testConfig(t)
	cfg.Relay = p.relay("smtp")
	o := Options{Config: cfg, RelayAuth: &Credentials{"relay", "secret"}}
	if got := say(t, o, envelopeLines+letter+"QUIT\r\n"); !strings.Contains(got, "250 2.0.0 Ok") {
		t.Errorf("said %s", got)
	}
	if h := p.heard(); h[1] != "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00relay\x00secret")) {
		t.Errorf("heard %q", h)
	}
	p.answer(map[string]string{"AUTH": "535 5.7.8 who are you"})
	if got := say(t, o, envelopeLines+letter+"QUIT\r\n"); !strings.Contains(got, "451 4.3.0 Not handed over") {
		t.Errorf("said %s", got)
	}
	h := &hop{server: &server{Options: o}}
	if err := h.auth(); err != errNoTLS {
		t.Errorf("without TLS: %v", err)
	}
}

// TestLMTPInPart: who has a message keeps it, and of who has not the user is
// told; if nobody has it the client is.
func TestLMTPInPart(t *testing.T) {
	p := &peer{t: t, offers: []string{"PIPELINING"}}
	p.refuse = func(rcpt string) string {
		if strings.Contains(rcpt, "bad") {
			return "552 5.2.2 mailbox full"
		}
		return "250 2.0.0 fine"
	}
	cfg := testConfig(t)
	cfg.Relay = p.relay("lmtp")
	const two = "EHLO x\r\nMAIL FROM:<me@host.example>\r\nRCPT TO:<good@there.example>\r\nRCPT TO:<bad@there.example>\r\n"
	if got := say(t, Options{Config: cfg}, two+letter+"QUIT\r\n"); !strings.Contains(got, "250 2.0.0 Handed over") {
		t.Errorf("said %s", got)
	}
	told := mailsIn(t, cfg.Maildir)
	if len(told) != 1 || !strings.Contains(told[0], "\nFinal-Recipient: rfc822; bad@there.example\nAction: failed\nStatus: 5.2.2\nDiagnostic-Code: smtp; 552 5.2.2 mailbox full\n") {
		t.Errorf("told %q", told)
	}
	bad := strings.Replace(two, "RCPT TO:<good@there.example>\r\n", "", 1)
	if got := say(t, Options{Config: cfg}, bad+letter+"QUIT\r\n"); !strings.Contains(got, "552 5.2.2 mailbox full") {
		t.Errorf("said %s", got)
	}
	if n := len(mailsIn(t, cfg.Maildir)); n != 1 {
		t.Errorf("%d notices", n)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add("250-a\r\n250 b\r\n")
	f.Add("220\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := readAnswer(bufio.NewReaderSize(strings.NewReader(text), maxReplyLine))
		if err == nil && (a.code < 200 || a.code > 599 || len(a.lines) == 0 || len(a.lines) > maxReplyLines) {
			t.Errorf("%q read as %+v", text, a)
		}
		if err == nil && strings.ContainsAny(a.text(), "\r\n\x00") {
			t.Errorf("not one line: %q", a.text())
		}
	})
}

// TestHopOldAndVerbose: one that knows no EHLO is spoken to by HELO, a verdict of any
// length is one, and a refusal among several says whose it is, with its code once.
func TestHopOldAndVerbose(t *testing.T) {
	p := &peer{t: t}
	cfg := testConfig(t)
	cfg.Relay = p.relay("smtp")
	p.answer(map[string]string{"EHLO": "502 5.5.1 What?"})
	if got := say(t, Options{Config: cfg}, envelopeLines+letter+"QUIT\r\n"); !strings.Contains(got, "250 2.0.0 Ok: queued") || !slices.Contains(p.heard(), "HELO host.example") {
		t.Errorf("said %q, heard %q", got, p.heard())
	}
	p.refuse = func(string) string { return "250-2.0.0 Ok\r\n250 2.0.0 " + strings.Repeat("and so on ", 2000) }
	if got := say(t, Options{Config: cfg}, envelopeLines+letter+"QUIT\r\n"); !strings.Contains(got, "250 2.0.0 Ok and so on") {
		t.Errorf("a long word: %q", got)
	}
	p.refuse = nil
	const refusal = "550-5.1.1 There is\r\n550-5.1.1 nobody of\r\n550 5.1.1 that name"
	for _, offers := range [][]string{nil, {"PIPELINING"}} {
		p.offers = offers
		p.answer(map[string]string{"RCPT TO:<they@": refusal})
		got := say(t, Options{Config: cfg}, envelopeLines+"RCPT TO:<they@there.example>\r\n"+letter+"QUIT\r\n")
		if !strings.Contains(got, "550 5.1.1 <they@there.example>: There is nobody of that name\r\n") {
			t.Errorf("one of two: %q", got)
		}
	}
	p.answer(map[string]string{"RCPT TO:<you@": refusal})
	if got := say(t, Options{Config: cfg}, envelopeLines+letter+"QUIT\r\n"); !strings.Contains(got, "550 5.1.1 There is nobody of that name\r\n") {
		t.Errorf("the only one: %q", got)
	}
}
