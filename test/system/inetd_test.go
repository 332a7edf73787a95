//go:build systemtest

package system

import "strings"

// served logs in by all three services, after systemd's sockets have gone.
func (m *machine) served(by string) {
	m.t.Helper()
	if out := m.run("ss", "-Hltnp", "sport = :993"); !strings.Contains(out, `"`+by+`"`) {
		m.t.Fatalf("993 is not %s's: %s", by, out)
	}
	m.login("bob").ask("b SELECT INBOX", "* 3 EXISTS")
	d := m.dial(995)
	d.ask("USER bob", "+OK")
	d.ask("PASS "+password, "+OK")
	d.ask("STAT", "+OK 3 ")
	d = m.dial(465)
	d.ask("EHLO client", "250 ")
	d.auth("bob")
	d.submit("bob@mail.example.org", "alice@mail.example.org", "under "+by)
	d.ask("QUIT", "221")
}

// inetd gets the lines of the package's example.
func (m *machine) inetd() {
	m.sh("systemctl disable --now smail-imaps.socket smail-pop3s.socket smail-submissions.socket; " +
		"systemctl stop 'smail-*-listen.service'; cat /usr/share/doc/smaild/examples/inetd.conf >>/etc/inetd.conf; systemctl restart inetd")
	m.eventually("inetd", func() bool { return m.sh("ss -Hltn 'sport = :993'") != "" })
	m.served("inetd")
}

// xinetd takes the place of openbsd-inetd.
func (m *machine) xinetd() {
	m.sh("systemctl disable --now inetd; dpkg -i --force-depends --force-conflicts /root/xinetd_*.deb; cp /usr/share/doc/smaild/examples/xinetd/smail /etc/xinetd.d/smail; systemctl restart xinetd")
	m.eventually("xinetd", func() bool { return m.sh("ss -Hltn 'sport = :993'") != "" })
	m.served("xinetd")
}
