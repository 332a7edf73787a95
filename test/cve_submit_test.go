package test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestCVESubmission: how one message became two, or text became commands.
func TestCVESubmission(t *testing.T) {
	h := cveHost(t, []string{"imaps", "submissions"})
	replay(t, h, parallel([]cve{
		{"CVE-2023-51764", "Postfix: LF . CR LF ended a message, and a second one followed", func(t *testing.T, h *host) {
			smuggled(t, h, byDATA, "\n.\r\n", "\n.\n", "\r\n.\n")
		}},
		{"CVE-2023-51765", "sendmail: the same, as did CR LF . LF", func(t *testing.T, h *host) { smuggled(t, h, byBDAT, "\n.\r\n", "\r\n.\n", "\n.\n") }},
		{"CVE-2023-51766", "Exim: the same, when commands were pipelined", func(t *testing.T, h *host) { smuggled(t, h, pipelined, "\n.\r\n", "\n.\n", "\r\n.\n") }},
		{"CVE-2023-51747", "Apache James: the same, whatever stood for a line's end", func(t *testing.T, h *host) { smuggled(t, h, inPieces, "\n.\r\n", "\r.\r\n", "\r\n.\r") }},
		{"CVE-2023-52354", "chasquid: lines that end with LF alone", func(t *testing.T, h *host) { smuggled(t, h, byDATA, "\n", "\r\nx\n.\r\n", "\n\r\n") }},
		{"CVE-2024-27305", "aiosmtpd: the same, as did CR alone", func(t *testing.T, h *host) {
			smuggled(t, h, byDATA, "\r.\r", "\r\r\n.\r\r\n", "\r\n\x00.\r\n", "\r\n.\r\r\n")
		}},
		{"CVE-2017-16943", "Exim: BDAT and other commands by turns used memory that was freed", chunksByTurns},
		{"CVE-2017-16944", "Exim: a dot in a chunk made the rest of it commands, without end", dotsInChunks},
		{"CVE-2020-28019", "Exim: after a BDAT that failed, input was read as the chunk's still", failedChunks},
		{"CVE-2024-24784", "Go net/mail: comments in a display name were read otherwise than by mail programs", func(t *testing.T, h *host) {
			foreignFrom(t, h, "(a)root@localhost(b) <%s>, root@localhost", "\"%s\" <root@localhost>", "%s (<root@localhost>", "(root@localhost (%s) <x@y>", "%s <root@localhost>, ")
		}},
		{"CVE-2003-0161", "sendmail: an address with control characters was written beyond its end", func(t *testing.T, h *host) {
			foreignFrom(t, h, "\xff\xff\xff\xff<%s>\xff, root@localhost", strings.Repeat("\\\xff", 1000)+"<%s>", "<%s>"+strings.Repeat("\\", 2000))
		}},
		{"CVE-2025-61725", "Go net/mail: a domain in brackets took the square of its length", longDomains},
		{"CVE-2008-5005", "UW tmail: a long folder behind + overflowed a buffer", longDetail},
		{"CVE-2007-1558", "APOP: a challenge of the server's gave the password away, letter by letter", noChallenge},
		{"go-smtp-issue-196", "go-smtp: after an error of reading, the rest of a message was commands", restOfMessage},
	}))
}

// A sending gives a text to the server as a message, and returns the reply to it.
type sending func(h *host, d *dialogue, text string) string

func (h *host) envelope(d *dialogue) {
	h.t.Helper()
	d.expect("MAIL FROM:<"+h.alice.Username+"@localhost>", "250")
	d.expect("RCPT TO:<b@example.net>", "250")
}

func byDATA(h *host, d *dialogue, text string) string {
	h.envelope(d)
	d.expect("DATA", "354")
	d.send(text + "\r\n.\r\n")
	return d.line()
}

func byBDAT(h *host, d *dialogue, text string) string {
	h.envelope(d)
	half := len(text) / 2
	d.send(fmt.Sprintf("BDAT %d\r\n%s", half, text[:half]))
	first := d.line()
	if !strings.HasPrefix(first, "250") {
		return first
	}
	d.send(fmt.Sprintf("BDAT %d LAST\r\n%s", len(text)-half, text[half:]))
	return d.line()
}

