package test

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"strings"
	"testing"
)

// TestCVEMemory: what made other servers take memory for a stranger, or for one
// client's command.
func TestCVEMemory(t *testing.T) {
	h := cveHost(t, []string{"imaps", "pop3s", "submissions"})
	replay(t, h, parallel([]cve{
		{"CVE-2002-1580", "Cyrus: the length of a literal overflowed when it was added to, before login", overflowingLiterals},
		{"CVE-2024-34055", "Cyrus: literals of any size and number were kept in memory", manyLiterals},
		{"CVE-2024-37358", "Apache James: literals took memory without bound, without a login too", strangersLiterals},
		{"CVE-2025-61600", "Stalwart: the parser's buffer grew for as long as a command had no end", endlessCommands},
		{"CVE-2026-27857", "Dovecot: lists within lists took memory before login", nestedLists},
		{"CVE-2026-42391", "Dovecot: an ID of many parameters took memory and time before login", longID},
		{"CVE-2017-15132", "Dovecot: each AUTHENTICATE that was given up left memory behind in the login process", abortedLogins},
		{"CVE-2005-1513", "qmail: a line of SMTP of gigabytes overflowed a length", endlessSMTP},
		{"CVE-2005-1514", "qmail: a long command of SMTP without a space was read before its beginning", longVerbs},
		{"CVE-2005-1515", "qmail: recipients without number overflowed a length", manyRecipients},
		{"CVE-2020-28017", "Exim: the list of recipients overflowed when it grew", recipientsInOneGo},
		{"CVE-2019-16928", "Exim: a long EHLO overflowed the heap", longEHLO},
		{"CVE-2006-2502", "Cyrus pop3d: a long USER overflowed a buffer", longUSER},
		{"CVE-2020-28020", "Exim: a header without end overflowed its length", endlessHeader},
		{"CVE-2014-2744", "Prosody, Metronome: compression was offered to who had not logged in", compressBeforeLogin},
		{"CVE-2014-2745", "Prosody: a few bytes of a compressed stream grew to gigabytes", compressBomb},
		{"CVE-2026-73209", "Dovecot: compressed blocks with nothing in them were a recursion each", emptyBlocks},
		{"go-imap-refused-literal", "go-imap: a literal that was refused was not read, and its bytes were commands", refusedLiterals},
		{"go-imap-huge-set", "go-imap: a set of all numbers was expanded in memory", hugeSet},
	}))
}

func overflowingLiterals(t *testing.T, h *host) {
	for _, c := range []struct{ size, want string }{
		{"4294967295", "a BAD"}, {"4294967296+", "* BYE"}, {"2147483648+", "* BYE"}, {"18446744073709551615+", "* BYE"},
		{"18446744073709551616", "* BYE"}, {"-1+", "a BAD"}, {"9223372036854775807+", "* BYE"},
	} {
		d := h.dial("imaps")
		front, _ := d.processes()
		grows(t, front, 4, func() {
			d.send("a LOGIN {" + c.size + "}\r\n")
			if got := d.line(); !strings.HasPrefix(got, c.want) {
				t.Errorf("%s: got %q, want %s", c.size, got, c.want)
			}
		})
		if c.want == "* BYE" && !d.closed() {
			t.Errorf("%s: the connection stays, and with it what follows", c.size)
		}
	}
}

func manyLiterals(t *testing.T, h *host) {
	d := h.login()
	_, session := d.processes()
	grows(t, session, 8, func() {
		literal := "{60000+}\r\n" + strings.Repeat("x", 60000)
		d.send("b SEARCH")
		for range 300 {
			d.send(" BODY " + literal)
		}
		d.send("\r\n")
		if got := d.line(); !strings.HasPrefix(got, "b BAD") {
			t.Errorf("got %q", got)
		}
		d.send("c STATUS" + strings.Repeat(" {1+}\r\nx", 5000) + "\r\n")
		if got := d.line(); !strings.HasPrefix(got, "c BAD") {
			t.Errorf("got %q", got)
		}
		d.ok("NOOP")
	})
}

