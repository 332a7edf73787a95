package test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestCVEMessages: messages that others could not read, or not without end.
func TestCVEMessages(t *testing.T) {
	h := cveHost(t, []string{"imaps", "pop3s"})
	const structure, envelope = "BODYSTRUCTURE", "ENVELOPE"
	replay(t, h, parallel([]cve{
		{"CVE-2020-12100", "Dovecot: parts within parts were a recursion each", func(t *testing.T, h *host) { bomb(t, h, "CVE-2020-12100", structure, 60000, nestedParts) }},
		{"CVE-2006-1173", "sendmail: so they were, and what had no end was looked for", func(t *testing.T, h *host) { bomb(t, h, "CVE-2006-1173", structure, 120000, endlessParts) }},
		{"CVE-2026-26312", "Stalwart: messages within messages took memory without bound", func(t *testing.T, h *host) { bomb(t, h, "CVE-2026-26312", structure, 120000, nestedMessages) }},
		{"CVE-2026-27859", "Dovecot: parameters of RFC 2231 took the square of their number", func(t *testing.T, h *host) { bomb(t, h, "CVE-2026-27859", structure, 120000, manyParameters) }},
		{"CVE-2024-23184", "Dovecot: address fields without number took time", func(t *testing.T, h *host) { bomb(t, h, "CVE-2024-23184", envelope, 40000, manyFields) }},
		{"CVE-2024-23185", "Dovecot: a header of any size was held in memory", func(t *testing.T, h *host) { bomb(t, h, "CVE-2024-23185", envelope, 6<<20, longField) }},
		{"CVE-2026-27852", "Dovecot: addresses without number took memory", func(t *testing.T, h *host) { bomb(t, h, "CVE-2026-27852", envelope, 80000, manyAddresses) }},
		{"CVE-2010-0745", "Dovecot: a long header took the square of its length", func(t *testing.T, h *host) {
			bomb(t, h, "CVE-2010-0745", "BODY.PEEK[HEADER.FIELDS (SUBJECT)]", 20000, manyLines)
		}},
		{"CVE-2002-1337", "sendmail: <> in an address were counted wrongly, beyond a buffer", func(t *testing.T, h *host) { bomb(t, h, "CVE-2002-1337", envelope, 40000, manyBrackets) }},
		{"CVE-2009-1490", "sendmail: a long X- field overflowed the heap", func(t *testing.T, h *host) { bomb(t, h, "CVE-2009-1490", "BODY.PEEK[HEADER]", 800000, longX) }},
		{"CVE-2026-47088", "Cyrus: a comment that ends with a backslash was read beyond the message", brokenComments},
		{"CVE-2008-4907", "Dovecot: a From that is no address ended the session", brokenFroms},
		{"CVE-2017-14461", "Dovecot: an address that breaks off was read beyond its end", brokenAddresses},
		{"CVE-2011-1929", "Dovecot: NUL in the name of a field", nulInNames},
		{"CVE-2019-19722", "Dovecot: a group where a sender or a recipient is expected was a NULL pointer", groups},
		{"CVE-2020-25275", "Dovecot: a message as the ten-thousandth part ended the session", tenThousandParts},
		{"CVE-2020-7957", "Dovecot: a message with nothing to quote ended the process that makes previews", previews},
		{"CVE-2024-39929", "Exim: a file name on several lines was read wrongly, and so not blocked", fileNames},
		{"CVE-2020-14040", "Go x/text: UTF-16 of one byte was decoded for ever", func(t *testing.T, h *host) {
			oddCharsets(t, h, "CVE-2020-14040", "utf-16", "utf-16le", "utf-16be", "utf-32", "gb18030", "big5", "euc-kr", "hz-gb-2312", "utf-7", "replacement")
		}},
		{"CVE-2004-0224", "Courier: Shift JIS and ISO-2022-JP overflowed a buffer", func(t *testing.T, h *host) {
			oddCharsets(t, h, "CVE-2004-0224", "iso-2022-jp", "shift_jis", "iso-2022-kr", "cp932", "euc-jp")
		}},
		{"go-imap-no-parts", "go-imap: a multipart without parts was a panic", noParts},
		{"go-imap-from-line", "go-imap: one line that is no field made a message empty", strayLines},
	}))
}