func pipelined(h *host, d *dialogue, text string) string {
	h.t.Helper()
	d.send("MAIL FROM:<" + h.alice.Username + "@localhost>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n" + text + "\r\n.\r\n")
	for range 3 {
		d.line()
	}
	return d.line()
}

func inPieces(h *host, d *dialogue, text string) string {
	h.envelope(d)
	d.expect("DATA", "354")
	for _, c := range text + "\r\n.\r\n" {
		d.send(string(c))
	}
	return d.line()
}

// smuggled sends messages with what others took for the end of one in the middle,
// and a second one behind it.
func smuggled(t *testing.T, h *host, send sending, shapes ...string) {
	for _, shape := range shapes {
		d := h.smtpLogin()
		mark := fmt.Sprintf("marked-%d", time.Now().UnixNano())
		second := "MAIL FROM:<" + h.alice.Username + "@localhost>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\nSubject: " + mark + "\r\n\r\nx"
		got := send(h, d, "Subject: "+mark+"\r\n\r\nx"+shape+second)
		if !strings.HasPrefix(got, "550 5.6.0") {
			t.Errorf("%q: %q", shape, got)
		}
		if got := d.expect("VRFY still", ""); !strings.HasPrefix(got, "252") { // the one reply that is due
			t.Errorf("%q: something else was answered: %q", shape, got)
		}
		if strings.Contains(strings.Join(h.outbox(), ""), mark) {
			t.Errorf("%q: was sent", shape)
		}
		if got := byDATA(h, d, "Subject: after "+mark+"\r\n\r\nx"); !strings.HasPrefix(got, "250") {
			t.Errorf("%q: the next message: %q", shape, got)
		}
	}
}

func chunksByTurns(t *testing.T, h *host) {
	d := h.smtpLogin()
	h.envelope(d)
	d.send("BDAT 30\r\nSubject: turns-16943\r\n\r\nabcd\r\n")
	d.line()
	for _, c := range []string{"DATA", "MAIL FROM:<" + h.alice.Username + "@localhost>", "RCPT TO:<evil@example.net>"} {
		if got := d.replies(c+"\r\n", 1)[0]; got[0] != '5' {
			t.Errorf("%s within a message: %q", c, got)
		}
	}
	d.send("BDAT 1\r\nz")
	d.line()
	d.expect("RSET", "250")
	d.send("BDAT 6 LAST\r\nNOOP\r\n") // without an envelope: it is passed over
	if got := d.line(); !strings.HasPrefix(got, "502") {
		t.Errorf("got %q", got)
	}
	d.expect("VRFY x", "252")
	if strings.Contains(strings.Join(h.outbox(), ""), "turns-16943") {
		t.Error("a message that was given up was sent")
	}
}

func dotsInChunks(t *testing.T, h *host) {
	d := h.smtpLogin()
	h.envelope(d)
	const text = "Subject: dots-16944\r\n\r\n.\r\nVRFY a\r\n..\r\nBDAT 5 LAST\r\nDATA\r\n.\r\n"
	d.send(fmt.Sprintf("BDAT %d LAST\r\n%s", len(text), text))
	if got := d.line(); !strings.HasPrefix(got, "250") {
		t.Errorf("got %q", got)
	}
	d.expect("NOOP", "250 2.0.0 I have")
	want := "\n\n.\nVRFY a\n..\nBDAT 5 LAST\nDATA\n.\n"
	if all := strings.Join(h.outbox(), ""); strings.Count(all, "Subject: dots-16944") != 1 || !strings.Contains(all, want) {
		t.Errorf("no %q in what was sent", want)
	}
	h.envelope(d) // one word too many: nobody knows where the chunk ends
	d.send("BDAT 8 LAST LAST\r\nVRFY a\r\n")
	if got := d.rest(); strings.Contains(got, "252") || !strings.HasPrefix(got, "501") {
		t.Errorf("a chunk was answered: %q", got)
	}
}