func strangersLiterals(t *testing.T, h *host) {
	d := h.dial("imaps")
	front, _ := d.processes()
	grows(t, front, 4, func() {
		d.send("a LOGIN {1000000+}\r\n" + strings.Repeat("x", 1000000) + " y\r\n")
		if got := d.line(); !strings.HasPrefix(got, "a BAD A command may have 3 literals of 1024 bytes") {
			t.Errorf("got %q", got)
		}
		d.send("b LOGIN" + strings.Repeat(" {1+}\r\nx", 900) + "\r\n")
		if got := d.line(); !strings.HasPrefix(got, "b BAD") {
			t.Errorf("got %q", got)
		}
	})
	d.ok("NOOP")
}

// endless sends a text without end until the server has had enough, and looks
// what that cost it.
func endless(t *testing.T, d *dialogue, pid int, begin, piece, want string) {
	t.Helper()
	grows(t, pid, 3, func() {
		go func() {
			d.Write([]byte(begin))
			for range 16 << 20 / len(piece) {
				if _, err := d.Write([]byte(piece)); err != nil {
					return
				}
			}
		}()
		if got := d.line(); !strings.HasPrefix(got, want) {
			t.Errorf("%s...: got %q, want %q", begin, got, want)
		}
	})
	if !d.closed() {
		t.Errorf("%s...: the connection stays", begin)
	}
}

func endlessCommands(t *testing.T, h *host) {
	piece := strings.Repeat("x", 4<<10)
	for _, c := range []struct{ service, begin, want string }{
		{"imaps", "a LOGIN ", "* BYE Command longer"}, {"imaps", "", "* BYE Command longer"}, {"imaps", `a LOGIN "`, "* BYE Command longer"},
		{"pop3s", "USER ", "-ERR Line too long"}, {"submissions", "EHLO ", "500 5.5.6"},
	} {
		d := h.dial(c.service)
		front, _ := d.processes()
		endless(t, d, front, c.begin, piece, c.want)
	}
	d := h.login()
	_, session := d.processes()
	endless(t, d, session, `b LIST "" (`, strings.Repeat(`"x" `, 1000), "* BYE Command longer")
}

func nestedLists(t *testing.T, h *host) {
	for _, command := range []string{"a ID ", "a LOGIN ", "a AUTHENTICATE ", "a "} {
		d := h.dial("imaps")
		front, _ := d.processes()
		grows(t, front, 4, func() { d.expect(command+strings.Repeat("(", 8000), "a BAD") })
		d.ok("NOOP")
	}
	d := h.login()
	_, session := d.processes()
	d.ok("EXAMINE INBOX")
	grows(t, session, 3, func() {
		d.expect("b SEARCH "+strings.Repeat("(", 60000), "b NO [LIMIT]")
		d.expect("b SEARCH "+strings.Repeat("NOT ", 15000)+"ALL", "b NO [LIMIT]")
		d.expect("b SEARCH "+strings.Repeat("OR ALL ", 8000)+"ALL", "b NO [LIMIT]")
		d.expect("b FETCH 1 "+strings.Repeat("(", 60000), "b BAD")
	})
	d.ok("NOOP")
}

func longID(t *testing.T, h *host) {
	d := h.dial("imaps")
	front, _ := d.processes()
	grows(t, front, 4, func() {
		for i := range 4 {
			d.expect("a ID ("+strings.Repeat(fmt.Sprintf(`"k%d" NIL `, i), 800)+`"k" "v")`, "a BAD Too much in an ID")
			d.ok(`ID ("name" "x")`)
		}
	})
	d = h.dial("imaps")
	front, _ = d.processes()
	grows(t, front, 4, func() {
		for range 500 {
			d.ok(`ID ("name" "` + strings.Repeat("x", 1000) + `")`)
		}
	})
}

