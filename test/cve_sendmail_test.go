package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCVESendmail: what reached a program that was started to send mail, by its
// arguments, its environment and its descriptors.
func TestCVESendmail(t *testing.T) {
	needRoot(t)
	for _, name := range []string{"PERL5OPT", "PERL5LIB", "BASH_ENV", "IFS", "LD_LIBRARY_PATH"} {
		t.Setenv(name, "/evil") // of who starts smaild
	}
	h := newHost(t)
	h.Config["relay"] = "sendmail " + h.spyingSendmail()
	h.WriteConfig()
	h.cheapPassword(h.alice.Username, h.password)
	h.serve("submissions")
	me := h.alice.Username
	replay(t, h, []cve{
		{"CVE-2016-10033", "PHPMailer: a sender was options of sendmail's", func(t *testing.T, h *host) {
			senderIsNoOption(t, h, `"x\" -oQ/tmp/ -X`+h.Dir+`/evil y"@localhost`, me+` -X`+h.Dir+`/evil@localhost`, "-X"+h.Dir+"/evil@localhost")
		}},
		{"CVE-2016-10045", "PHPMailer: so it was still, with other quotes", func(t *testing.T, h *host) {
			senderIsNoOption(t, h, `"x' -X`+h.Dir+`/evil '"@localhost`, me+`+'-X`+h.Dir+`/evil'"@localhost`, `'`+me+`'@localhost`)
		}},
		{"CVE-2016-9920", "Roundcube: the same, by -f", func(t *testing.T, h *host) {
			senderIsNoOption(t, h, me+"@localhost -OQueueDirectory="+h.Dir+" -X"+h.Dir+"/evil", "-f"+me+"@localhost", "-be@localhost")
		}},
		{"CVE-2020-7247", "OpenSMTPD: a local part was a command of the shell's", func(t *testing.T, h *host) {
			senderIsNoOption(t, h, ";touch "+h.Dir+"/evil;@localhost", ";touch${IFS}"+h.Dir+"/evil;", me+";id@localhost")
		}},
		{"CVE-2020-7769", "nodemailer: a recipient that begins with - was an option", recipientIsNoOption},
		{"CVE-2020-28247", "lettre: the same, for the sender and recipients", func(t *testing.T, h *host) {
			handedOver(t, h, "", []string{"-oQ" + h.Dir + "@example.net", "-bs@x"}, 0)
		}},
		{"CVE-2019-10149", "Exim: ${run in a recipient was carried out", func(t *testing.T, h *host) {
			handedOver(t, h, "", []string{`${run{/bin/touch\t` + h.Dir + `/evil}}@localhost`, "${run{touch}}@localhost", "$(id)@example.net", "`id`@example.net", "|id@example.net"}, -1)
		}},
		{"CVE-2010-4345", "Exim: a configuration of the user's, by -C, was root's", func(t *testing.T, h *host) {
			handedOver(t, h, "", []string{"-C" + h.Dir + "@x", "-D@x", "b@example.net"}, 1)
		}},
		{"CVE-2016-1531", "Exim: the environment of who started it was handed on", ownEnvironment},
		{"CVE-2014-6271", "Shellshock: a client's text in the environment was carried out", textInEnvironment},
		{"CVE-2008-3889", "Postfix: a program that was started had a descriptor too many", ownDescriptors},
		{"CVE-2020-28012", "Exim: a program that was started had the end of root's pipe", ownDescriptors},
		{"CVE-2020-28015", "Exim: a line's end in an address was one in the queue file", linesInArguments},
		{"CVE-2014-2957", "Exim: From was expanded", expansionsInHeader},
	})
	if isFile(filepath.Join(h.Dir, "evil")) {
		t.Error("a file was written")
	}
}

// spyingSendmail notes its arguments, a line each with its length, its
// environment, and its descriptors.
func (h *host) spyingSendmail() string {
	h.t.Helper()
	spy := filepath.Join(h.Dir, "outbox")
	path := h.write("sendmail", fmt.Sprintf(`#!/bin/sh
cat >'%[1]s/mail'
tr '\0' '\n' </proc/$$/cmdline >'%[1]s/args'
tr '\0' '\n' </proc/$$/environ >'%[1]s/env'
{ ls -l /proc/$$/fd; } | cat >'%[1]s/fds'
exit 0
`, spy))
	os.Chmod(path, 0o755)
	return path
}

// spied returns what sendmail has noted, and forgets it.
func (h *host) spied(what string) string {
	path := filepath.Join(h.Dir, "outbox", what)
	b, _ := os.ReadFile(path)
	os.Remove(path)
	return string(b)
}

// senderIsNoOption: none of these is taken, and sendmail is not started.
func senderIsNoOption(t *testing.T, h *host, senders ...string) {
	h.spied("args")
	for _, from := range senders {
		d := h.smtpLogin()
		if got := d.replies("MAIL FROM:<"+from+">\r\n", 1)[0]; got[0] != '5' {
			t.Errorf("%q: %q", from, got)
		}
		d.replies("RCPT TO:<b@example.net>\r\n", 1)
		if got := d.replies("DATA\r\n", 1)[0]; got[0] != '5' {
			t.Errorf("%q: DATA: %q", from, got)
		}
	}
	if args := h.spied("args"); args != "" {
		t.Errorf("sendmail was started with %q", args)
	}
	handedOver(t, h, "", []string{"b@example.net"}, 1)
}

func recipientIsNoOption(t *testing.T, h *host) {
	handedOver(t, h, "", []string{"-X" + h.Dir + "/evil@example.net", "-OQueueDirectory=/tmp@example.net", "-bi@example.net", "--@example.net", "b@example.net"}, 1)
}

