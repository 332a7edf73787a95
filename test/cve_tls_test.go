package test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestCVETLS: what was wrong with others' STARTTLS and TLS.
func TestCVETLS(t *testing.T) {
	h := cveHost(t, []string{"imaps", "imap", "pop3", "pop3s", "submission", "submissions"})
	replay(t, h, parallel([]cve{
		{"CVE-2011-0411", "Postfix: commands in clear text behind STARTTLS were carried out within TLS", func(t *testing.T, h *host) {
			injected(t, h, "submission", "EHLO x\r\nSTARTTLS\r\nEHLO y\r\nMAIL FROM:<a@localhost>\r\n")
		}},
		{"CVE-2011-1926", "Cyrus: the same, by IMAP", func(t *testing.T, h *host) { injected(t, h, "imap", "a STARTTLS\r\nb CAPABILITY\r\nc NOOP\r\n") }},
		{"CVE-2021-38084", "Courier: the same, by POP3", func(t *testing.T, h *host) { injected(t, h, "pop3", "STLS\r\nUSER mallory\r\nPASS x\r\n") }},
		{"CVE-2021-33515", "Dovecot submission: the beginning of a command was kept over STARTTLS", func(t *testing.T, h *host) { injected(t, h, "submission", "EHLO x\r\nSTARTTLS\r\nNO") }},
		{"CVE-2021-38542", "Apache James: commands behind STLS and STARTTLS, whatever their line ends", func(t *testing.T, h *host) {
			injected(t, h, "pop3", "STLS\nCAPA\n")
			injected(t, h, "imap", "a STARTTLS\nb NOOP\n")
		}},
		{"CVE-2022-28220", "Apache James: what a buffer held at STARTTLS was taken for what came over TLS", func(t *testing.T, h *host) {
			injected(t, h, "imap", "a STARTTLS\r\n"+strings.Repeat("b NOOP\r\n", 2000))
		}},
		{"CVE-2024-34083", "aiosmtpd: what was said in clear text counted after STARTTLS", stateForgotten},
		{"CVE-2015-3420", "Dovecot: a handshake that failed ended a process that others needed", brokenHandshakes},
		{"CVE-2017-15130", "Dovecot: each name in SNI took memory that was not given back", manyNames},
		{"CVE-2019-15846", "Exim: a name in SNI that ended with a backslash wrote beyond its end", oddNames},
		{"CVE-2025-58189", "Go: the error of a handshake held the client's ALPN names as they were", protocolNames},
		{"CVE-2022-41724", "Go: a handshake's message that is too large was a panic", largeHello},
		{"CVE-2020-28018", "Exim: what came in clear text after TLS had ended used memory that was freed", clearAfterTLS},
		{"CVE-2021-3618", "ALPACA: a browser's request to a mail server was answered as commands, with its own text", browser},
		{"CVE-2026-40203", "Dovecot: the length of a compressed reply told whether a message holds a text that the attacker has sent", compressionOracle},
		{"CVE-2011-3389", "BEAST: TLS 1.0", func(t *testing.T, h *host) { refusedTLS(t, h, tls.VersionTLS10, 0) }},
		{"CVE-2015-2808", "RC4", func(t *testing.T, h *host) { refusedTLS(t, h, tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA) }},
		{"CVE-2013-0169", "Lucky Thirteen: CBC", func(t *testing.T, h *host) {
			refusedTLS(t, h, tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256)
		}},
	}))
}

// injected sends all in one segment: only what is before the upgrade is answered,
// and no handshake follows.
func injected(t *testing.T, h *host, service, text string) {
	t.Helper()
	d := h.dial(service)
	go d.Write([]byte(text))
	got := d.rest()
	last := got[strings.LastIndex(strings.TrimSuffix(got, "\r\n"), "\n")+1:]
	if !strings.Contains(last, "Begin TLS") {
		t.Errorf("%s: the last word is %q, not that TLS begins", service, last)
	}
	h.waitLog("no login", "service="+service, `reason="clear text after STARTTLS"`)
	for i := range 2 { // as a second segment it is no handshake, either
		d = h.dial(service)
		command, rest, _ := strings.Cut(text, "STARTTLS")
		if service == "pop3" {
			command, rest = "", strings.TrimPrefix(text, "STLS")
			d.until("STLS", "+OK")
		} else {
			d.send(command + "STARTTLS\r\n")
			for !strings.Contains(d.line(), "Begin TLS") {
			}
		}
		time.Sleep(time.Duration(i) * 50 * time.Millisecond)
		go d.Write([]byte(strings.TrimLeft(rest, "\r\n")))
		d.Conn.(*net.TCPConn).CloseWrite()
		if got := d.rest(); strings.ContainsAny(got, "*+") || strings.Contains(got, "25") {
			t.Errorf("%s: clear text was answered: %q", service, got)
		}
	}
}