// bomb fetches messages of most and of an eighth, which take the session bounded memory
// and time as long as they are. What is asked for again is from the cache, so
// that there are several of each.
func bomb(t *testing.T, h *host, name, item string, most int, build func(n int) string) {
	var messages []string
	for range 3 {
		messages = append(messages, build(most/8), build(most))
	}
	d := h.folder(name, messages...)
	_, session := d.processes()
	next := 0
	grows(t, session, 40, func() {
		linear(t, most, func(int) time.Duration {
			next++
			return d.spent(fmt.Sprintf("FETCH %d %s", next, item))
		})
	})
	d.alive()
	d.ok("LOGOUT")
}

func nestedParts(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
	}
	return b.String() + "\ntext\n" + strings.Repeat("--x\n", n)
}

func endlessParts(n int) string {
	return "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\nContent-Type: multipart/mixed; boundary=\"b\"\n\n", n)
}

func nestedMessages(n int) string {
	return strings.Repeat("Content-Type: message/rfc822\n\n", n) + "text\n"
}

func manyParameters(n int) string {
	var b strings.Builder
	b.WriteString("Content-Type: text/plain")
	for i := range n {
		fmt.Fprintf(&b, ";\n name*%d*=%%41", i)
	}
	return b.String() + "\nContent-Disposition: attachment" + strings.Repeat(`;x*1*="`, n) + "\n\ntext\n"
}

func manyFields(n int) string {
	return strings.Repeat("To: a@b\nCc: (c) d <e@f>\n", n) + "\ntext\n"
}

func longField(n int) string { return "Subject: " + strings.Repeat("x", n) + "\n\ntext\n" }

func manyAddresses(n int) string { return "To: " + strings.Repeat("a <b@c>,\n ", n) + "\n\ntext\n" }

func manyLines(n int) string { return "Subject: x\n" + strings.Repeat(" y\n", 10*n) + "\ntext\n" }

func manyBrackets(n int) string {
	return "From: " + strings.Repeat("<>", n) + "(" + strings.Repeat("()", n) + "\n\ntext\n"
}

func longX(n int) string {
	return "X-" + strings.Repeat("y", n) + ": " + strings.Repeat("z", n) + "\n\ntext\n"
}

// envelopes returns what ENVELOPE says of messages with these fields.
func envelopes(h *host, name string, fields ...string) (all []string, d *dialogue) {
	var messages []string
	for _, f := range fields {
		messages = append(messages, f+"\nMessage-ID: <end@of.envelope>\n\ntext\n")
	}
	d = h.folder(name, messages...)
	for i := range fields {
		got := d.ok(fmt.Sprintf("FETCH %d (ENVELOPE BODYSTRUCTURE)", i+1))
		if !strings.Contains(got, `"<end@of.envelope>")`) {
			h.t.Errorf("%q: ENVELOPE breaks off: %s", fields[i], got)
		}
		all = append(all, got)
	}
	return all, d
}

