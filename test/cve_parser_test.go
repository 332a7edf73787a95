package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCVEParsers: commands that made other servers' parsers of IMAP, POP3 and
// SMTP write, read or loop where they should not.
func TestCVEParsers(t *testing.T) {
	h := cveHost(t, []string{"imaps", "pop3s", "submissions"})
	replay(t, h, parallel([]cve{
		{"CVE-2019-11500", "Dovecot: a NUL in a quoted string made the parser write out of bounds, before login and after it", nulInQuoted},
		{"CVE-2020-10957", "Dovecot submission-login: a malformed parameter of NOOP was a NULL pointer", malformedNoop},
		{"CVE-2020-10958", "Dovecot submission-login: many empty lines behind a command used memory that was freed", emptyLines},
		{"CVE-2020-10967", "Dovecot lmtp, submission: an empty quoted local part ended the process", emptyLocalPart},
		{"CVE-2020-7046", "Dovecot lib-smtp: UTF-8 that breaks off made the process loop for ever", truncatedUTF8},
		{"CVE-2019-11494", "Dovecot submission-login: a client that left in the middle of AUTH was a NULL pointer", leaveWithinAuth},
		{"CVE-2019-11499", "Dovecot submission-login: an invalid response to AUTH over TLS ended the process", invalidAuth},
		{"CVE-2020-12673", "Dovecot: NTLM read beyond a message that was too short", func(t *testing.T, h *host) { unknownMechanism(h, "NTLM", "TlRMTVNTUAABAAAA") }},
		{"CVE-2020-12674", "Dovecot: RPA took a message of no length", func(t *testing.T, h *host) { unknownMechanism(h, "RPA", "=") }},
		{"CVE-2023-42115", "Exim: AUTH EXTERNAL wrote out of bounds", func(t *testing.T, h *host) { unknownMechanism(h, "EXTERNAL", "=") }},
		{"CVE-2023-42114", "Exim: NTLM's challenge was read out of bounds", func(t *testing.T, h *host) {
			unknownMechanism(h, "NTLM", "TlRMTVNTUAADAAAA"+strings.Repeat("/", 400))
		}},
		{"CVE-2018-6789", "Exim: base64 of a length that is no multiple of four overflowed by a byte", oddBase64},
		{"CVE-2004-1012", "Cyrus: the end of an incomplete BODY[ was looked for beyond the command", func(t *testing.T, h *host) {
			brokenFetch(h, "CVE-2004-1012", "BODY[", "BODY[HEADER.FIELDS (", "BODY[]<", "BODY[]<1", "BODY[]<1.", "(BODY[TEXT]")
		}},
		{"CVE-2004-1013", "Cyrus: a FETCH that ends within an item wrote beyond it", func(t *testing.T, h *host) {
			brokenFetch(h, "CVE-2004-1013", "(", "(FLAGS", "BODY[1.", "BODY[1.MIME", "BINARY[", "(PREVIEW (", "BODY.PEEK[]<0.1")
		}},
		{"CVE-2002-0379", "UW imapd: a long section of BODY overflowed a buffer", func(t *testing.T, h *host) {
			brokenFetch(h, "CVE-2002-0379", "BODY["+strings.Repeat("1.", 5000)+"1]", "BODY["+strings.Repeat("A", 9000)+"]")
		}},
		{"CVE-2015-8076", "Cyrus: the range of a partial fetch was not checked against the message", partialRange},
		{"CVE-2015-8077", "Cyrus: the offset of a partial URL overflowed", func(t *testing.T, h *host) { partialURL(t, h, "CVE-2015-8077", "9223372036854775807.2") }},
		{"CVE-2015-8078", "Cyrus: the length of a partial URL overflowed when the offset was added", func(t *testing.T, h *host) { partialURL(t, h, "CVE-2015-8078", "3.9223372036854775807") }},
		{"CVE-2005-2933", "UW c-client: a quote within a mailbox name was copied without end", quoteInMailbox},
		{"CVE-2018-19518", "UW c-client: a mailbox in braces started a program with options of the client's", braceMailbox},
		{"CVE-2017-14230", "Cyrus: LIST of a namespace's name without its separator told what is not the user's", otherUsers},
		{"CVE-2000-0284", "UW imapd: long arguments of LIST, COPY, RENAME overflowed a buffer", longArguments},
		{"CVE-2021-40111", "Apache James: APPEND and STATUS that break off made the parser loop", unfinishedCommands},
		{"CVE-2020-24386", "Dovecot: a command within IDLE reached other users' mail", commandsWithinIdle},
		{"CVE-2020-28022", "Exim: a parameter of MAIL without a name was read before its beginning", mailParameters},
		{"CVE-2015-7687", "OpenSMTPD: VRFY used memory that was freed", verify},
	}))
}