func stateForgotten(t *testing.T, h *host) {
	d := h.dial("submission")
	d.until("EHLO before.example", "250 ")
	d.expect("STARTTLS", "220")
	d.startTLS()
	d.expect("AUTH PLAIN "+plain(h.alice.Username, h.password), "503 5.5.1 EHLO first")
	d.expect("STARTTLS", "503")
	if got := d.until("EHLO after.example", "250 "); !strings.Contains(got, "AUTH PLAIN") || strings.Contains(got, "STARTTLS") {
		t.Errorf("over TLS: %s", got)
	}
	d.expect("AUTH PLAIN "+plain(h.alice.Username, h.password), "235")
	d.expect("MAIL FROM:<"+h.alice.Username+"@localhost>", "250")
	d.expect("RCPT TO:<b@example.net>", "250")
	d.expect("DATA", "354")
	d.expect("Subject: forgotten\r\n\r\nx\r\n.", "250")
	if all := strings.Join(h.outbox(), ""); strings.Contains(all, "before.example") || !strings.Contains(all, "from after.example") {
		t.Error("the name in the trace is that of before TLS")
	}
}

func brokenHandshakes(t *testing.T, h *host) {
	stays := h.dial("imaps")
	for _, hello := range []string{"\x16\x03\x01\x00\x00", "\x16\x03\x01\xff\xff" + strings.Repeat("\xff", 70000), "\x80\x2e\x01\x00\x02", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
		"\x15\x03\x01\x00\x02\x02\x28", "\x17\x03\x03\x00\x01\x00", "GET / HTTP/1.0\r\n\r\n", "\x14\x03\x03\x00\x01\x01"} {
		d := h.raw("imaps")
		go d.Write([]byte(hello))
		time.Sleep(20 * time.Millisecond)
		d.Conn.(*net.TCPConn).CloseWrite()
		if !d.closed() {
			t.Errorf("%.20q: the connection stays", hello)
		}
	}
	h.waitLog("no login", "TLS handshake")
	stays.ok("NOOP")
	h.login().alive()
}

// named dials with another name in SNI, and perhaps protocols.
func (h *host) named(name string, protocols ...string) error {
	conn, err := tls.Dial("tcp", h.addr["imaps"], &tls.Config{InsecureSkipVerify: true, ServerName: name, NextProtos: protocols})
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
		conn.Close()
	}
	return err
}

func manyNames(t *testing.T, h *host) {
	h.named("first.example")
	listener := 0
	fmt.Sscanf(h.waitLog("listening service=imaps"), "smaild[%d]", &listener)
	grows(t, listener, 1, func() {
		for i := range 40 {
			if err := h.named(fmt.Sprintf("%s.%d.example", strings.Repeat("x", 60), i)); err != nil {
				t.Errorf("name %d: %v", i, err)
			}
		}
	})
}

