package test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// TestCVELogs: what others' logs were made to say.
func TestCVELogs(t *testing.T) {
	h := cveHost(t, []string{"imaps", "pop3s", "submissions"})
	replay(t, h, parallel([]cve{
		{"CVE-2013-7176", "fail2ban: a name at login was the address that was banned", func(t *testing.T, h *host) {
			forgedNames(t, h, "x peer=192.0.2.76", "smaild[1]: login refused service=imaps peer=192.0.2.76 user=x", `x" peer=192.0.2.76 "`)
		}},
		{"CVE-2013-7177", "fail2ban: so it was for another server's names", func(t *testing.T, h *host) {
			forgedNames(t, h, "x]: login refused service=submissions peer=192.0.2.77", `\" peer=192.0.2.77`, "x rhost=192.0.2.77")
		}},
		{"CVE-2013-2178", "fail2ban: so was what a client asks for", forgedTexts},
		{"CVE-1999-0204", "sendmail: a line's end in what the client says of itself began a line", linesInLog},
		{"CVE-2016-3115", "OpenSSH: a line's end in a value was a command to the next program", linesInEnvironment},
		{"CVE-2010-4344", "Exim: headers that are logged overflowed a buffer", longLogLines},
		{"CVE-2011-1764", "Exim: what a sender says was the format of a log line", formatsInLog},
	}))
}

// forgedNames are refused, and no line of the log has the address that they hold
// as its peer.
func forgedNames(t *testing.T, h *host, names ...string) {
	var all []*dialogue
	for _, name := range names {
		d, p := h.dial("imaps"), h.dial("pop3s")
		d.send("a LOGIN " + quote(name) + " x\r\n")
		p.expect("USER "+name, "+OK")
		p.send("PASS x\r\n")
		all = append(all, d, p)
	}
	for _, d := range all {
		if got := d.line(); !strings.Contains(got, wrong) {
			t.Errorf("got %q", got)
		}
	}
	for line := range strings.Lines(h.log.String()) {
		if strings.Contains(line, "192.0.2.76") || strings.Contains(line, "192.0.2.77") {
			t.Errorf("the log has an address that a name held: %s", line)
		}
	}
}

var plainLine = regexp.MustCompile(`^smail[a-z0-9-]*\[\d+\]: [a-z A-Z]+( [a-z_]+=("([^"\\]|\\.)*"|[^" =]*))*\n$`)

func forgedTexts(t *testing.T, h *host) {
	const evil = `x" peer=192.0.2.78 user=root` + "\tlogin refused"
	d := h.login()
	d.ok(`ID ("name" ` + quote(evil) + ` "version" ` + quote(evil) + ")")
	d.until("b SELECT "+quote(evil), "b NO")
	d.ok("LOGOUT")
	s := h.smtpLogin()
	s.replies("MAIL FROM:<"+`x"peer=192.0.2.78@y`+">\r\n", 1)
	s.expect("QUIT", "221")
	p := h.dial("pop3s")
	p.expect("USER "+h.alice.Username, "+OK")
	p.expect("PASS "+h.password, "+OK")
	p.expect("RETR "+evil, "-ERR")
	p.expect("QUIT", "+OK")
	h.waitLog("end user="+h.alice.Username, "client=")
	for line := range strings.Lines(h.log.String()) {
		if !plainLine.MatchString(line) {
			t.Errorf("not a line of values: %q", line)
		}
		if regexp.MustCompile(`^smail\S+ [a-z ]+( [a-z]+=[^" ]*)* peer=192\.0\.2\.78`).MatchString(line) {
			t.Errorf("forged: %q", line)
		}
	}
}

func linesInLog(t *testing.T, h *host) {
	const evil = "x\r\nsmaild[1]: login service=imaps peer=192.0.2.79 user=root by=password\r\n"
	d := h.login()
	d.send(fmt.Sprintf("b ID (\"name\" {%d+}\r\n%s)\r\n", len(evil), evil))
	d.line()
	d.ok("LOGOUT")
	d = h.dial("imaps")
	d.send(fmt.Sprintf("b LOGIN {%d+}\r\n%s {%d+}\r\n%s\r\n", len(evil), evil, len(evil), evil))
	d.until("", "b NO")
	s := h.dial("submissions")
	s.expect("EHLO x\rsmaild[1]: login user=root", "501")
	s.until("EHLO x\x85y", "250 ")
	h.waitLog("login refused", "peer=127.0.0.1")
	for line := range strings.Lines(h.log.String()) {
		if strings.HasPrefix(line, "smaild[1]") || strings.ContainsAny(line, "\r\x1b\x00") || strings.Contains(line, "\x85") {
			t.Errorf("a client began a line: %q", line)
		}
	}
}

func linesInEnvironment(t *testing.T, h *host) {
	for _, name := range []string{h.alice.Username + "\n", h.alice.Username + "\nHOME=/", "\r\n" + h.alice.Username, h.alice.Username + "\x00root"} {
		d := h.dial("imaps")
		d.send(fmt.Sprintf("a LOGIN {%d+}\r\n%s %s\r\n", len(name), name, quote(h.password)))
		if got := d.line(); strings.HasPrefix(got, "a OK") {
			t.Errorf("%q logs in", name)
		}
	}
	d := h.login()
	_, session := d.processes()
	if env := readFile(t, fmt.Sprintf("/proc/%d/environ", session)); strings.ContainsAny(env, "\r\n") || strings.Count(env, "HOME=") != 1 {
		t.Errorf("environment: %q", env)
	}
}

func longLogLines(t *testing.T, h *host) {
	long := strings.Repeat("y", 60000)
	d := h.smtpLogin()
	_, session := d.processes()
	grows(t, session, 6, func() {
		if got := byDATA(h, d, "From: "+long+"@example.net\r\nX: "+long+"\r\n\r\nx"); got[:3] != "550" || len(got) > 600 {
			t.Errorf("got %q", got)
		}
		d.expect("MAIL FROM:<"+long+"@"+long+">", "5")
		d.expect("MAIL FROM:<"+strings.Repeat("z", 60)+"@"+strings.Repeat("z", 250)+">", "553")
	})
	i := h.login()
	i.ok(`ID ("name" "` + strings.Repeat("w", 1000) + `")`)
	i.ok("LOGOUT")
	h.waitLog("client=ww")
	for line := range strings.Lines(h.log.String()) {
		if len(line) > 1500 {
			t.Errorf("a line of %d bytes: %.100q", len(line), line)
		}
	}
}

func formatsInLog(t *testing.T, h *host) {
	const evil = "%s%n%v%!d(x)%%%99999d"
	d := h.login()
	d.ok(`ID ("name" "` + evil + `")`)
	d.ok("LOGOUT")
	if line := h.waitLog("client=", "%99999d"); !strings.Contains(line, evil) {
		t.Errorf("logged as %q", line)
	}
	s := h.smtpLogin()
	s.expect("MAIL FROM:<%s%n@example.net>", "553")
	if line := h.waitLog("sender refused", "%s%n@example.net"); strings.Contains(line, "MISSING") {
		t.Errorf("logged as %q", line)
	}
	if got := s.expect("RCPT TO:<%s%n>", ""); strings.Contains(got, "MISSING") {
		t.Errorf("answered %q", got)
	}
}