func nulInQuoted(t *testing.T, h *host) {
	d := h.dial("imaps")
	d.expect("a LOGIN \"x\x00"+strings.Repeat("y", 3000)+"\" \"z\x00\"", "a BAD A quoted string may not hold")
	d.until("b NOOP", "b OK")
	d = h.login()
	for _, command := range []string{"CREATE \"a\x00b\"", "LIST \"\" \"\x00\"", "SELECT \"\\\x00\"", "ID (\"name\" \"\x00\x00\\\"\")"} {
		d.expect("c "+command, "c BAD")
	}
	if got := d.until(`d LIST "" *`, "d OK"); strings.Contains(got, "\x00") {
		t.Errorf("a folder has NUL: %q", got)
	}
}

func malformedNoop(t *testing.T, h *host) {
	for _, parameter := range []string{"\x00", "\xff\xfe", "\"", "<", "=", strings.Repeat("(", 2000), "\"\\"} {
		d := h.dial("submissions")
		d.until("EHLO x", "250 ")
		d.expect("NOOP "+parameter, "250 2.0.0")
		d.expect("NOOP", "250 2.0.0")
	}
	d := h.smtpLogin()
	d.expect("NOOP \x00\xff\"<", "250 2.0.0")
	d.expect("NOOP", "250 2.0.0")
}

func emptyLines(t *testing.T, h *host) {
	d := h.dial("submissions")
	go d.Write([]byte("EHLO x\r\n" + strings.Repeat("\r\n", 1000) + "NOOP\r\n"))
	got := d.rest()
	if n := strings.Count(got, "500 5.5.2"); n < 1 || n > 10 || !strings.HasSuffix(got, "421 4.7.0 Too many bad commands\r\n") {
		t.Errorf("%d errors, then %q", n, got[max(0, len(got)-60):])
	}
	d = h.smtpLogin()
	go d.Write([]byte("NOOP\r\n" + strings.Repeat("\r\n", 1000)))
	if got := d.rest(); !strings.HasPrefix(got, "250 2.0.0") || strings.Count(got, "\r\n") > 10 {
		t.Errorf("after login: %d lines, %q", strings.Count(got, "\r\n"), got[max(0, len(got)-300):])
	}
	h.dial("submissions").until("EHLO x", "250 ")
}