// handedOver sends a message to some recipients, of which so many (-1: any) are
// taken; sendmail has each as one argument, behind --.
func handedOver(t *testing.T, h *host, body string, to []string, want int) {
	t.Helper()
	h.spied("args")
	d := h.smtpLogin()
	me := h.alice.Username + "@localhost"
	d.expect("MAIL FROM:<"+me+">", "250")
	var taken []string
	for _, r := range to {
		if got := d.replies("RCPT TO:<"+r+">\r\n", 1)[0]; got[:3] == "250" {
			taken = append(taken, r)
		}
	}
	if want >= 0 && len(taken) != want {
		t.Errorf("%q were taken, want %d of %q", taken, want, to)
	}
	if len(taken) == 0 {
		return
	}
	d.expect("DATA", "354")
	d.send("Subject: x\r\n" + body + "\r\n\r\nx\r\n.\r\n")
	if got := d.line(); got[:3] != "250" {
		t.Errorf("got %q", got)
	}
	_, args, _ := strings.Cut(h.spied("args"), "sendmail\n")
	if want := "-i\n-f\n" + me + "\n--\n" + strings.Join(taken, "\n") + "\n"; args != want {
		t.Errorf("arguments %q, want %q", args, want)
	}
}

func ownEnvironment(t *testing.T, h *host) {
	h.spied("env")
	handedOver(t, h, "", []string{"b@example.net"}, 1)
	known := "HOME USER LOGNAME SHELL PATH GOMAXPROCS SMAIL_SERVICE SMAIL_PEER SMAIL_BY SMAIL_COUNTS PWD"
	env := h.spied("env")
	if !strings.Contains(env, "HOME=") {
		t.Errorf("environment: %q", env)
	}
	for line := range strings.Lines(env) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if !contains(known, name) {
			t.Errorf("sendmail has %s=%s", name, value)
		}
		if name == "PATH" && value != "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin" {
			t.Errorf("sendmail has PATH=%s", value)
		}
	}
}

func textInEnvironment(t *testing.T, h *host) {
	const evil = "() { :;}; touch /evil"
	d := h.dial("submissions")
	d.expect("EHLO "+evil, "501")
	d.until("EHLO ()", "501")
	d.until("EHLO evil-name.example", "250 ")
	d.expect("AUTH PLAIN "+plain(h.alice.Username, h.password), "235")
	d.expect("MAIL FROM:<"+h.alice.Username+"@localhost> ENVID=evil-id", "250")
	d.expect("RCPT TO:<evil-rcpt@example.net>", "250")
	d.expect("DATA", "354")
	d.expect("Subject: "+evil+"\r\n\r\nx\r\n.", "250")
	if env := h.spied("env"); env == "" || strings.Contains(env, "evil") || strings.Contains(env, "()") {
		t.Errorf("environment: %s", env)
	}
}

func ownDescriptors(t *testing.T, h *host) {
	h.spied("fds")
	handedOver(t, h, "", []string{"b@example.net"}, 1)
	fds := h.spied("fds")
	for line := range strings.Lines(fds) {
		_, link, ok := strings.Cut(strings.TrimSpace(line), " -> ")
		f := strings.Fields(line)
		if !ok || len(f) < 9 {
			continue
		}
		fd := f[8]
		switch {
		case contains("0 1 2", fd), strings.HasSuffix(link, "/sendmail"), fd == "255":
		default:
			t.Errorf("sendmail has descriptor %s: %s", fd, link)
		}
	}
	if strings.Count(fds, " -> ") < 3 {
		t.Errorf("descriptors: %s", fds)
	}
}

func linesInArguments(t *testing.T, h *host) {
	d := h.smtpLogin()
	h.spied("args")
	d.expect("MAIL FROM:<"+h.alice.Username+"@localhost>", "250")
	for _, to := range []string{"b@example.net\rX", "b\r@example.net", "b@exa\x0bmple.net", "b@example.net\x00", "\tb@example.net"} {
		if got := d.replies("RCPT TO:<"+to+">\r\n", 1)[0]; got[0] != '5' {
			t.Errorf("%q: %q", to, got)
		}
	}
	d = h.smtpLogin()
	d.expect("MAIL FROM:<"+h.alice.Username+"@localhost>", "250")
	d.send("RCPT TO:<b@example.net>\nRCPT TO:<c@example.net>\r\n") // LF ends a command, too: two are two
	for range 2 {
		d.line()
	}
	d.expect("DATA", "354")
	d.expect("Subject: x\r\n\r\nx\r\n.", "250")
	args := h.spied("args")
	for line := range strings.Lines(args) {
		if strings.ContainsAny(strings.TrimSuffix(line, "\n"), "\r\x00 \t") {
			t.Errorf("an argument is %q", line)
		}
	}
	if !strings.HasSuffix(args, "--\nb@example.net\nc@example.net\n") {
		t.Errorf("arguments %q", args)
	}
}

func expansionsInHeader(t *testing.T, h *host) {
	const from = "${run{/bin/touch evil}} $sender `id` <%s>"
	handedOver(t, h, "From: "+fmt.Sprintf(from, h.alice.Username+"@localhost"), []string{"b@example.net"}, 1)
	// Whether it is taken or not is net/mail's to say; what is handed over is as sent.
	if mail := h.spied("mail"); !strings.Contains(mail, "${run{/bin/touch evil}}") {
		t.Errorf("handed over: %q", mail)
	}
}
