package test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// installed is an MTA whose packages are installed for real, above what the
// system has, in namespaces of its own: the system's MTA would be removed. The
// script ends with the MTA, which takes mail at PORT. /run/smail/relay of the
// manual is smail's there.
func installed(t *testing.T, name, script string, packages ...string) *mta {
	need(t, "apt-get", "apt")
	m := newMTA(t, name)
	folder := filepath.Join(m.Dir, "sessions/relay")
	m.Config["relay_folder"] = folder
	if _, err := m.WriteConfig(); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	inside := m.write("inside", strings.ReplaceAll(script, "PORT", m.port))
	outside := m.write("outside", fmt.Sprintf(`set -eu
cd '%s'
mount -t tmpfs tmpfs .
mkdir up work root
mount -t overlay overlay -o lowerdir=/,upperdir=up,workdir=work root
mount -t proc proc root/proc
mount --rbind /dev root/dev
mount -t tmpfs tmpfs root/run
mkdir -p root/run/lock root/run/smail/relay
mount --bind '%s' root/run/smail/relay
cp --remove-destination /etc/resolv.conf root/etc/
printf '#!/bin/sh\nexit 101\n' >root/usr/sbin/policy-rc.d # the packages start nothing
chmod 755 root/usr/sbin/policy-rc.d
cp '%s' root/inside
hostname localhost.localdomain
DEBIAN_FRONTEND=noninteractive chroot root apt-get install -y -qq %s || { echo 'not installed'; exit 1; }
exec chroot root sh -eu /inside
`, m.dir, folder, inside, strings.Join(packages, " ")))
	cmd := exec.Command("unshare", "-m", "-p", "-u", "-f", "--kill-child", "--propagation", "private", "sh", outside)
	cmd.Stdout, cmd.Stderr = m.log.in, m.log.in
	if _, err := m.Start(cmd); err != nil {
		t.Fatal(err)
	}
	m.comesUp()
	return m
}

// comesUp waits for an MTA that is being installed.
func (m *mta) comesUp() {
	m.t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+m.port); err == nil {
			conn.Close()
			return
		}
		if strings.Contains(m.log.String(), "not installed") && !all {
			m.t.Skipf("the packages of %s cannot be had", m.name)
		}
	}
	m.t.Fatalf("%s does not come up", m.name)
}

// relaysForAddress logs alice in from 127.0.0.2: whoever is there may send, and
// nobody elsewhere, until bob logs in there, too.
func (m *mta) relaysForAddress() {
	m.t.Helper()
	m.serve("imaps")
	login := func(name string) {
		d := m.connect("127.0.0.2", m.addr["imaps"])
		d.startTLS()
		d.line()
		d.until("a LOGIN "+name+" "+quote(m.password), "a OK")
	}
	becomes := func(want bool) {
		m.t.Helper()
		for deadline := time.Now().Add(20 * time.Second); m.permits("127.0.0.2", "x@example.org") != want; time.Sleep(200 * time.Millisecond) {
			if time.Now().After(deadline) {
				m.t.Fatalf("permitted is not %v", want)
			}
		}
	}
	becomes(false)
	login(m.alice.Username)
	becomes(true)
	if m.permits("127.0.0.3", "x@example.org") {
		m.t.Error("permitted where nobody has logged in")
	}
	login(m.bob.Username)
	becomes(false)
}

// TestOpenSMTPD: with the lines that smail-policyd(8) has, of which the first is
// cron's.
func TestOpenSMTPD(t *testing.T) {
	cron, conf, _ := strings.Cut(manualExample(t, "OpenSMTPD"), "\n\n")
	cron, isCommand := strings.CutPrefix(cron, "# ")
	if !isCommand {
		t.Fatalf("%q is no command of root's", cron)
	}
	installed(t, "opensmtpd", fmt.Sprintf(`cat >/etc/smtpd.conf <<'EOF'
listen on 127.0.0.1 port PORT
action "outbound" relay host smtp://127.0.0.1:9
%[1]s
EOF
once() {
%[2]s
}
once || true
while sleep 0.3; do once || true; done >/dev/null 2>&1 &
exec smtpd -d
`, conf, cron), "opensmtpd").relaysForAddress()
}

// TestSendmailMTA: with the lines that smail-policyd(8) has for sendmail.mc.
func TestSendmailMTA(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	lines := strings.ReplaceAll(manualExample(t, "sendmail"), "10033", port)
	m := installed(t, "sendmail", fmt.Sprintf(`cat >/etc/mail/sendmail.mc <<'EOF'
include(`+"`/usr/share/sendmail/cf/m4/cf.m4'"+`)dnl
OSTYPE(`+"`debian'"+`)dnl
DOMAIN(`+"`debian-mta'"+`)dnl
FEATURE(`+"`accept_unresolvable_domains'"+`)dnl
FEATURE(`+"`no_default_msa'"+`)dnl
DAEMON_OPTIONS(`+"`Port=PORT, Addr=127.0.0.1, Name=MTA'"+`)dnl
MAILER(`+"`smtp'"+`)dnl
%s
EOF
m4 /etc/mail/sendmail.mc >/etc/mail/sendmail.cf
mkdir -p /run/sendmail/mta
exec /usr/sbin/sendmail -bD
`, lines), "sendmail-bin", "sendmail-cf", "m4")
	f, _ := l.(*net.TCPListener).File()
	defer f.Close()
	cmd := exec.Command(filepath.Join(m.Libexec, "smail-policyd"), "-config", filepath.Join(m.Dir, "smail.conf"))
	cmd.Stdin, cmd.Stderr = f, m.log.in
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if _, err := m.Start(cmd); err != nil {
		t.Fatal(err)
	}
	m.relaysForAddress()
}