func emptyLocalPart(t *testing.T, h *host) {
	d := h.smtpLogin()
	for _, from := range []string{`""@localhost`, `"\"@localhost`, `""`, `" "@localhost`} {
		if got := d.replies("MAIL FROM:<"+from+">\r\n", 1)[0]; got[0] != '5' {
			t.Errorf("MAIL FROM:<%s>: %q", from, got)
		}
		d.send("RSET\r\n")
		d.line()
	}
	d = h.smtpLogin()
	d.expect("MAIL FROM:<"+h.alice.Username+"@localhost>", "250")
	for _, to := range []string{`""@example.net`, `"\`, `""`} {
		if got := d.replies("RCPT TO:<"+to+">\r\n", 1)[0]; got[0] != '5' {
			t.Errorf("RCPT TO:<%s>: %q", to, got)
		}
	}
	d.expect("RCPT TO:<b@example.net>", "250")
}

func truncatedUTF8(t *testing.T, h *host) {
	d := h.dial("submissions")
	front, _ := d.processes()
	d.until("EHLO x\xe4\xb8", "250 ")
	d.expect("NOOP \xf0\x9f\x92", "250")
	d.expect("MAIL FROM:<\xc3@localhost> SMTPUTF8", "5")
	idles(t, front)
	d = h.smtpLogin()
	front, session := d.processes()
	d.expect("MAIL FROM:<\xe4\xb8@localhost> SMTPUTF8", "5")
	d.expect("NOOP \xf0\x9f\x92", "250")
	idles(t, front)
	idles(t, session)
}

func leaveWithinAuth(t *testing.T, h *host) {
	for _, c := range []struct{ service, say, last string }{
		{"submissions", "EHLO x\r\nAUTH PLAIN\r\n", "334 "}, {"submissions", "EHLO x\r\nAUTH LOGIN\r\nYQ==\r\n", "334 UGFzc3dvcmQ6"},
		{"imaps", "a AUTHENTICATE PLAIN\r\n", "+"}, {"pop3s", "AUTH PLAIN\r\n", "+"},
	} {
		d := h.dial(c.service)
		d.send(c.say)
		for !strings.HasPrefix(d.line(), c.last) {
		}
		before := strings.Count(h.log.String(), "no login service="+c.service)
		d.send("AG")
		d.Close()
		for strings.Count(h.log.String(), "no login service="+c.service) == before {
			h.waitLog("no login", "service="+c.service)
		}
	}
	h.login().alive()
}

func invalidAuth(t *testing.T, h *host) {
	d := h.dial("submissions")
	d.until("EHLO x", "250 ")
	for _, response := range []string{"!!!!", "=", "AA", "\x00\x00\x00\x00"} {
		d.expect("AUTH PLAIN", "334")
		d.expect(response, "501 5.5.2")
	}
	d.expect("NOOP", "250")
	i := h.dial("imaps")
	for _, response := range []string{"!!!!", "=", "AGE="} {
		i.expect("a AUTHENTICATE PLAIN", "+")
		i.expect(response, "a BAD")
	}
	i.until("b NOOP", "b OK")
}

// unknownMechanism is refused by each service, and what comes with it or behind
// it is not taken for a response.
func unknownMechanism(h *host, name, response string) {
	d := h.dial("submissions")
	d.until("EHLO x", "250 ")
	d.expect("AUTH "+name+" "+response, "504 5.5.4")
	d.expect("AUTH "+name, "504 5.5.4")
	d.expect("NOOP", "250")
	d = h.dial("imaps")
	d.expect("a AUTHENTICATE "+name+" "+response, "a NO [CANNOT]")
	d.expect("b AUTHENTICATE "+name, "b NO [CANNOT]")
	d.until("c NOOP", "c OK")
	d = h.dial("pop3s")
	d.expect("AUTH "+name+" "+response, "-ERR Only PLAIN")
	d.expect("NOOP", "+OK")
}

func oddBase64(t *testing.T, h *host) {
	for _, lengths := range [][]int{{1, 2, 3, 5, 6}, {255, 257, 1021, 4097, 8190}} {
		d := h.dial("submissions")
		d.until("EHLO x", "250 ")
		for _, n := range lengths {
			d.expect("AUTH PLAIN "+strings.Repeat("A", n), "501 5.5.2")
		}
		d.expect("NOOP", "250")
	}
}

func brokenFetch(h *host, name string, items ...string) {
	d := h.folder(name, "Subject: x\n\ntext\n")
	for _, item := range items {
		d.expect("c FETCH 1 "+item, "c BAD")
		d.ok("UID FETCH 1 FLAGS")
	}
}

func partialRange(t *testing.T, h *host) {
	d := h.folder("CVE-2015-8076", "Subject: x\n\ntext\n")
	const most = "9223372036854775807"
	for partial, want := range map[string]string{
		"<" + most + "." + most + ">": "BODY[]<" + most + "> {0}", "<20.1>": "BODY[]<20> {0}",
		"<1." + most + ">": "BODY[]<1> {19}", "<14." + most + ">": "BODY[]<14> {6}",
	} {
		if got := d.until("c FETCH 1 BODY.PEEK[]"+partial, "c OK"); !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", partial, got, want)
		}
	}
	for _, partial := range []string{"<-1.5>", "<0.0>", "<0.-1>", "<9223372036854775808.1>", "<0.18446744073709551616>"} {
		d.expect("c FETCH 1 BODY.PEEK[]"+partial, "c BAD")
	}
	d.alive()
}

// partialURL gives APPEND a part of a message of which only what is there comes.
func partialURL(t *testing.T, h *host, name, partial string) {
	d := h.folder(name, "Subject: x\n\ntext\n")
	d.send(fmt.Sprintf("c APPEND %s CATENATE (TEXT {10+}\r\nA: b\r\n\r\n== URL \"/%s/;UID=1/;SECTION=TEXT/;PARTIAL=%s\")\r\n", name, name, partial))
	got := d.until("d NOOP", "d OK")
	if !strings.Contains(got, "c OK [APPENDUID") && !strings.Contains(got, "c NO [BADURL") {
		t.Fatalf("got %s", got)
	}
	if strings.Contains(got, "c OK") {
		got = d.until("e FETCH 2 RFC822.SIZE", "e OK")
		if !strings.Contains(got, "RFC822.SIZE 10)") && !strings.Contains(got, "RFC822.SIZE 13)") {
			t.Errorf("of a part that has 6 bytes came more, or less: %s", got)
		}
	}
	d.alive()
}

func quoteInMailbox(t *testing.T, h *host) {
	d := h.login()
	for _, name := range []string{`"{x/user=\"` + strings.Repeat("A", 2000) + `}"`, `"{\"}INBOX"`, `"\"` + strings.Repeat("'", 900) + `"`} {
		if got := d.until("b SELECT "+name, "b "); !strings.Contains(got, "b NO") {
			t.Errorf("SELECT %.40s: %s", name, got)
		}
	}
	if got := d.until(`c SELECT "INBOX`, "c "); !strings.Contains(got, "c BAD") {
		t.Errorf("a quote without an end: %s", got)
	}
	d.alive()
}

