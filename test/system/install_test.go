//go:build systemtest

package system

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const password = "Secret-1"

// buildDeb builds the package, and the same with a higher version and a
// changed conffile.
func buildDeb(t testing.TB) (deb, upgrade string) {
	t.Helper()
	dir := t.TempDir()
	command(t, "../../packaging/build-deb", dir)
	debs, _ := filepath.Glob(dir + "/smail_*.deb")
	if len(debs) != 1 {
		t.Fatalf("built %v", debs)
	}
	command(t, "dpkg-deb", "-R", debs[0], dir+"/upgrade")
	command(t, "sed", "-i", "s/^Version: .*/&+next/", dir+"/upgrade/DEBIAN/control")
	command(t, "sh", "-c", "echo '# changed by the package' >>"+dir+"/upgrade/etc/smail/smail.conf")
	command(t, "dpkg-deb", "--root-owner-group", "-b", dir+"/upgrade", dir+"/upgrade.deb")
	return debs[0], dir + "/upgrade.deb"
}

// TestDebian takes one Debian release after the other from installation to
// purge.
func TestDebian(t *testing.T) {
	deb, upgrade := buildDeb(t)
	for i, release := range []string{"bookworm", "trixie"} {
		t.Run(release, func(t *testing.T) {
			m := boot(t, makeRoot(t, release), i+1)
			m.copyIn(deb, "root/smail.deb")
			m.copyIn(upgrade, "root/upgrade.deb")
			steps := []struct {
				name string
				do   func()
			}{
				{"install", m.install}, {"accounts", m.accounts}, {"check", m.check}, {"read", m.read}, {"send", m.send},
				{"relay by recent login", m.relay}, {"policyd", m.policyd}, {"certificate renewal", m.renew}, {"listener ends when idle", m.idle}, {"broken configuration", m.broken},
				{"form", m.form}, {"upgrade", m.upgrade}, {"remove", m.remove}, {"purge", m.purge}, {"held port", m.heldPort},
				{"inetd", m.inetd}, {"xinetd", m.xinetd},
			}
			for _, step := range steps {
				if !m.sub(step.name, step.do) {
					return // the next ones build on it
				}
			}
		})
	}
}

