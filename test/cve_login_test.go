package test

import (
	"encoding/base64"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestCVELogin: how others let in whom they should not, or told who is there.
func TestCVELogin(t *testing.T) {
	h := cveHost(t, []string{"imaps", "pop3s", "submissions"})
	replay(t, h, parallel([]cve{
		{"CVE-2008-1218", "Dovecot: a TAB in the password gave the process that checks it parameters of its own", tabInPassword},
		{"CVE-2017-2669", "Dovecot: % in a name was expanded", func(t *testing.T, h *host) {
			refusedNames(t, h, "%u", "%{env:HOME}", "%%", "%n%n%s", "$USER", "${USER}", "`id`")
		}},
		{"CVE-2021-29157", "Dovecot: a path in what a client says chose the file with the secret", func(t *testing.T, h *host) {
			refusedNames(t, h, "../"+h.alice.Username, "/etc/passwd", h.alice.Username+"/.", "./"+h.alice.Username, "..")
		}},
		{"CVE-2022-30550", "Dovecot: a master user's rights came to a user", func(t *testing.T, h *host) {
			refusedNames(t, h, h.bob.Username+"*"+h.alice.Username, h.alice.Username+"*", "*"+h.alice.Username, h.bob.Username+"*root")
		}},
		{"CVE-2019-10691", "Dovecot: a name that is no UTF-8 ended the process that checks it", func(t *testing.T, h *host) {
			refusedNames(t, h, h.alice.Username+"\xc3", "\xff\xfe", "\xed\xa0\x80", h.alice.Username+"\xe2\x80\x8b")
		}},
		{"CVE-2026-0394", "Dovecot: a domain was a part of the path of a file of passwords", func(t *testing.T, h *host) {
			refusedNames(t, h, h.alice.Username+"@../../../etc/passwd", h.alice.Username+"@", h.alice.Username+"@/", "@example.org", h.alice.Username+"@example.org@x")
		}},
		{"CVE-2025-59028", "Dovecot: a response that is no base64 ended the logins of others", othersLogins},
		{"CVE-2004-1011", "Cyrus: a long name at LOGIN overflowed the stack", func(t *testing.T, h *host) {
			refusedNames(t, h, strings.Repeat("a", 4000), strings.Repeat(h.alice.Username, 30), strings.Repeat("a", 256))
		}},
		{"CVE-2004-0777", "Courier: a name was the format of a log line", func(t *testing.T, h *host) {
			refusedNames(t, h, "%s%s%s%n", "%08x.%08x", "%!s(MISSING)", "%99999d")
		}},
		{"CVE-2006-2659", "Courier: a name of many = took time without bound", func(t *testing.T, h *host) {
			refusedNames(t, h, strings.Repeat("=", 200), strings.Repeat("=3D", 1000))
		}},
		{"CVE-2023-27582", "maddy: with a name to act for, the password was not looked at", actForAnother},
		{"CVE-2025-30189", "Dovecot: users shared an entry in the cache of passwords", passwordsOfOthers},
		{"CVE-2016-6515", "OpenSSH: a password of any length was hashed", longPasswords},
		{"CVE-2016-6210", "OpenSSH: a long password took less time for a name that is none", sameTime},
		{"CVE-2018-15473", "OpenSSH: a malformed request was answered otherwise for a name that is none", sameWords},
		{"CVE-2003-0190", "OpenSSH with PAM: a name that is none was refused at once", refusedAtOnce},
		{"CVE-2015-5600", "OpenSSH: other ways to log in gave more tries than one connection has", moreTries},
		{"CVE-2011-1720", "Postfix: a second mechanism after a failed AUTH used what the first had freed", anotherMechanism},
		{"CVE-2008-1199", "Dovecot: a session had a group that its user has not", ownGroups},
		{"CVE-2010-0301", "maildrop: a delivery as the user kept root's group", ownGroups},
	}))
}

const wrong = "Wrong name or password"

// refusedNames are so with alice's own password, by IMAP and by SMTP, and leave
// nothing of themselves in the log.
func refusedNames(t *testing.T, h *host, names ...string) {
	done := make(chan string, 2*len(names))
	for _, name := range names {
		i, s := h.dial("imaps"), h.dial("submissions")
		response := plain(name, h.password)
		if len(response) > 1000 {
			i.send("a AUTHENTICATE PLAIN\r\n")
			i.line()
			i.send(response + "\r\n")
		} else {
			i.send("a AUTHENTICATE PLAIN " + response + "\r\n")
		}
		s.until("EHLO x", "250 ")
		s.send("AUTH PLAIN " + response + "\r\n")
		go func() { l, _ := i.r.ReadString('\n'); done <- fmt.Sprintf("%.40q: %s", name, l) }()
		go func() { l, _ := s.r.ReadString('\n'); done <- fmt.Sprintf("%.40q: %s", name, l) }()
	}
	for range 2 * len(names) {
		got := <-done
		if !strings.HasSuffix(got, "a NO [AUTHENTICATIONFAILED] "+wrong+"\r\n") && !strings.HasSuffix(got, "535 5.7.8 "+wrong+"\r\n") {
			t.Errorf("%s", got)
		}
	}
	for _, name := range names {
		if len(name) > 2 && strings.Contains(h.log.String(), "user="+name) {
			t.Errorf("the log has %.40q", name)
		}
	}
	h.login().alive()
}

func tabInPassword(t *testing.T, h *host) {
	d, p := h.dial("imaps"), h.dial("pop3s")
	p.expect("USER "+h.alice.Username, "+OK")
	p.send("PASS wrong\tskip_password_check=\tnologin=\r\n")
	d.expect("a LOGIN "+h.alice.Username+" \"wrong\tskip_password_check=1\tuser="+h.bob.Username+"\"", "a NO [AUTHENTICATIONFAILED]")
	if got := p.line(); got != "-ERR [AUTH] "+wrong {
		t.Errorf("got %q", got)
	}
	p.expect("USER "+h.alice.Username+"\t", "+OK")
	p.expect("PASS "+h.password, "-ERR [AUTH]")
}

func actForAnother(t *testing.T, h *host) {
	response := func(as, name, password string) string {
		return base64.StdEncoding.EncodeToString([]byte(as + "\x00" + name + "\x00" + password))
	}
	alice, bob := h.alice.Username, h.bob.Username
	for _, r := range []string{response(bob, alice, h.password), response("root", alice, h.password), response(bob, alice, "wrong"), response(alice, alice, h.password+"\x00")} {
		d, s := h.dial("imaps"), h.dial("submissions")
		d.expect("a AUTHENTICATE PLAIN "+r, "a BAD Not a response of PLAIN")
		s.until("EHLO x", "250 ")
		s.expect("AUTH PLAIN "+r, "501 5.5.2")
	}
	d := h.dial("imaps")
	d.expect("a AUTHENTICATE PLAIN "+response(alice, alice, "wrong"), "a NO [AUTHENTICATIONFAILED]")
	d.expect("a AUTHENTICATE PLAIN "+response(alice, alice, h.password), "a OK")
}

func passwordsOfOthers(t *testing.T, h *host) {
	d := h.login()
	d.ok("CREATE alices")
	b := h.dial("imaps")
	b.expect("a LOGIN "+h.bob.Username+" "+quote(h.password), "a NO [AUTHENTICATIONFAILED]")
	b.until("a LOGIN "+h.bob.Username+" "+quote(bobsPassword), "a OK")
	if got := b.ok(`LIST "" *`); strings.Contains(got, "alices") {
		t.Errorf("bob has alice's mail: %s", got)
	}
	_, session := b.processes()
	if uid := strings.Fields(status(t, session, "Uid"))[0]; uid != h.bob.Uid {
		t.Errorf("bob's session has uid %s", uid)
	}
	h.dial("imaps").expect("a LOGIN "+h.alice.Username+" "+quote(bobsPassword), "a NO [AUTHENTICATIONFAILED]")
}

func longPasswords(t *testing.T, h *host) {
	d := h.dial("imaps")
	d.send("a LOGIN " + h.alice.Username + ` "` + strings.Repeat("x", 7000) + "\"\r\n")
	s := h.dial("submissions")
	s.until("EHLO x", "250 ")
	s.send("AUTH PLAIN " + plain(h.alice.Username, h.password+strings.Repeat("\x01", 8000)) + "\r\n")
	if got := d.line(); got != "a NO [AUTHENTICATIONFAILED] "+wrong {
		t.Errorf("got %q", got)
	}
	if got := s.line(); got != "535 5.7.8 "+wrong {
		t.Errorf("got %q", got)
	}
	h.waitLog("login refused", "name is not an account's") // so no module of PAM was asked
	d = h.dial("imaps")
	go d.Write([]byte("a LOGIN " + h.alice.Username + ` "` + strings.Repeat("x", 1<<20) + "\"\r\n"))
	if got := d.line(); !strings.HasPrefix(got, "* BYE Command longer") {
		t.Errorf("got %q", got)
	}
}

// refusal returns how long a login takes to be refused, and the words.
func refusal(h *host, command string) (took time.Duration, said string) {
	d := h.dial("imaps")
	start := time.Now()
	d.send(command + "\r\n")
	said = d.line()
	return time.Since(start), said
}

func sameTime(t *testing.T, h *host) {
	long := strings.Repeat("x", 500)
	type result struct {
		took time.Duration
		said string
	}
	results := make(chan result, 3)
	var dials []*dialogue
	for range 3 {
		dials = append(dials, h.dial("imaps"))
	}
	for i, name := range []string{h.alice.Username, "nosuchuser", "root"} {
		go func() {
			start := time.Now()
			fmt.Fprintf(dials[i], "a LOGIN %s %s\r\n", name, long)
			l, _ := dials[i].r.ReadString('\n')
			results <- result{time.Since(start), l}
		}()
	}
	first := <-results
	for range 2 {
		r := <-results
		if r.said != first.said || (r.took-first.took).Abs() > 300*time.Millisecond {
			t.Errorf("%v %q, and %v %q", r.took, r.said, first.took, first.said)
		}
	}
}

func sameWords(t *testing.T, h *host) {
	for _, response := range []string{"%s", "\x00%s", "\x00%s\x00", "\x00%s\x00a\x00b"} {
		var said []string
		for _, name := range []string{h.alice.Username, "nosuchuser"} {
			_, s := refusal(h, "a AUTHENTICATE PLAIN "+base64.StdEncoding.EncodeToString(fmt.Appendf(nil, response, name)))
			said = append(said, s)
		}
		if said[0] != said[1] || !strings.HasPrefix(said[0], "a ") {
			t.Errorf("%q: %q for an account, %q for none", response, said[0], said[1])
		}
	}
}

func refusedAtOnce(t *testing.T, h *host) {
	took, said := refusal(h, "a LOGIN nosuchuser x")
	if took < 1500*time.Millisecond || said != "a NO [AUTHENTICATIONFAILED] "+wrong {
		t.Errorf("%v: %q", took, said)
	}
}

func moreTries(t *testing.T, h *host) {
	alice := h.alice.Username
	i, s := h.dial("imaps"), h.dial("submissions")
	i.send("a LOGIN " + alice + " x\r\nb AUTHENTICATE PLAIN " + plain(alice, "y") + "\r\nc LOGIN {" + fmt.Sprint(len(alice)) + "+}\r\n" + alice + " z\r\n" +
		"d LOGIN " + alice + " " + quote(h.password) + "\r\n")
	s.until("EHLO x", "250 ")
	s.send("AUTH PLAIN " + plain(alice, "x") + "\r\nAUTH LOGIN\r\nYQ==\r\nYg==\r\nAUTH PLAIN\r\n" + plain(alice, "z") + "\r\nAUTH PLAIN " + plain(alice, h.password) + "\r\n")
	if got := i.rest(); strings.Count(got, "[AUTHENTICATIONFAILED]") != 3 || strings.Contains(got, "d OK") || !strings.Contains(got, "* BYE Too many failed logins") {
		t.Errorf("IMAP: %q", got)
	}
	if got := s.rest(); strings.Count(got, "535 ") != 3 || strings.Contains(got, "235") {
		t.Errorf("submission: %q", got)
	}
}

func anotherMechanism(t *testing.T, h *host) {
	d := h.dial("submissions")
	d.until("EHLO x", "250 ")
	d.expect("AUTH DIGEST-MD5", "504")
	d.expect("AUTH LOGIN", "334")
	d.expect("*", "501")
	d.expect("AUTH PLAIN", "334")
	d.expect("*", "501")
	d.expect("AUTH PLAIN "+plain(h.bob.Username, "wrong"), "535")
	d.expect("AUTH LOGIN "+base64.StdEncoding.EncodeToString([]byte(h.alice.Username)), "334")
	d.expect(base64.StdEncoding.EncodeToString([]byte(h.password)), "235")
	d.expect("MAIL FROM:<"+h.bob.Username+"@localhost>", "553")
	d.expect("MAIL FROM:<"+h.alice.Username+"@localhost>", "250")
}

func ownGroups(t *testing.T, h *host) {
	ids, err := exec.Command("id", "-G", h.alice.Username).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*dialogue{h.login(), h.smtpLogin()} {
		_, session := d.processes()
		groups := append(strings.Fields(status(t, session, "Groups")), strings.Fields(status(t, session, "Gid"))...)
		if len(groups) < 4 {
			t.Errorf("groups %v", groups)
		}
		for _, g := range groups {
			if !contains(string(ids), g) {
				t.Errorf("a session of alice's has group %s; hers are %s", g, ids)
			}
		}
	}
}

func othersLogins(t *testing.T, h *host) {
	d := h.dial("imaps")
	d.send("a LOGIN " + h.alice.Username + " wrong\r\n") // takes a while
	for range 3 {
		s := h.dial("submissions")
		s.until("EHLO x", "250 ")
		s.expect("AUTH PLAIN", "334")
		s.expect("\xff\xfe not base64", "501")
		i := h.dial("imaps")
		i.expect("a AUTHENTICATE PLAIN", "+")
		i.expect("not base64", "a BAD")
		h.login().alive()
	}
	if got := d.line(); got != "a NO [AUTHENTICATIONFAILED] "+wrong {
		t.Errorf("got %q", got)
	}
	d.expect("b LOGIN "+h.alice.Username+" "+quote(h.password), "b OK")
}
