package test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestCVENextHop: what others passed on to the next server, or took from it.
func TestCVENextHop(t *testing.T) {
	needRoot(t)
	p := newHop(t)
	h := cveHost(t, []string{"submissions"}, "relay", "smtp "+p.addr)
	replay(t, h, []cve{
		{"CVE-2021-38189", "lettre: a dot behind an empty line was not doubled", func(t *testing.T, h *host) { dotsPassedOn(t, h, p) }},
		{"CVE-2026-33604", "Dovecot: a dot behind a CR alone was not doubled for the next hop", func(t *testing.T, h *host) { bareCRPassedOn(t, h, p) }},
		{"CVE-2015-9096", "Ruby: CR LF in an address was a command to the next hop", func(t *testing.T, h *host) { linesInAddresses(t, h, p) }},
		{"CVE-2020-28021", "Exim: a line's end in MAIL's AUTH= was one in the queue file", func(t *testing.T, h *host) { authParameter(t, h, p) }},
		{"CVE-2020-28026", "Exim: a line's end in ORCPT was one in the queue file", func(t *testing.T, h *host) { orcptParameter(t, h, p) }},
		{"CVE-2021-23400", "nodemailer: a line's end in a name was a header field", func(t *testing.T, h *host) { linesInNames(t, h, p) }},
		{"CVE-2020-8794", "OpenSMTPD: a reply of several lines was read beyond its end", func(t *testing.T, h *host) {
			oddReplies(t, h, p, "250-\r\n250", "553-x\r\n553", "250", "25", "\r\n\r\n", "553-a\r\n250 b", "553-"+strings.Repeat("x", 100000))
		}},
		{"CVE-2025-61724", "Go net/textproto: a reply of many lines took the square of their number", func(t *testing.T, h *host) {
			oddReplies(t, h, p, strings.Repeat("250-x\r\n", 100000)+"250 x", strings.Repeat("\r\n", 100000))
		}},
		{"CVE-2008-5006", "UW c-client: a server that hung up at QUIT was a NULL pointer", func(t *testing.T, h *host) { hangsUpAtQuit(t, h, p) }},
	})
}

// A hopServer is the next hop: it notes what it hears, byte for byte.
type hopServer struct {
	addr string
	mu   sync.Mutex
	odd  string // said to MAIL instead of 250
	raw  strings.Builder
	full int // messages that came whole
}

func newHop(t *testing.T) *hopServer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p := &hopServer{addr: l.Addr().String()}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(conn)
		}
	}()
	return p
}

func (p *hopServer) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	fmt.Fprint(conn, "220 next ESMTP\r\n")
	data := false
	for {
		line, err := r.ReadString('\n')
		p.mu.Lock()
		p.raw.WriteString(line)
		odd := p.odd
		if data && line == ".\r\n" {
			p.full++
		}
		p.mu.Unlock()
		switch {
		case err != nil, line == "QUIT\r\n":
			return
		case data && line != ".\r\n":
			continue
		case strings.HasPrefix(line, "EHLO"):
			fmt.Fprint(conn, "250-next\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 DSN\r\n")
		case line == "DATA\r\n":
			fmt.Fprint(conn, "354 go on\r\n")
			data = true
		case strings.HasPrefix(line, "MAIL") && odd != "":
			fmt.Fprint(conn, odd+"\r\n")
			return
		default:
			data = false
			fmt.Fprint(conn, "250 2.0.0 fine\r\n")
		}
	}
}

// heard returns what was heard since it was asked last, and how many messages
// were whole.
func (p *hopServer) heard() (string, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	raw, full := p.raw.String(), p.full
	p.raw.Reset()
	p.full = 0
	return raw, full
}

func dotsPassedOn(t *testing.T, h *host, p *hopServer) {
	d := h.smtpLogin()
	p.heard()
	if got := byDATA(h, d, "Subject: x\r\n\r\n\r\n..\r\nMAIL FROM:<a@b>\r\n\r\n\r\n...\r\n..x"); got[:3] != "250" {
		t.Errorf("got %q", got)
	}
	raw, full := p.heard()
	if full != 1 || !strings.Contains(raw, "\r\n\r\n\r\n..\r\nMAIL FROM:<a@b>\r\n\r\n\r\n...\r\n..x\r\n.\r\n") {
		t.Errorf("%d messages: %q", full, raw)
	}
}

func bareCRPassedOn(t *testing.T, h *host, p *hopServer) {
	d := h.smtpLogin()
	p.heard()
	for _, shape := range []string{"\r.\r\n", "\r\n\r.\r\n", "a\r.", "\r..\r\n"} {
		if got := byDATA(h, d, "Subject: x\r\n\r\nx"+shape+"\r\nMAIL FROM:<a@b>"); !strings.HasPrefix(got, "550 5.6.0") {
			t.Errorf("%q: %q", shape, got)
		}
	}
	time.Sleep(50 * time.Millisecond)
	if raw, full := p.heard(); full > 0 || strings.Contains(strings.ReplaceAll(raw, "\r\n", ""), "\r") || strings.Contains(raw, "\r\n.\r\n") {
		t.Errorf("%d messages were passed on: %q", full, raw)
	}
}

