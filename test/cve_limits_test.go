package test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCVELimits: clients that come and go, or do not go, and what the system has
// to say about a login. Each case has a configuration of its own.
func TestCVELimits(t *testing.T) {
	h := cveHost(t, []string{"imaps", "submissions", "pop3s"})
	replay(t, h, []cve{
		{"CVE-2026-33263", "Dovecot submission-login: one session too many was a panic", sessionTooMany},
		{"CVE-2014-3430", "Dovecot: handshakes that were begun and not ended kept others out for ever", unfinishedHandshakes},
		{"CVE-2013-2125", "OpenSMTPD: one client within its handshake kept all others waiting", waitingHandshake},
		{"CVE-2010-5107", "OpenSSH: one address took all places before a login", placesOfOneAddress},
		{"CVE-2006-0058", "sendmail: a signal at a timeout came in between other work", func(t *testing.T, h *host) { lastMoment(t, h, "submissions", "MAIL FROM:<x@y>\r\n") }},
		{"CVE-2024-6387", "OpenSSH: what was done at the timeout of a login was done in a signal's handler", func(t *testing.T, h *host) { lastMoment(t, h, "imaps", "a LOGIN x y\r\n") }},
		{"CVE-2010-3780", "Dovecot: many sessions that end at once left their processes behind", allAtOnce},
		{"CVE-2022-0860", "Cobbler: an account that has expired was let in, for PAM was asked for the password alone", expiredAccount},
		{"CVE-2015-8325", "OpenSSH: PAM's environment, which a user writes, had effect on root", pamEnvironment},
		{"CVE-2011-4122", "OpenPAM: the name of a service was a path", pamServicePath},
		{"CVE-2022-37451", "Exim: a second question of PAM's was answered with what had been freed", twoQuestions},
		{"CVE-2026-27855", "Dovecot: a login could be used again", oldSessionFile},
	})
}

// with sets directives for a case.
func (h *host) with(settings ...string) {
	h.t.Helper()
	for i := 0; i < len(settings); i += 2 {
		old, was := h.Config[settings[i]]
		h.t.Cleanup(func() {
			if h.Config[settings[i]] = old; !was {
				delete(h.Config, settings[i])
			}
			h.WriteConfig()
		})
		h.Config[settings[i]] = settings[i+1]
	}
	if _, err := h.WriteConfig(); err != nil {
		h.t.Fatal(err)
	}
}

func sessionTooMany(t *testing.T, h *host) {
	h.with("max_sessions_per_user", "1")
	first := h.login()
	for range 3 {
		d := h.dial("submissions")
		d.until("EHLO x", "250 ")
		d.expect("AUTH PLAIN "+plain(h.alice.Username, h.password), "454")
		d.expect("NOOP", "250")
	}
	first.ok("LOGOUT")
	first.closed()
	d := h.dial("submissions")
	d.until("EHLO x", "250 ")
	d.expect("AUTH PLAIN "+plain(h.alice.Username, h.password), "235")
	d.expect("QUIT", "221")
	d.closed()
}

// another starts a service of its own with the configuration as it is now.
func (h *host) another(service string) *host {
	one := *h
	one.addr = map[string]string{}
	one.serve(service)
	return &one
}