func brokenComments(t *testing.T, h *host) {
	nested := strings.Repeat("(", 5000)
	all, d := envelopes(h, "CVE-2026-47088", `From: a@b (c\`, `From: (\`, `To: `+nested+`\`, `From: a@b ((((\)`, `Subject: (\`, "From: a@b ("+nested)
	for _, got := range all {
		if len(got) > 20000 || strings.Contains(got, "\x00") {
			t.Errorf("%d bytes: %.200q", len(got), got)
		}
	}
	m := h.folder("CVE-2026-47088b", "Content-Type: text/plain; (\\\n\nx", "Content-Type: text/(\\", "Content-Disposition: (((\\")
	m.ok("FETCH 1:3 (BODYSTRUCTURE ENVELOPE)")
	d.alive()
}

func brokenFroms(t *testing.T, h *host) {
	all, _ := envelopes(h, "CVE-2008-4907", "From: ( Test User 3 <test3@test2.example>", "From: <", "From: @", "From:", "From: ,,,", `From: "`, "From: <@>", "From: a b c")
	for i, got := range all {
		if strings.Count(got, "ENVELOPE") != 1 {
			t.Errorf("%d: %s", i, got)
		}
	}
}

func brokenAddresses(t *testing.T, h *host) {
	all, _ := envelopes(h, "CVE-2017-14461", "From: aaaa@", "From: a(aa", `From: "aaa`, "From: <aaa@bbb", "From: aaa@[bbb", "From: aaa:", "From: <@a,@b", `From: "\`, "From: a@b.\xff\xfe")
	if !strings.Contains(all[0], `"aaaa"`) || !strings.Contains(all[3], `"aaa" "bbb"`) {
		t.Errorf("what is there is not shown: %s %s", all[0], all[3])
	}
}

func nulInNames(t *testing.T, h *host) {
	d := h.folder("CVE-2011-1929", "Sub\x00ject: a\nSubject\x00: b\n\x00: c\nSubject: right\nFrom: a\x00b@c\n\nte\x00xt\n")
	got := d.ok("FETCH 1 (ENVELOPE BODY.PEEK[HEADER.FIELDS (SUBJECT)] BODYSTRUCTURE)")
	if !strings.Contains(got, `"right"`) || !strings.Contains(got, "Subject: right") || strings.Contains(got, "Subject: a") {
		t.Errorf("got %q", got)
	}
	env, _, _ := strings.Cut(got[strings.Index(got, "ENVELOPE"):], "BODY[")
	if strings.Contains(env, "\x00") {
		t.Errorf("a string has NUL: %q", env)
	}
	d.ok(`SEARCH HEADER Subject "right" TEXT "xt"`)
	d.alive()
}

func groups(t *testing.T, h *host) {
	all, d := envelopes(h, "CVE-2019-19722", "From: undisclosed: ;\nTo: undisclosed:;", "From: a:b@c;,d@e\nSender: x:;\nReply-To: y:;", "To: a:b:c:;;;", "From: a:", "To: ;;;")
	if !strings.Contains(all[0], `((NIL NIL "undisclosed" NIL)(NIL NIL NIL NIL))`) {
		t.Errorf("got %s", all[0])
	}
	d.ok("SORT (FROM TO CC DISPLAYFROM) UTF-8 ALL")
	d.ok(`SEARCH FROM "undisclosed"`)
}

func tenThousandParts(t *testing.T, h *host) {
	for i, subtype := range []string{"mixed", "digest"} {
		var messages []string
		for _, n := range []int{9996, 9997, 9998, 9999, 10000, 10001, 10002} {
			messages = append(messages, "Content-Type: multipart/"+subtype+"; boundary=b\n\n"+strings.Repeat("--b\n\nx\n", n)+
				"--b\nContent-Type: message/rfc822\n\nSubject: in\n\ny\n--b\nContent-Type: multipart/digest; boundary=c\n\n--c\n\nSubject: z\n\n--c--\n--b--\n")
		}
		d := h.folder(fmt.Sprintf("CVE-2020-25275-%d", i), messages...)
		for k := range messages {
			got := d.ok(fmt.Sprintf("FETCH %d (BODYSTRUCTURE RFC822.SIZE)", k+1))
			if open, closed := strings.Count(got, "("), strings.Count(got, ")"); open != closed {
				t.Errorf("%s %d: %d parentheses open, %d close", subtype, k, open, closed)
			}
		}
		d.ok("FETCH 1:* BODY.PEEK[9999.HEADER]")
	}
}

func previews(t *testing.T, h *host) {
	d := h.folder("CVE-2020-7957", "\n", "Content-Type: text/plain\n\n\x01\n", "Content-Type: text/html\n\n<", "Content-Type: text/html\n\n<!--", "Content-Type: text/html\n\n<style",
		"Content-Type: text/html\n\n"+strings.Repeat("<style>", 3000), "Content-Type: text/html\n\n&#", "Content-Type: multipart/alternative; boundary=b\n\n--b--\n",
		"Content-Type: text/plain; charset=utf-8\n\n\xe2\x80", "Content-Transfer-Encoding: quoted-printable\n\n=\n=", "Content-Transfer-Encoding: base64\n\n=", "\n> \n> \n>\n", "")
	got := d.ok("FETCH 1:* PREVIEW")
	if n := strings.Count(got, "PREVIEW"); n != 13 {
		t.Errorf("%d previews: %s", n, got)
	}
	d.alive()
}

func fileNames(t *testing.T, h *host) {
	const part = "Content-Type: application/octet-stream\nContent-Disposition: attachment;\n filename*0=\"harmless.txt\";\n filename*1*=%%2e;\n filename*2=\"exe\"%s\n\nx\n"
	d := h.folder("CVE-2024-39929", fmt.Sprintf(part, ""), fmt.Sprintf(part, ";\n\tfilename=\"other.txt\""), "Content-Disposition: attachment; filename=\"a\n b.exe\"\n\nx\n")
	for i, want := range [][]string{{`"filename*" "''harmless.txt%2eexe"`}, {`"filename*" "''harmless.txt%2eexe"`, `"filename" "other.txt"`}, {`"a b.exe"`}} {
		got := d.ok(fmt.Sprintf("FETCH %d BODYSTRUCTURE", i+1))
		for _, w := range want {
			if !strings.Contains(strings.ToLower(got), w) {
				t.Errorf("no %s in %s", w, got)
			}
		}
	}
}

func oddCharsets(t *testing.T, h *host, name string, charsets ...string) {
	var messages []string
	for _, charset := range charsets {
		for _, text := range []string{"\xff", "\xfe\xff\xd8", "\x1b$B\x81", "\x81", "\x1b$\x1b$", "~{\x80", "\x84\x31\x95", "+2AA"} {
			messages = append(messages, fmt.Sprintf("Subject: =?%s?Q?=%02X?= =?%s?B?/w==?=\nContent-Type: text/plain; charset=%s\n\n%s", charset, text[0], charset, charset, text))
		}
	}
	d := h.folder(name, messages...)
	_, session := d.processes()
	grows(t, session, 12, func() {
		d.ok(`SEARCH CHARSET UTF-8 OR SUBJECT {2+}` + "\r\n\xc3\xa4 TEXT {2+}\r\n\xc3\xa4")
		d.ok("SORT (SUBJECT) UTF-8 ALL")
		d.ok("FETCH 1:* PREVIEW")
	})
	idles(t, session)
}

func noParts(t *testing.T, h *host) {
	d := h.folder("noparts", "Content-Type: multipart/mixed; boundary=b\n\n", "Content-Type: multipart/mixed; boundary=b\n\n--b--\n", "Content-Type: multipart/mixed\n\nx\n",
		"Content-Type: multipart/mixed; boundary=\"\"\n\n--\n--\n", "Content-Type: message/rfc822\n\n", "Content-Type: message/rfc822")
	got := d.ok("FETCH 1:* (BODYSTRUCTURE BODY)") + d.ok("FETCH 1:* BODY.PEEK[1.1.MIME]")
	if n := strings.Count(got, "BODYSTRUCTURE ("); n != 6 || strings.Contains(got, "BODYSTRUCTURE ()") {
		t.Errorf("%d structures: %s", n, got)
	}
	d.alive()
}

func strayLines(t *testing.T, h *host) {
	d := h.folder("straylines", "From a@b Mon Jan  1 00:00:00 2026\nSubject: one\n\ntext one\n", "Subject: two\nno field\nTo: a@b\n\ntext two\n", ": x\nSubject: three\n\ntext three\n")
	for i, word := range []string{"one", "two", "three"} {
		got := d.ok(fmt.Sprintf("FETCH %d (ENVELOPE BODY.PEEK[] BODY.PEEK[TEXT])", i+1))
		if !strings.Contains(got, `"`+word+`"`) || strings.Count(got, "text "+word) != 2 {
			t.Errorf("%s: %s", word, got)
		}
	}
}