func linesInAddresses(t *testing.T, h *host, p *hopServer) {
	p.heard()
	me := h.alice.Username + "@localhost"
	for _, evil := range []string{"b@example.net\rDATA\r", "b@example.net>\rRCPT TO:<evil@example.net", "b\x00@example.net", "b@example.net>\x0bX", "b@exa\x7fmple.net"} {
		d := h.smtpLogin()
		d.expect("MAIL FROM:<"+evil+">", "5")
		d.expect("MAIL FROM:<"+me+">", "250")
		if got := d.replies("RCPT TO:<"+evil+">\r\n", 1)[0]; got[0] != '5' {
			t.Errorf("%q: %q", evil, got)
		}
		d.expect("RCPT TO:<b@example.net>", "250")
		d.expect("DATA", "354")
		d.expect("Subject: x\r\n\r\nx\r\n.", "250")
		raw, full := p.heard()
		if strings.Contains(raw, "evil") || strings.Count(raw, "RCPT TO") != 1 || full != 1 {
			t.Errorf("%q: the next hop heard %q", evil, raw)
		}
	}
}

func authParameter(t *testing.T, h *host, p *hopServer) {
	d := h.smtpLogin()
	p.heard()
	d.replies("MAIL FROM:<"+h.alice.Username+"@localhost> AUTH=a+0D+0AMAIL+20FROM:<evil@x>\r\n", 1)
	d.replies("RSET\r\n", 1)
	d.expect("MAIL FROM:<"+h.alice.Username+"@localhost> ENVID=x+0D+0Aevil", "")
	d.replies("RCPT TO:<b@example.net>\r\n", 1)
	d.replies("DATA\r\n", 1)
	d.replies("Subject: x\r\n\r\nx\r\n.\r\n", 1)
	raw, _ := p.heard()
	for line := range strings.Lines(raw) {
		if strings.HasPrefix(line, "evil") || strings.HasPrefix(line, "MAIL FROM:<evil") || strings.Contains(line, "AUTH=") {
			t.Errorf("the next hop heard %q", line)
		}
	}
}

func orcptParameter(t *testing.T, h *host, p *hopServer) {
	d := h.smtpLogin()
	p.heard()
	d.expect("MAIL FROM:<"+h.alice.Username+"@localhost>", "250")
	got := d.replies("RCPT TO:<b@example.net> ORCPT=rfc822;x+0D+0ARCPT+20TO:<evil@x>\r\n", 1)[0]
	if got[0] == '5' {
		d.expect("RCPT TO:<b@example.net>", "250")
	}
	d.expect("DATA", "354")
	d.expect("Subject: x\r\n\r\nx\r\n.", "250")
	raw, full := p.heard()
	if full != 1 || strings.Count(raw, "\r\nRCPT TO:") != 1 {
		t.Errorf("%d messages; the next hop heard %q", full, raw)
	}
}

func linesInNames(t *testing.T, h *host, p *hopServer) {
	h.Config["sender_check"] = "rewrite"
	h.WriteConfig()
	defer func() {
		delete(h.Config, "sender_check")
		h.WriteConfig()
	}()
	d := h.smtpLogin()
	p.heard()
	for _, name := range []string{"=?utf-8?Q?a=0D=0AX-Evil:_x?=", `"a\` + "\t" + `=?utf-8?B?DQpYLUV2aWw6IHg=?="`, "=?utf-8?Q?a=0AX-Evil:_x?= =?utf-8?Q?=0D=0A=0D=0Ax?="} {
		if got := byDATA(h, d, "From: "+name+" <root@localhost>\r\nSubject: x\r\n\r\nx"); got[:3] != "250" {
			t.Errorf("%q: %q", name, got)
		}
	}
	raw, full := p.heard()
	if full != 3 || strings.Contains(raw, "\nX-Evil") || strings.Contains(raw, "<root@localhost>") || strings.Count(raw, "\r\n\r\nx\r\n.\r\n") != 3 {
		t.Errorf("%d messages: %s", full, raw)
	}
}

// oddReplies are said to MAIL: the client hears of a failure that may pass, and
// goes on.
func oddReplies(t *testing.T, h *host, p *hopServer, replies ...string) {
	defer func() { p.mu.Lock(); p.odd = ""; p.mu.Unlock() }()
	d := h.smtpLogin()
	_, session := d.processes()
	grows(t, session, 3, func() {
		for _, r := range replies {
			p.mu.Lock()
			p.odd = r
			p.mu.Unlock()
			got := byDATA(h, d, "Subject: x\r\n\r\nx")
			if got[:3] != "451" && !(strings.HasPrefix(r, "553") && got[:3] == "553") || len(got) > 400 {
				t.Errorf("%.30q: %q", r, got)
			}
		}
	})
	d.expect("NOOP", "250")
}

func hangsUpAtQuit(t *testing.T, h *host, p *hopServer) {
	d := h.smtpLogin()
	_, session := d.processes()
	if got := byDATA(h, d, "Subject: x\r\n\r\nx"); got[:3] != "250" {
		t.Errorf("got %q", got)
	}
	d.expect("QUIT", "221")
	if line := h.waitLog(fmt.Sprintf("smail-submit[%d]: end", session)); strings.Contains(line, "reason=") || !strings.Contains(line, "messages=1") {
		t.Errorf("the session ended so: %s", line)
	}
}