func (m *machine) apt(args ...string) string {
	m.t.Helper()
	return m.run("apt-get", append([]string{"-y", "-qq", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold"}, args...)...)
}

// install needs no network, no question and no edited file; after it three
// ports are open and nothing of smail's runs.
func (m *machine) install() {
	m.apt("install", "/root/smail.deb")
	for _, s := range []string{"imaps", "pop3s", "submissions"} {
		m.run("systemctl", "is-active", "smail-"+s+".socket")
		m.run("systemctl", "is-enabled", "smail-"+s+".socket")
	}
	for _, s := range []string{"imap", "pop3", "submission"} {
		if out, err := m.try("systemctl", "is-enabled", "smail-"+s+".socket"); err == nil {
			m.t.Errorf("%s is enabled: %s", s, out)
		}
	}
	if out, err := m.try("pgrep", "-l", "smail"); err == nil {
		m.t.Errorf("runs while nobody is connected: %s", out)
	}
	if got := m.run("readlink", "/etc/smail/tls/key.pem"); !strings.Contains(got, "ssl-cert-snakeoil") {
		m.t.Errorf("key is %s", got)
	}
	m.run("dpkg", "-s", "postfix") // is still there
}

func (m *machine) accounts() {
	for _, user := range []string{"alice", "bob"} {
		m.sh("useradd -m " + user + "; echo " + user + ":" + password + " | chpasswd")
	}
	m.sh("postconf -e home_mailbox=Maildir/ mydestination=mail.example.org myorigin=mail.example.org myhostname=mail.example.org inet_interfaces=loopback-only; systemctl restart postfix")
	m.sh("echo hello | sendmail alice")
	m.eventually("Postfix's delivery", func() bool { return m.count("alice", "new") == 1 })
}

// count returns how many messages are in a folder of a user's INBOX.
func (m *machine) count(user, dir string) int {
	files, _ := os.ReadDir(filepath.Join(m.root, "home", user, "Maildir", dir))
	return len(files)
}

func (m *machine) check() {
	out := m.run("smailctl", "check", "--user", "alice")
	for _, want := range []string{"ok       account", "ok       relay", "port 993 (imaps): systemd", "is self-signed"} {
		if !strings.Contains(out, want) {
			m.t.Errorf("no %q in\n%s", want, out)
		}
	}
	// Submission runs a program of the MTA, which may be setuid and use the network.
	for unit, most := range map[string]string{"imaps-listen": "17", "pop3s-listen": "17", "submissions-listen": "35",
		"imaps@x": "28", "pop3s@x": "28", "submissions@x": "45"} {
		m.run("systemd-analyze", "security", "--no-pager", "--threshold="+most, "smail-"+unit+".service")
	}
}

// read is what the first user does: curl from outside, by IMAP and POP3.
func (m *machine) read() {
	d := m.login("alice")
	d.ask("b SELECT INBOX", "* 1 EXISTS")
	ps := m.run("ps", "-eo", "user,comm")
	if !strings.Contains(ps, "alice    smail-imap") || !strings.Contains(ps, "smail    smail-front") {
		m.t.Errorf("processes:\n%s", ps)
	}
	url := []string{"-sSk", "--max-time", "30", "-u", "alice:" + password}
	if out := command(m.t, "curl", append(url, "imaps://"+m.addr+"/INBOX;MAILINDEX=1")...); !strings.Contains(out, "hello") {
		m.t.Errorf("IMAP: %s", out)
	}
	if out := command(m.t, "curl", append(url, "pop3s://"+m.addr+"/1")...); !strings.Contains(out, "hello") {
		m.t.Errorf("POP3: %s", out)
	}
}

// send goes through the host's Postfix, whose postdrop is setgid.
func (m *machine) send() {
	d := m.dial(465)
	d.ask("EHLO client", "250 ")
	d.auth("alice")
	d.submit("alice@mail.example.org", "bob@mail.example.org", "by AUTH")
	m.eventually("bob's message", func() bool { return m.count("bob", "new") == 1 })
	command(m.t, "swaks", "--server", m.addr, "--port", "465", "--tls-on-connect", "--auth", "PLAIN", "--auth-user", "alice", "--auth-password", password,
		"--from", "alice@mail.example.org", "--to", "alice@mail.example.org", "--silent", "2")
	m.eventually("alice's message", func() bool { return m.count("alice", "new") == 1 })
}

// relay sends without AUTH, as the user who has just read mail and no other.
func (m *machine) relay() {
	m.login("alice")
	m.login("alice")
	if out := m.run("smailctl", "who"); strings.Count(out, "alice") < 2 {
		m.t.Errorf("two live sessions:\n%s", out)
	}
	d := m.dial(465)
	d.ask("EHLO client", "250 ")
	d.ask("MAIL FROM:<bob@mail.example.org>", "5")
	d = m.dial(465)
	d.ask("EHLO client", "250 ")
	d.submit("alice@mail.example.org", "bob@mail.example.org", "by recent login")
	m.eventually("bob's second message", func() bool { return m.count("bob", "new") == 2 })
}

// policyd tells the MTA the same, in both forms of its unit.
func (m *machine) policyd() {
	m.login("alice")
	m.run("systemctl", "start", "smail-policyd.socket")
	addr := strings.TrimSpace(m.sh("smailctl who | awk '/alice/ { print $2; exit }'"))
	for _, form := range []string{"per-connection", "resident"} {
		m.run("smailctl", "form", form)
		for sender, want := range map[string]string{"alice": "action=PERMIT", "bob": "action=DUNNO"} {
			got := m.run("bash", "-c", `exec 3<>/dev/tcp/127.0.0.1/10033
printf 'request=smtpd_access_policy\nclient_address=`+addr+`\nsender=`+sender+`@mail.example.org\n\n' >&3
read -r line <&3; echo "$line"`)
			if strings.TrimSpace(got) != want {
				m.t.Errorf("%s, %s from %s: %q, want %s", form, sender, addr, got, want)
			}
		}
	}
	if out, err := m.try("systemctl", "is-active", "smail-policyd-listen.service"); err != nil {
		m.t.Errorf("smail-policyd-listen.service: %s", out)
	}
	m.run("systemctl", "stop", "smail-policyd.socket", "smail-policyd-listen.service")
}

// renew replaces the certificate; the next connection has it, an old one
// goes on.
func (m *machine) renew() {
	old := m.login("alice")
	m.sh(`cd /etc/smail/tls; smailctl makecert new.pem new.key mail.example.org; mv new.key key.pem; mv new.pem cert.pem`)
	if now := m.login("alice"); now.serial().Cmp(old.serial()) == 0 {
		m.t.Error("still the old certificate")
	}
	old.ask("b NOOP", "b OK")
}

// idle looks that nothing runs some time after the last connection, and that
// the next one is served all the same.
func (m *machine) idle() {
	dir := "/etc/systemd/system/smail-imaps-listen.service.d"
	m.sh("mkdir -p " + dir + "; printf '[Service]\nExecStart=\nExecStart=/usr/sbin/smaild -idle 2s imaps\n' >" + dir + "/idle.conf; " +
		"systemctl daemon-reload; systemctl stop smail-imaps-listen.service")
	m.login("alice").ask("b LOGOUT", "b OK")
	m.run("systemctl", "is-active", "smail-imaps-listen.service")
	m.eventually("the listener's end", func() bool {
		out, _ := m.try("systemctl", "is-active", "smail-imaps-listen.service")
		return strings.HasPrefix(out, "inactive")
	})
	m.login("alice")
	m.sh("rm -r " + dir + "; systemctl daemon-reload")
}

// broken looks that a listener that cannot start neither spins nor stays dead:
// systemd starts it for the connections that wait, and they are turned away.
func (m *machine) broken() {
	m.sh("cp /etc/smail/smail.conf /root/conf; echo nonsense >>/etc/smail/smail.conf; systemctl stop smail-imaps-listen.service")
	starts := func() int {
		return strings.Count(m.sh("journalctl -q -o cat --no-pager"), "unknown directive")
	}
	for range 3 {
		conn, err := net.DialTimeout("tcp", m.addr+":993", 10*time.Second)
		if err != nil {
			m.t.Fatal(err)
		}
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil {
			m.t.Error("served all the same")
		}
		conn.Close()
	}
	time.Sleep(3 * time.Second)
	if n := starts(); n < 1 || n > 4 {
		m.t.Errorf("started %d times for three connections", n)
	}
	m.sh("mv /root/conf /etc/smail/smail.conf")
	m.login("alice").ask("b LOGOUT", "b OK")
}

// form goes over to a unit for each connection, and back, over a session.
func (m *machine) form() {
	if got := m.run("smailctl", "form"); got != "resident\n" {
		m.t.Errorf("form is %q", got)
	}
	live := m.login("alice")
	m.run("smailctl", "form", "per-connection")
	live.ask("b NOOP", "b OK")
	each := m.login("alice")
	if units := m.run("systemctl", "list-units", "--no-legend", "smail-imaps@*.service"); !strings.Contains(units, "running") {
		m.t.Errorf("units: %s", units)
	}
	if _, _, err := measure(4, m.logInAndOut); err != nil { // the last words of each session arrive
		m.t.Error(err)
	}
	m.run("smailctl", "form", "resident")
	each.ask("b NOOP", "b OK")
	m.login("alice")
	if got := m.run("smailctl", "form"); got != "resident\n" {
		m.t.Errorf("form is %q", got)
	}
}

// upgrade keeps sessions and what the administrator changed.
func (m *machine) upgrade() {
	live := m.login("alice")
	sender := m.dial(465)
	sender.ask("EHLO client", "250 ")
	sender.auth("alice")
	m.sh("echo 'relay_window 5m' >>/etc/smail/smail.conf; systemctl disable --now smail-pop3s.socket")
	m.apt("install", "/root/upgrade.deb")
	if got := m.run("dpkg-query", "-W", "-f", "${Version}", "smaild"); !strings.HasSuffix(got, "+next") {
		m.t.Errorf("version %s", got)
	}
	live.ask("b NOOP", "b OK")
	before := m.count("bob", "new")
	sender.submit("alice@mail.example.org", "bob@mail.example.org", "over an upgrade")
	m.eventually("the message sent over an upgrade", func() bool { return m.count("bob", "new") == before+1 })
	m.login("alice")
	if conf := m.run("cat", "/etc/smail/smail.conf"); !strings.Contains(conf, "relay_window 5m") || strings.Contains(conf, "changed by the package") {
		m.t.Errorf("configuration:\n%s", conf)
	}
	if out, err := m.try("systemctl", "is-active", "smail-pop3s.socket"); err == nil {
		m.t.Errorf("switched on again what was switched off: %s", out)
	}
	m.run("systemctl", "enable", "--now", "smail-pop3s.socket")
}

// mail lists every file below the homes, with what it holds.
func (m *machine) mail() string {
	m.t.Helper()
	return m.sh("find /home -type f -print0 | sort -z | xargs -0 sha256sum; find /home | sort | xargs ls -ld --time-style=+")
}

// remove ends sessions and listeners, keeps settings and mail; installing
// again brings everything back.
func (m *machine) remove() {
	m.login("alice").ask("b LOGOUT", "b OK")
	before := m.mail()
	live := m.login("alice")
	m.apt("remove", "smaild")
	m.eventually("the end of all sessions", func() bool { _, err := m.try("pgrep", "smail"); return err != nil })
	if _, err := live.r.ReadByte(); err == nil {
		m.t.Log("a session was told of its end")
	}
	for _, port := range []int{993, 995, 465} {
		if out := m.run("ss", "-Hltn", fmt.Sprintf("sport = :%d", port)); out != "" {
			m.t.Errorf("still listens: %s", out)
		}
	}
	m.sh("test -e /etc/smail/smail.conf && test -e /etc/smail/tls/key.pem")
	if after := m.mail(); after != before {
		m.t.Errorf("mail has changed:\n%s\n%s", before, after)
	}
	m.apt("install", "/root/smail.deb")
	m.login("alice").ask("b LOGOUT", "b OK")
	m.login("alice").ask("b STATUS INBOX (MESSAGES)", "* STATUS \"INBOX\" (MESSAGES 2)")
}

// purge leaves no file, unit, group or user, and all mail.
func (m *machine) purge() {
	before := m.mail()
	m.sh("rm /etc/smail/tls/*.pem") // the administrator's own by now
	m.run("smailctl", "form", "per-connection")
	m.apt("purge", "smaild")
	left := m.sh(`find / -xdev \( -path /proc -o -path /sys -o -path /root -o -path /home -o -path /var/cache -o -path /var/log \) -prune -o -iname '*smail*' -print; ls -d /run/smail 2>/dev/null || true`)
	if left != "" {
		m.t.Errorf("left behind:\n%s", left)
	}
	if out, err := m.try("getent", "passwd", "smail"); err == nil {
		m.t.Errorf("user left: %s", out)
	}
	if after := m.mail(); after != before {
		m.t.Errorf("mail has changed:\n%s\n%s", before, after)
	}
}

// heldPort installs beside another server: that one keeps its port, and the
// rest goes on. This time ssl-cert has no certificate, and one is made.
func (m *machine) heldPort() {
	m.sh("rm /etc/ssl/private/ssl-cert-snakeoil.key")
	m.run("systemd-run", "--unit=other", "perl", "-MIO::Socket::INET", "-e",
		"my $s = IO::Socket::INET->new(LocalPort => 995, Listen => 5, ReuseAddr => 1) or die; sleep 1000")
	m.eventually("another server", func() bool { return m.sh("ss -Hltn 'sport = :995'") != "" })
	out := m.apt("install", "/root/smail.deb")
	if !strings.Contains(out, "port 995 (pop3s) is held by perl") {
		m.t.Errorf("does not say who holds the port:\n%s", out)
	}
	if out, err := m.try("systemctl", "is-enabled", "smail-pop3s.socket"); err == nil {
		m.t.Errorf("enabled all the same: %s", out)
	}
	m.login("alice").ask("b LOGOUT", "b OK")
	m.sh("test $(stat -c %a /etc/smail/tls/key.pem) = 600")
	m.run("systemctl", "stop", "other.service")
	m.apt("install", "/root/upgrade.deb")
	if out, err := m.try("systemctl", "is-active", "smail-pop3s.socket"); err == nil {
		m.t.Errorf("an upgrade took the port while it was free: %s", out)
	}
	m.run("systemctl", "enable", "--now", "smail-pop3s.socket")
	m.dial(995).ask("QUIT", "+OK")
}