func endlessSMTP(t *testing.T, h *host) {
	d := h.smtpLogin()
	_, session := d.processes()
	grows(t, session, 3, func() {
		go d.Write([]byte(strings.Repeat("x", 8<<20)))
		if got := d.rest(); strings.Contains(got, "250") {
			t.Errorf("got %q", got)
		}
	})
}

func longVerbs(t *testing.T, h *host) {
	d := h.dial("submissions")
	d.expect(strings.Repeat("A", 12000), "500 5.5.2")
	d.until("EHLO x", "250 ")
	d = h.smtpLogin()
	d.expect(strings.Repeat("A", 200000), "50")
	d.expect("NOOP", "250")
}

func manyRecipients(t *testing.T, h *host) {
	d := h.smtpLogin()
	_, session := d.processes()
	d.expect("MAIL FROM:<"+h.alice.Username+"@localhost>", "250")
	grows(t, session, 3, func() {
		for i := range 3000 {
			got := d.expect(fmt.Sprintf("RCPT TO:<r%d%s@example.net>", i, strings.Repeat("x", 50)), "")
			if i < 100 && got[:3] != "250" || i >= 100 && !strings.HasPrefix(got, "452") {
				t.Fatalf("recipient %d: %q", i, got)
			}
		}
	})
	d.expect("RSET", "250")
}

func recipientsInOneGo(t *testing.T, h *host) {
	d := h.smtpLogin()
	d.expect("MAIL FROM:<"+h.alice.Username+"@localhost>", "250")
	go d.Write([]byte(strings.Repeat("RCPT TO:<b@example.net>\r\n", 20000) + "RSET\r\nNOOP\r\n"))
	taken, refused := 0, 0
	for range 20000 {
		switch got := d.line(); got[:3] {
		case "250":
			taken++
		case "452":
			refused++
		}
	}
	d.line()
	if got := d.line(); taken != 100 || refused != 19900 || !strings.Contains(got, "nothing") {
		t.Errorf("%d taken, %d refused, then %q", taken, refused, got)
	}
}

func longEHLO(t *testing.T, h *host) {
	d := h.dial("submissions")
	for _, n := range []int{256, 1000, 4096, 12000} {
		d.expect("EHLO "+strings.Repeat("a", n), "501 5.5.4")
	}
	d.expect("AUTH PLAIN "+plain(h.alice.Username, h.password), "503 5.5.1 EHLO first")
	d = h.dial("submissions")
	d.until("EHLO "+strings.Repeat("a", 255), "250 ")
	d.expect("AUTH PLAIN "+plain(h.alice.Username, h.password), "235")
	d = h.dial("submissions")
	front, _ := d.processes()
	endless(t, d, front, "EHLO ", strings.Repeat("a", 4096), "500 5.5.6")
}

func longUSER(t *testing.T, h *host) {
	d := h.dial("pop3s")
	d.expect("USER "+strings.Repeat("A", 8000), "+OK")
	d.expect("PASS "+strings.Repeat("A", 8000), "-ERR [AUTH] Wrong name or password")
	d.expect("USER "+h.alice.Username, "+OK")
	d.expect("PASS "+h.password, "+OK")
}

func endlessHeader(t *testing.T, h *host) {
	d := h.smtpLogin()
	_, session := d.processes()
	d.expect("MAIL FROM:<"+h.alice.Username+"@localhost>", "250")
	d.expect("RCPT TO:<b@example.net>", "250")
	d.expect("DATA", "354")
	grows(t, session, 10, func() {
		for i := range 20000 {
			d.send(fmt.Sprintf("X-%d: %s\r\n", i, strings.Repeat("y", 900)))
		}
		d.expect("\r\nx\r\n.", "552 5.3.4 Header larger than")
	})
	d.expect("NOOP", "250")
}