func oddNames(t *testing.T, h *host) {
	for _, name := range []string{`evil\`, "evil\\\x00", `\`, strings.Repeat(`\`, 200), "../../etc/passwd", "a\nb", strings.Repeat("a", 60000)} {
		h.named(name) // by an alert or a certificate, as Go likes
	}
	if err := h.named("localhost"); err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(h.log.String()) {
		if !strings.HasPrefix(line, "smail") {
			t.Errorf("a line that no program of ours began: %q", line)
		}
	}
}

func protocolNames(t *testing.T, h *host) {
	h.named("localhost", "x\nsmaild[1]: login service=imaps peer=192.0.2.66 user=root by=password\n", "\x1b[2J")
	h.named("localhost")
	h.login().alive()
	for line := range strings.Lines(h.log.String()) {
		if strings.Contains(line, "192.0.2.66") || strings.ContainsRune(line, '\x1b') {
			t.Errorf("the client's text: %q", line)
		}
	}
}

func largeHello(t *testing.T, h *host) {
	d := h.raw("imaps")
	time.Sleep(100 * time.Millisecond) // for the front to have it
	front, _ := d.processes()
	grows(t, front, 2, func() {
		hello := append([]byte{1, 0xff, 0xff, 0xff}, make([]byte, 3<<20)...) // of 16 MiB
		var records bytes.Buffer
		for len(hello) > 0 {
			n := min(len(hello), 16<<10)
			records.Write([]byte{22, 3, 1})
			binary.Write(&records, binary.BigEndian, uint16(n))
			records.Write(hello[:n])
			hello = hello[n:]
		}
		go d.Write(records.Bytes())
		if !d.closed() {
			t.Error("the connection stays")
		}
	})
}

func clearAfterTLS(t *testing.T, h *host) {
	d := h.dial("submission")
	raw := d.Conn
	d.expect("STARTTLS", "220")
	d.startTLS()
	d.until("EHLO x", "250 ")
	d.send("NOOP\r\nNO") // a command that TLS's end cuts off
	d.line()
	d.Conn.(*tls.Conn).CloseWrite()
	raw.Write([]byte("OP\r\nEHLO again\r\n"))
	var got [4096]byte
	raw.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		n, err := raw.Read(got[:])
		if bytes.Contains(got[:n], []byte("250")) {
			t.Errorf("clear text was answered: %q", got[:n])
		}
		if err != nil {
			break
		}
	}
	h.login().alive()
}

func browser(t *testing.T, h *host) {
	const body = "<script>alert`1`</script>"
	request := "POST /" + body + " HTTP/1.1\r\nHost: mail.example.org\r\nUser-Agent: Mozilla/5.0\r\nAccept: text/html\r\nAccept-Language: en\r\n" +
		"Accept-Encoding: gzip\r\nContent-Type: text/plain\r\nOrigin: https://evil.example\r\nConnection: keep-alive\r\nContent-Length: 200\r\n\r\n" +
		body + " NOOP\r\na1 CREATE " + body + "\r\nEHLO x\r\n" + body + "\r\nHELP " + body + "\r\n"
	for _, service := range []string{"imaps", "pop3s", "submissions"} {
		d := h.dial(service)
		go d.Write([]byte(request))
		if got := d.rest(); got != "" {
			t.Errorf("%s talks with a browser: %q", service, got)
		}
	}
}

func refusedTLS(t *testing.T, h *host, version, suite uint16) {
	cfg := &tls.Config{MinVersion: version, MaxVersion: version}
	if suite != 0 {
		cfg.CipherSuites = []uint16{suite}
	}
	if _, err := h.handshake(cfg); err == nil {
		t.Error("accepted")
	}
	if _, err := h.handshake(&tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}); err != nil {
		t.Errorf("what is good is refused: %v", err)
	}
}

// compressionOracle: who sees how much is sent, and may send mail himself, must
// not learn what is in another message by guessing.
func compressionOracle(t *testing.T, h *host) {
	const secret = "your code is 493817265012, tell nobody"
	d := h.folder("CVE-2026-40203", "Subject: a\n\n"+secret+"\n", "Subject: b\n\nyour code is 493817265012, tell nobody\n", "Subject: b\n\nyour code is 860254731946, tell nobody\n")
	d.ok("LOGOUT")
	var sizes []int64
	for _, guess := range []string{"2", "3"} {
		d := h.login()
		d.ok("EXAMINE CVE-2026-40203")
		d.ok("COMPRESS DEFLATE")
		packed := &counting{Reader: d.r}
		r := bufio.NewReader(flate.NewReader(packed))
		for _, n := range []string{"1", guess} {
			d.Write(deflatedStored("c FETCH " + n + " BODY.PEEK[TEXT]\r\n"))
			before := packed.n
			for l := ""; !strings.HasPrefix(l, "c OK"); {
				var err error
				if l, err = r.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
			}
			if n != "1" {
				sizes = append(sizes, packed.n-before)
			}
		}
	}
	if diff := sizes[1] - sizes[0]; diff > 2 || diff < -2 {
		t.Errorf("the right guess takes %d bytes, a wrong one %d", sizes[0], sizes[1])
	}
}

// counting counts what was read of a compressed stream.
type counting struct {
	io.Reader
	n int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

// deflatedStored is a text as a block of a compressed stream that is not compressed.
func deflatedStored(text string) []byte {
	n := uint16(len(text))
	return append([]byte{0, byte(n), byte(n >> 8), byte(^n), byte(^n >> 8)}, text...)
}