func braceMailbox(t *testing.T, h *host) {
	d := h.login()
	mark := filepath.Join(h.alice.HomeDir, "started")
	for _, command := range []string{"SELECT", "EXAMINE", "CREATE", "DELETE", "SUBSCRIBE"} {
		d.until(fmt.Sprintf(`b %s "{x -oProxyCommand=touch$IFS%s}INBOX"`, command, mark), "b ")
		d.until(fmt.Sprintf(`b %s "{x -oProxyCommand=touch	%s}"`, command, mark), "b NO [CANNOT]")
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("a program was started")
	}
	d.alive()
}

func otherUsers(t *testing.T, h *host) {
	d := h.login()
	for _, arguments := range []string{`"" "Other Users"`, `"" "Other Users.%"`, `"Other Users" "*"`, `"user" "%"`, `"~` + h.bob.Username + `" "*"`, `"#shared" "*"`} {
		if got := d.ok("LIST " + arguments); strings.Contains(got, "* LIST") {
			t.Errorf("LIST %s: %s", arguments, got)
		}
	}
	if got := d.ok("NAMESPACE"); !strings.Contains(got, "NIL NIL") {
		t.Errorf("namespaces of others: %s", got)
	}
}

func longArguments(t *testing.T, h *host) {
	d := h.folder("CVE-2000-0284", "Subject: x\n\ntext\n")
	long := strings.Repeat("A", 8000)
	for _, command := range []string{`LIST "" ` + long, `LIST ` + long + ` "%"`, "RENAME " + long + " b", "COPY 1 " + long, "DELETE " + long, "FIND ALL.MAILBOXES /" + long} {
		if got := d.until("c "+command, "c "); strings.Contains(got, "c OK") {
			t.Errorf("%.20s was carried out", command)
		}
		d.alive()
	}
}

func unfinishedCommands(t *testing.T, h *host) {
	d := h.login()
	_, session := d.processes()
	for _, command := range []string{"APPEND INBOX (", "APPEND INBOX (\\Seen", `APPEND INBOX "`, `APPEND INBOX () "`, "APPEND INBOX () {", "APPEND INBOX {5",
		"STATUS INBOX", "STATUS INBOX (", "STATUS INBOX (MESSAGES", "STATUS INBOX )", "STATUS ("} {
		d.expect("b "+command, "b BAD")
		d.ok("STATUS INBOX (MESSAGES)")
	}
	idles(t, session)
}

func commandsWithinIdle(t *testing.T, h *host) {
	d := h.folder("CVE-2020-24386", "Subject: x\n\ntext\n")
	for _, inside := range []string{"DONE x", "c SELECT ../" + h.bob.Username, "DONE\x00", "c DELETE CVE-2020-24386", "done {3+}"} {
		d.expect("b IDLE", "+")
		d.expect(inside, "b BAD DONE ends IDLE")
	}
	d.expect("b IDLE", "+")
	d.send("DONE\r\nc FETCH 1 BODY.PEEK[HEADER]\r\n")
	if got := d.until("d NOOP", "d OK"); !strings.Contains(got, "b OK") || !strings.Contains(got, "Subject: x") {
		t.Errorf("after IDLE: %s", got)
	}
	_, session := d.processes()
	if uid := strings.Fields(status(t, session, "Uid"))[0]; uid != h.alice.Uid {
		t.Errorf("the session has uid %s", uid)
	}
}

func mailParameters(t *testing.T, h *host) {
	d := h.smtpLogin()
	for _, p := range []string{"=", "=x", " =", "SIZE", "SIZE=", "SIZE=-1", "SIZE=x", "BODY=", "BODY", "AUTH", "AUTH=", "RET=", "ENVID", "X=Y=Z"} {
		got := d.replies("MAIL FROM:<"+h.alice.Username+"@localhost> "+p+"\r\n", 1)[0]
		if p != "ENVID" && got[0] != '5' {
			t.Errorf("%q: %q", p, got)
		}
		d.expect("RSET", "250")
		d = h.smtpLogin()
	}
}

func verify(t *testing.T, h *host) {
	d := h.smtpLogin()
	for _, c := range []string{"VRFY", "VRFY root", "VRFY " + strings.Repeat("x", 4000), "EXPN root"} {
		if got := d.replies(c+"\r\n", 1)[0]; !strings.HasPrefix(got, "252") && !strings.HasPrefix(got, "50") || strings.Contains(got, "root") {
			t.Errorf("%.10s: %q", c, got)
		}
	}
	d.expect("NOOP", "250")
	d = h.dial("submissions")
	d.until("EHLO x", "250 ")
	d.expect("VRFY root", "530")
}