func compressBeforeLogin(t *testing.T, h *host) {
	d := h.dial("imaps")
	if got := d.until("a CAPABILITY", "a OK"); strings.Contains(got, "COMPRESS") {
		t.Errorf("offered: %s", got)
	}
	d.expect("b COMPRESS DEFLATE", "b BAD")
	d.ok("NOOP")
}

// deflated is a text as a client with COMPRESS sends it.
func deflated(t *testing.T, text io.Reader) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err == nil {
		_, err = io.Copy(w, text)
	}
	if err != nil || w.Flush() != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func compressBomb(t *testing.T, h *host) {
	d := h.login()
	_, session := d.processes()
	d.ok("COMPRESS DEFLATE")
	const length = 40 << 20 // as a message
	bomb := deflated(t, io.MultiReader(strings.NewReader(fmt.Sprintf("b APPEND INBOX {%d+}\r\n", length)), io.LimitReader(zeros{}, length)))
	grows(t, session, 6, func() {
		go d.Write(bomb)
		text, _ := io.ReadAll(flate.NewReader(strings.NewReader(d.rest())))
		if !strings.Contains(string(text), "* BYE Compressed too well") {
			t.Errorf("%d bytes grew to %d: %q", len(bomb), length, text)
		}
	})
}

func emptyBlocks(t *testing.T, h *host) {
	d := h.login()
	_, session := d.processes()
	d.ok("COMPRESS DEFLATE")
	grows(t, session, 3, func() {
		d.send(strings.Repeat("\x00\x00\x00\xff\xff", 1<<20))
		d.send(string(deflated(t, strings.NewReader("b LOGOUT\r\n"))))
		text, _ := io.ReadAll(flate.NewReader(strings.NewReader(d.rest())))
		if !strings.Contains(string(text), "b OK") {
			t.Errorf("after a million empty blocks: %q", text)
		}
	})
}

func refusedLiterals(t *testing.T, h *host) {
	d := h.login()
	evil := "X-A: y\r\nc CREATE Evil\r\nd DELETE INBOX\r\n\r\n"
	for _, command := range []string{"APPEND Nowhere", "APPEND Nowhere (\\Seen)", "SELECT x", "XYZZY", "FETCH 1", "SETMETADATA Nowhere (/private/x", "LOGIN x"} {
		d.send(fmt.Sprintf("b %s {%d+}\r\n%s\r\n", command, len(evil), evil))
		if got := d.line(); !strings.HasPrefix(got, "b NO") && !strings.HasPrefix(got, "b BAD") {
			t.Fatalf("%s: %q", command, got)
		}
		if got := d.ok(`LIST "" *`); strings.Contains(got, "Evil") || strings.Contains(got, "c OK") {
			t.Errorf("%s: bytes of a literal were carried out: %s", command, got)
		}
	}
}

func hugeSet(t *testing.T, h *host) {
	d := h.folder("hugeset", "Subject: x\n\nx\n")
	_, session := d.processes()
	grows(t, session, 3, func() {
		for _, command := range []string{"FETCH 1:* FLAGS", "UID FETCH 1:4294967295 FLAGS", "UID STORE 1:4294967295 +FLAGS (\\Seen)", "UID SEARCH UID 1:4294967295 NOT UID 2:4294967295"} {
			d.ok(command)
		}
		d.until("b UID FETCH "+strings.Repeat("1:4294967295,", 4000)+"1 FLAGS", "b OK")
	})
}

func abortedLogins(t *testing.T, h *host) {
	d := h.dial("imaps")
	front, _ := d.processes()
	grows(t, front, 4, func() {
		for range 5 {
			d.expect("a AUTHENTICATE PLAIN", "+")
			d.expect("*", "a BAD AUTHENTICATE cancelled")
		}
		if got := d.line(); !strings.HasPrefix(got, "* BYE [CLIENTBUG]") {
			t.Errorf("after five that were given up: %q", got)
		}
	})
}