func failedChunks(t *testing.T, h *host) {
	d := h.smtpLogin()
	h.envelope(d)
	chunk := "Subject: failed\r\n\r\nbad\x00\r\nVRFY x\r\n"
	d.send(fmt.Sprintf("BDAT %d LAST\r\n%sVRFY y\r\n", len(chunk), chunk))
	if got := d.line(); !strings.HasPrefix(got, "550 5.6.0") {
		t.Errorf("got %q", got)
	}
	if got := d.line(); !strings.HasPrefix(got, "252") { // y's
		t.Errorf("got %q", got)
	}
	d.expect("NOOP", "250 2.0.0 I have")
	h.envelope(d)
	d.send("BDAT 60000000 LAST\r\n") // more than is taken
	if got := d.line(); !strings.HasPrefix(got, "552") {
		t.Errorf("got %q", got)
	}
	d.send("VRFY x\r\nVRFY y\r\n") // is in the chunk still
	d.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if l, err := d.r.ReadString('\n'); err == nil {
		t.Errorf("a chunk that was refused was answered: %q", l)
	}
}

// foreignFrom sends From fields with alice's address and root's in them: none is
// one of hers alone.
func foreignFrom(t *testing.T, h *host, froms ...string) {
	d := h.smtpLogin()
	for _, f := range froms {
		from := strings.ReplaceAll(f, "%s", h.alice.Username+"@localhost")
		if got := byDATA(h, d, "From: "+from+"\r\nSubject: foreign\r\n\r\nx"); got[:3] != "550" {
			t.Errorf("%.80q: %q", from, got)
		}
	}
	if got := byDATA(h, d, "From: A (root@localhost) <"+h.alice.Username+"@localhost>\r\n\r\nx"); got[:3] != "250" {
		t.Errorf("a comment: %q", got)
	}
}

func longDomains(t *testing.T, h *host) {
	linear(t, 30000, func(n int) time.Duration {
		d := h.smtpLogin() // which takes so many refusals
		_, session := d.processes()
		before := cpu(t, session)
		for range 20 {
			if got := byDATA(h, d, "From: <a@["+strings.Repeat("1", n)+"]>\r\n\r\nx"); got[:3] != "550" {
				t.Fatalf("got %q", got)
			}
		}
		return cpu(t, session) - before
	})
}

func longDetail(t *testing.T, h *host) {
	d := h.smtpLogin()
	d.expect("MAIL FROM:<"+h.alice.Username+"+"+strings.Repeat("A", 60000)+"@localhost>", "553 5.1.3")
	d.expect("MAIL FROM:<"+h.alice.Username+"+"+strings.Repeat("A", 40)+"@localhost>", "250")
	d.expect("RCPT TO:<"+h.alice.Username+"+"+strings.Repeat("../", 2000)+"x@localhost>", "553 5.1.3")
	d.expect("RCPT TO:<b@example.net>", "250")
}

func noChallenge(t *testing.T, h *host) {
	h = &host{Rig: h.Rig, t: t, alice: h.alice, log: h.log, addr: map[string]string{"submissions": h.addr["submissions"], "imaps": h.addr["imaps"]}}
	d := h.dial("imaps")
	if got := d.until("a CAPABILITY", "a OK"); strings.Contains(got, "MD5") || strings.Contains(got, "<") {
		t.Errorf("a challenge is offered: %s", got)
	}
	s := h.dial("submissions")
	if got := s.until("EHLO x", "250 "); strings.Contains(got, "MD5") {
		t.Errorf("a challenge is offered: %s", got)
	}
	s.expect("AUTH CRAM-MD5", "504")
}

func restOfMessage(t *testing.T, h *host) {
	d := h.smtpLogin()
	h.envelope(d)
	d.expect("DATA", "354")
	go d.Write([]byte("Subject: rest-196\r\n\r\n" + strings.Repeat("x", 300<<10) + "\r\nVRFY x\r\nMAIL FROM:<" + h.alice.Username + "@localhost>\r\n.\r\nVRFY y\r\n"))
	if got := d.rest(); strings.Contains(got, "252") || strings.Contains(got, "250 ") || !strings.HasPrefix(got, "554 5.6.0") {
		t.Errorf("a message was taken for commands: %q", got)
	}
	if strings.Contains(strings.Join(h.outbox(), ""), "rest-196") {
		t.Error("it was sent")
	}
}
