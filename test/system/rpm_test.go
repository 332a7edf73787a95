//go:build systemtest

package system

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// modes of what the .rpm installs, where it is not a plain file of root's.
var rpmModes = map[string]string{
	"/usr/sbin/smaild":                "755 root:root",
	"/usr/sbin/smailctl":              "711 root:root",
	"/usr/libexec/smail/smail-front":  "711 root:root",
	"/usr/libexec/smail/smail-imap":   "711 root:root",
	"/usr/libexec/smail/smail-pop3":   "711 root:root",
	"/usr/libexec/smail/smail-submit": "711 root:root",
	"/etc/smail/smail.conf":           "644 root:root",
	"/etc/pam.d/smail":                "644 root:root",
	"/etc/smail/tls/key.pem":          "600 root:root",
	"/etc/smail/tls/cert.pem":         "644 root:root",
}

// rpm runs Debian's rpm inside, which has a word to say about that.
func (m *machine) rpm(args ...string) string {
	m.t.Helper()
	out := m.run("rpm", append([]string{"--force-debian", "--dbpath", "/var/lib/rpm", "--nodeps"}, args...)...)
	lines := strings.SplitAfter(out, "\n")
	return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "rpm: ") }), "")
}

// TestRPM installs the .rpm on a booted system that knows none of its
// dependencies, looks at files, owners and what the scriptlets have done, logs
// in, installs over it, and takes it away again.
func TestRPM(t *testing.T) {
	dir := t.TempDir()
	command(t, "../../packaging/build-rpm", dir)
	rpms, _ := filepath.Glob(dir + "/smail-*.rpm")
	if len(rpms) != 1 {
		t.Fatalf("built %v", rpms)
	}
	m := boot(t, makeRoot(t, "bookworm"), 9)
	m.copyIn(rpms[0], "root/smail.rpm")
	// What Fedora's PAM calls its common file.
	m.sh("cd /etc/pam.d; cat common-auth common-account common-session-noninteractive >password-auth")
	m.run("systemd-run", "--unit=other", "perl", "-MIO::Socket::INET", "-e",
		"my $s = IO::Socket::INET->new(LocalPort => 995, Listen => 5, ReuseAddr => 1) or die; sleep 1000")
	m.eventually("another server", func() bool { return m.sh("ss -Hltn 'sport = :995'") != "" })
	for _, step := range []struct {
		name string
		do   func()
	}{{"install", m.rpmInstall}, {"accounts", m.accounts}, {"read", m.read}, {"upgrade", m.rpmUpgrade}, {"remove", m.rpmRemove}} {
		if !m.sub(step.name, step.do) {
			return
		}
	}
}

func (m *machine) rpmInstall() {
	if out := m.rpm("-i", "/root/smail.rpm"); !strings.Contains(out, "port 995 (pop3s) is held by perl") {
		m.t.Errorf("does not say who holds the port:\n%s", out)
	}
	m.run("systemctl", "stop", "other.service")
	m.run("systemctl", "enable", "--now", "smail-pop3s.socket")
	if out := m.rpm("-V", "smail"); out != "" {
		m.t.Errorf("rpm -V: %s", out)
	}
	for path, want := range rpmModes {
		if got := strings.TrimSpace(m.run("stat", "-c", "%a %U:%G", path)); got != want {
			m.t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	m.run("getent", "passwd", "smail")
	for _, s := range []string{"imaps", "submissions"} {
		m.run("systemctl", "is-active", "smail-"+s+".socket")
		m.run("systemctl", "is-enabled", "smail-"+s+".socket")
	}
	if out, err := m.try("systemctl", "is-enabled", "smail-imap.socket"); err == nil {
		m.t.Errorf("STARTTLS is on: %s", out)
	}
}

// rpmUpgrade keeps sessions and a changed configuration.
func (m *machine) rpmUpgrade() {
	live := m.login("alice")
	m.sh("echo 'relay_window 5m' >>/etc/smail/smail.conf")
	m.rpm("-U", "--force", "/root/smail.rpm")
	live.ask("b NOOP", "b OK")
	m.login("alice").ask("b LOGOUT", "b OK")
	m.sh("grep -q 'relay_window 5m' /etc/smail/smail.conf; systemctl is-enabled smail-imaps.socket")
}

func (m *machine) rpmRemove() {
	before := m.mail()
	m.login("alice")
	m.rpm("-e", "smail")
	m.eventually("the end of all sessions", func() bool { _, err := m.try("pgrep", "smail"); return err != nil })
	if out := m.run("ss", "-Hltn", "sport = :993"); out != "" {
		m.t.Errorf("still listens: %s", out)
	}
	// rpm keeps what the administrator has changed, and Fedora keeps users.
	left := m.sh(`find /usr /etc /run /var/lib -xdev -iname '*smail*' -not -path '/var/lib/rpm/*'`)
	if left != "/etc/smail\n/etc/smail/smail.conf.rpmsave\n" {
		m.t.Errorf("left behind:\n%s", left)
	}
	if after := m.mail(); after != before {
		m.t.Errorf("mail has changed:\n%s\n%s", before, after)
	}
}