func unfinishedHandshakes(t *testing.T, h *host) {
	h.with("login_timeout", "1s", "max_connections", "3")
	one := h.another("imaps")
	for _, begin := range []string{"", "\x16", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"} {
		one.raw("imaps").send(begin)
	}
	time.Sleep(100 * time.Millisecond)
	if _, err := one.handshake(&tls.Config{}); err == nil {
		t.Error("there was room for a fourth")
	}
	late := time.Now().Add(15 * time.Second)
	for {
		if _, err := one.handshake(&tls.Config{}); err == nil {
			break
		}
		if time.Now().After(late) {
			t.Fatal("those who said nothing are never put out")
		}
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(time.Second) // until all of them have gone
	one.login().alive()
}

func waitingHandshake(t *testing.T, h *host) {
	for range 5 {
		h.raw("imaps").send("\x16\x03\x01\x02\x00\x01")
	}
	done := make(chan bool)
	go func() {
		h.login().alive()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Error("a login waits for the handshakes of others")
	}
}

func placesOfOneAddress(t *testing.T, h *host) {
	h.with("max_connections_per_address", "3")
	one := h.another("imaps")
	var mine []*dialogue
	for range 3 {
		mine = append(mine, one.dial("imaps"))
	}
	if _, err := one.handshake(&tls.Config{}); err == nil {
		t.Error("one address has a fourth")
	}
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	conn, err := dialer.Dial("tcp", one.addr["imaps"])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	d := &dialogue{Conn: conn, t: t, r: bufio.NewReader(conn)}
	d.startTLS()
	d.line()
	d.until("a LOGIN "+h.alice.Username+" "+quote(h.password), "a OK")
	for _, m := range mine {
		m.ok("NOOP")
	}
}

// lastMoment has clients speak at the moment in which their time is over.
func lastMoment(t *testing.T, h *host, service, say string) {
	h.with("login_timeout", "1s", "max_connections_per_address", "100")
	one := h.another(service)
	before := strings.Count(h.log.String(), "reason=login_timeout")
	const clients = 12
	var all []*dialogue
	for range clients {
		d := one.dial(service)
		start := time.Now()
		all = append(all, d)
		go func() {
			for time.Since(start) < 1200*time.Millisecond {
				if _, err := d.Write([]byte(say[:1])); err != nil {
					return
				}
				time.Sleep(time.Millisecond)
			}
		}()
	}
	for _, d := range all {
		if !d.closed() {
			t.Error("a client is not put out")
		}
	}
	for range 100 {
		if strings.Count(h.log.String(), "reason=login_timeout") == before+clients {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if n := strings.Count(h.log.String(), "reason=login_timeout") - before; n != clients {
		t.Errorf("%d of %d ended for login_timeout", n, clients)
	}
	one.dial(service)
}

func allAtOnce(t *testing.T, h *host) {
	before := len(h.below())
	var all []*dialogue
	for range 15 {
		all = append(all, h.login())
	}
	for _, d := range all {
		d.Conn.(*tls.Conn).NetConn().(*net.TCPConn).SetLinger(0)
		d.Close()
	}
	for range 200 {
		if len(h.below()) <= before+2 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if n := len(h.below()); n > before+2 {
		t.Errorf("%d processes before, %d after", before, n)
	}
	h.login().alive()
}

func expiredAccount(t *testing.T, h *host) {
	run(t, "usermod", "-e", "1", h.bob.Username)
	defer run(t, "usermod", "-e", "", h.bob.Username)
	for _, service := range []string{"imaps", "pop3s"} {
		d := h.dial(service)
		if service == "imaps" {
			d.expect("a LOGIN "+h.bob.Username+" "+quote(bobsPassword), "a NO [AUTHENTICATIONFAILED]")
			continue
		}
		d.expect("USER "+h.bob.Username, "+OK")
		d.expect("PASS "+bobsPassword, "-ERR [AUTH]")
	}
	h.waitLog("login refused", "pam_acct_mgmt")
}

// pam gives a case PAM rules of its own.
func (h *host) pam(lines ...string) {
	h.t.Helper()
	path := filepath.Join(h.Dir, "pam/smail")
	old := readFile(h.t, path)
	h.t.Cleanup(func() { os.WriteFile(path, []byte(old), 0o644) })
	if err := h.PAM(lines...); err != nil {
		h.t.Fatal(err)
	}
}

func pamEnvironment(t *testing.T, h *host) {
	need(t, "env", "coreutils")
	file := h.write("environment", "LD_PRELOAD=/evil.so\nPATH=/evil\nHOME=/evil\nSMAIL_SERVICE=evil\n")
	os.Chmod(file, 0o644)
	h.pam("auth required pam_unix.so nodelay", "auth optional pam_env.so readenv=1 envfile="+file, "account required pam_unix.so",
		"session required pam_env.so readenv=1 envfile="+file)
	for _, held := range []string{"brief", "held"} {
		h.with("pam_session", held)
		d := h.login()
		front, session := d.processes()
		for _, pid := range []int{front, session} {
			if env := readFile(t, fmt.Sprintf("/proc/%d/environ", pid)); strings.Contains(env, "evil") {
				t.Errorf("%s: environment %q", held, env)
			}
		}
		for _, p := range h.below() {
			if p.comm == "smail-imap" && strings.Contains(readFile(t, "/proc/"+p.pid+"/environ"), "evil") {
				t.Errorf("%s: the session has PAM's environment", held)
			}
		}
		d.ok("LOGOUT")
		d.closed()
	}
}

func pamServicePath(t *testing.T, h *host) {
	evil := filepath.Join(h.Dir, "evil-pam")
	os.WriteFile(evil, []byte("auth required pam_permit.so\naccount required pam_permit.so\n"), 0o644)
	for _, name := range []string{"../evil-pam", evil, "../../etc/passwd", "smail/../../evil-pam", "."} {
		h.with("pam_service", name)
		ends := strings.Count(h.log.String(), "smaild ends")
		h.another("imaps")
		for range 200 {
			if strings.Count(h.log.String(), "smaild ends") > ends {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		last := h.log.String()[strings.LastIndex(h.log.String(), "smaild ends"):]
		if strings.Count(h.log.String(), "smaild ends") != ends+1 || !strings.Contains(last, "pam_service") && !strings.Contains(last, "PAM service file") {
			t.Errorf("%s: %s", name, last)
		}
	}
}

func twoQuestions(t *testing.T, h *host) {
	h.pam("auth required pam_unix.so nodelay", "auth required pam_unix.so nodelay", "account required pam_unix.so", "session required pam_unix.so")
	d := h.dial("imaps")
	d.expect("a LOGIN "+h.alice.Username+" "+quote("a,b:c"), "a NO [AUTHENTICATIONFAILED]")
	d.expect("b LOGIN "+h.alice.Username+" "+quote(h.password), "b OK")
	d.ok("NOOP")
}

// oldSessionFile: records of another start of the machine, and of logins that are
// over for long, let nobody send.
func oldSessionFile(t *testing.T, h *host) {
	h.with("relay_window", "10m")
	h.login().ok("LOGOUT")
	file := h.Config["session_file"]
	now := readFile(t, file)
	sends := func() string {
		d := h.dial("submissions")
		d.until("EHLO x", "250 ")
		d.send("MAIL FROM:<" + h.alice.Username + "@localhost>\r\n")
		return d.line()
	}
	if got := sends(); got[:3] != "250" {
		t.Fatalf("after a login: %q", got)
	}
	f := strings.Fields(now)
	other := strings.Replace(now, f[2], strings.Repeat("0", len(f[2])), 1)
	other = strings.Replace(other, f[3], strings.Repeat("1", len(f[3])), 1)
	var sums strings.Builder // of records that are not theirs
	for line := range strings.Lines(now) {
		if strings.HasPrefix(line, " ") {
			line = line[:len(line)-9] + "00000000\n"
		}
		sums.WriteString(line)
	}
	for what, text := range map[string]string{"another boot": other, "other sums": sums.String(), "other users": strings.ReplaceAll(now, h.alice.Username, strings.ToUpper(h.alice.Username)),
		"another version": strings.Replace(now, "sessions 2", "sessions 1", 1), "a torn file": now[:300]} {
		os.WriteFile(file, []byte(text), 0o644)
		if got := sends(); got[:3] != "530" {
			t.Errorf("%s: %q", what, got)
		}
	}
	os.WriteFile(file, []byte(now), 0o644)
	h.dial("imaps").expect("a LOGIN "+h.alice.Username+" wrong", "a NO")
	if got := sends(); got[:3] != "530" {
		t.Errorf("after a wrong password: %q", got)
	}
}
