package test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An mta is a real one, in a mount namespace of its own with a private /etc, so
// that the system's is not touched. smaild's submission runs in there, too.
type mta struct {
	*host
	name string
	dir  string
	port string // where it takes mail by SMTP
	pid  string // file of its pid
	logs string // pattern of its log files
}

func newMTA(t *testing.T, name string, settings ...string) *mta {
	needRoot(t)
	need(t, "unshare", "util-linux")
	m := &mta{host: newHost(t, settings...), name: name, port: freePort(t)}
	m.dir = filepath.Join(m.Dir, name)
	os.Mkdir(m.dir, 0o755)
	os.Chmod(m.dir, 0o755)
	return m
}

// launch runs a shell script in the namespace, and submissions behind it.
func (m *mta) launch(script string) {
	m.t.Helper()
	if _, err := m.WriteConfig(); err != nil {
		m.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		m.t.Fatal(err)
	}
	defer l.Close()
	f, _ := l.(*net.TCPListener).File()
	defer f.Close()
	m.addr["submissions"] = l.Addr().String()
	script = fmt.Sprintf("set -eu\ndir=%s\ncp -a /etc \"$dir/etc\"\nmount --bind \"$dir/etc\" /etc\n%s\nexec '%s' -config '%s' submissions\n",
		m.dir, script, filepath.Join(m.Bin, "smaild"), filepath.Join(m.Dir, "smail.conf"))
	cmd := exec.Command("unshare", "-m", "--propagation", "private", "sh", m.write(m.name+".sh", script))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = f, m.log.in, m.log.in
	if _, err := m.Start(cmd); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { // it left the group: it is ended by its pid
		b, _ := os.ReadFile(m.pid)
		if pid := strings.TrimSpace(string(b)); pid != "" {
			exec.Command("kill", pid).Run()
		}
	})
	m.waitLog("listening", "submissions")
}

// postfix is Debian's or Fedora's, with what a host needs that delivers into
// Maildirs, and what a test adds to main.cf. relay is as in smail.conf, with
// PORT for Postfix's.
func postfix(t *testing.T, relay, mainCf string) *mta {
	need(t, "postfix", "postfix")
	m := newMTA(t, "postfix")
	m.pid, m.logs = m.dir+"/spool/pid/master.pid", m.dir+"/maillog"
	m.Config["relay"] = strings.ReplaceAll(relay, "PORT", m.port)
	m.launch(fmt.Sprintf(`mkdir "$dir/spool" "$dir/lib"
cp -a /var/spool/postfix/. "$dir/spool/"
cp -a /var/lib/postfix/. "$dir/lib/"
mount --bind "$dir/spool" /var/spool/postfix
mount --bind "$dir/lib" /var/lib/postfix
cat >/etc/postfix/main.cf <<EOF
compatibility_level = 3.6
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = localhost
mydestination = localhost
home_mailbox = Maildir/
mailbox_command =
alias_maps =
alias_database =
maillog_file = $dir/maillog
maillog_file_prefixes = $dir
%s
EOF
sed -i 's/^smtp *inet.*/%s inet n - n - - smtpd/' /etc/postfix/master.cf
grep -q '^postlog' /etc/postfix/master.cf || echo 'postlog unix-dgram n - n - 1 postlogd' >>/etc/postfix/master.cf
postfix set-permissions >/dev/null 2>&1 || true
postfix start || { cat "$dir/maillog" >&2; exit 1; }
`, mainCf, m.port))
	return m
}

// exim is Debian's, whose package conflicts with Postfix's: it is unpacked, not
// installed. rcpt stands at the beginning of its ACL for RCPT. relay is as in
// smail.conf, with PORT and EXIM for Exim's.
func exim(t *testing.T, relay, rcpt string) *mta {
	apt := need(t, "apt-get", "apt")
	m := newMTA(t, "exim")
	m.pid, m.logs = m.dir+"/pid", m.dir+"/log/*"
	debs, root := m.dir+"/debs", m.dir+"/root"
	os.Mkdir(debs, 0o777)
	os.Chmod(debs, 0o777)
	depends := m.must("", "apt-cache", "depends", "exim4-daemon-light")
	packages := append([]string{"exim4-daemon-light", "exim4-base"}, regexp.MustCompile(`lib(?:db|gnutls-dane|idn|nsl|pcre)[\w.-]*`).FindAllString(depends, -1)...)
	cmd := exec.Command(apt, append([]string{"-qq", "download"}, packages...)...)
	cmd.Dir = debs
	if out, err := cmd.CombinedOutput(); err != nil {
		if !all {
			t.Skipf("Exim's packages cannot be had: %v", err)
		}
		t.Fatalf("apt-get download %v: %v\n%s", packages, err, out)
	}
	files, _ := filepath.Glob(debs + "/*.deb")
	for _, deb := range files {
		m.must("", "dpkg-deb", "-x", deb, root)
	}
	makeUser(t, "Debian-exim", "-r", "-d", "/nonexistent")
	m.Config["relay"] = strings.NewReplacer("PORT", m.port, "EXIM", root+"/usr/sbin/exim4").Replace(relay)
	m.Config["relay_folder"] = filepath.Join(m.Dir, "sessions/relay")
	m.launch(fmt.Sprintf(`mkdir -p /etc/exim4
ls -d $dir/root/usr/lib/*-linux-gnu $dir/root/lib/*-linux-gnu >/etc/ld.so.conf.d/test.conf 2>/dev/null || true
ldconfig
install -d -o Debian-exim -g Debian-exim "$dir/spool" "$dir/log"
cat >/etc/exim4/exim4.conf <<'EOF'
primary_hostname = localhost
local_interfaces = 127.0.0.1
daemon_smtp_ports = %[1]s
spool_directory = %[2]s/spool
log_file_path = %[2]s/log/%%slog
pid_file_path = %[2]s/pid
exim_path = %[2]s/root/usr/sbin/exim4
acl_smtp_rcpt = acl_check_rcpt
tls_advertise_hosts =
begin acl
acl_check_rcpt:
%[3]s
accept domains = localhost
deny message = relay not permitted
begin routers
local:
  driver = accept
  domains = localhost
  check_local_user
  transport = home
begin transports
home:
  driver = appendfile
  directory = $home/Maildir
  maildir_format
  return_path_add
EOF
%[2]s/root/usr/sbin/exim4 -bd
`, m.port, m.dir, strings.ReplaceAll(rcpt, "/run/smail/relay", m.Config["relay_folder"])))
	return m
}

// delivered waits for bob's messages and returns them, when there have been no
// more for a while.
func (m *mta) delivered(n int) (all []string) {
	m.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		files, _ := filepath.Glob(filepath.Join(m.maildir(m.bob), "new/*"))
		if len(files) >= n {
			time.Sleep(time.Second) // for one too many
			files, _ = filepath.Glob(filepath.Join(m.maildir(m.bob), "new/*"))
			for _, f := range files {
				all = append(all, readFile(m.t, f))
			}
			return all
		}
		if time.Now().After(deadline) {
			logs, _ := filepath.Glob(m.logs)
			for _, f := range logs {
				m.t.Logf("%s:\n%s", f, readFile(m.t, f))
			}
			m.t.Fatalf("%d of %d messages delivered", len(files), n)
		}
	}
}

// handOver sends two messages to bob, whose bodies must come once, as they are,
// and reads them as he does.
func (m *mta) handOver() {
	m.t.Helper()
	body := "first\r\n.\r\n..\r\n.dot\r\n" + strings.Repeat("0123456789", 90) + "\r\n\xe4\xf6\xfc\r\n \t\r\n--\r\n\r\n"
	d := m.smtpLogin()
	for i := range 2 {
		d.expect("MAIL FROM:<"+m.alice.Username+"@localhost> BODY=8BITMIME", "250")
		d.expect("RCPT TO:<"+m.bob.Username+"@localhost>", "250")
		d.expect("DATA", "354")
		d.send(fmt.Sprintf("Subject: %d\r\nFrom: %s@localhost\r\n\r\n%s.\r\n", i, m.alice.Username, strings.ReplaceAll(body, "\r\n.", "\r\n..")))
		if got := d.line(); !strings.HasPrefix(got, "250 2.0.0 ") {
			m.t.Fatalf("got %q", got)
		}
	}
	all := m.delivered(2)
	if len(all) != 2 {
		m.t.Errorf("%d messages for two", len(all))
	}
	for _, mail := range all {
		header, got, _ := strings.Cut(mail, "\n\n")
		if want := strings.ReplaceAll(body, "\r\n", "\n"); got != want {
			m.t.Errorf("delivered %q, want %q", got, want)
		}
		if !strings.HasPrefix(strings.ToLower(header), "return-path: <"+m.alice.Username+"@localhost>") {
			m.t.Errorf("delivered %q", header)
		}
	}
	m.serve("imaps")
	reader := m.dial("imaps")
	reader.until("a LOGIN "+m.bob.Username+" "+quote(m.password), "a OK")
	if got := reader.until("b SELECT INBOX", "b OK"); !strings.Contains(got, "* 2 EXISTS") {
		m.t.Errorf("got %s", got)
	}
}

// permits asks the MTA, from a source address, whether it relays for a sender.
func (m *mta) permits(source, from string) bool {
	m.t.Helper()
	d := m.connect(source, "127.0.0.1:"+m.port)
	d.line()
	d.until("EHLO client.example.net", "250 ")
	d.expect("MAIL FROM:<"+from+">", "250")
	d.send("RCPT TO:<someone@example.net>\r\n")
	reply := d.line()
	d.send("QUIT\r\n")
	return strings.HasPrefix(reply, "250")
}

// connect connects from an address of the loopback.
func (h *host) connect(source, to string) *dialogue {
	h.t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: 10 * time.Second}
	c, err := dialer.Dial("tcp", to)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(60 * time.Second))
	return &dialogue{Conn: c, t: h.t, r: bufio.NewReader(c)}
}

// relaysForAlice logs alice in from 127.0.0.2: she may send from there, and
// nobody else, and not she from elsewhere, until bob logs in there, too.
func (m *mta) relaysForAlice() {
	m.t.Helper()
	m.serve("imaps")
	login := func(name string) {
		d := m.connect("127.0.0.2", m.addr["imaps"])
		d.startTLS()
		d.line()
		d.until("a LOGIN "+name+" "+quote(m.password), "a OK")
	}
	alice, bob := m.alice.Username+"@localhost", m.bob.Username+"@localhost"
	if m.permits("127.0.0.2", alice) {
		m.t.Error("permitted before a login")
	}
	login(m.alice.Username)
	for _, c := range []struct {
		source, from string
		want         bool
	}{{"127.0.0.2", alice, true}, {"127.0.0.2", bob, false}, {"127.0.0.3", alice, false}, {"127.0.0.2", "x@example.org", false}} {
		if got := m.permits(c.source, c.from); got != c.want {
			m.t.Errorf("%s from %s: permitted %v, want %v", c.from, c.source, got, c.want)
		}
	}
	login(m.bob.Username)
	if m.permits("127.0.0.2", alice) || m.permits("127.0.0.2", bob) {
		m.t.Error("permitted at an address that two users share")
	}
}

func TestPostfixSendmail(t *testing.T) {
	postfix(t, "sendmail /usr/sbin/sendmail", "smtpd_relay_restrictions = reject").handOver()
}

// TestPostfixSMTP: with XCLIENT, by which Postfix knows the user.
func TestPostfixSMTP(t *testing.T) {
	m := postfix(t, "smtp 127.0.0.1:PORT", "smtpd_authorized_xclient_hosts = 127.0.0.1\nmynetworks = 127.0.0.1\nsmtpd_relay_restrictions = permit_mynetworks, reject")
	m.handOver()
	if text := readFile(t, m.logs); !strings.Contains(text, "sasl_username="+m.alice.Username) {
		t.Errorf("Postfix does not know the user:\n%s", text)
	}
}

// TestPolicyd: with the restrictions that smail-policyd(8) has.
func TestPolicyd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	restrictions := strings.ReplaceAll(manualExample(t, "Postfix"), "127.0.0.1:10033", l.Addr().String())
	m := postfix(t, "sendmail", "mynetworks = 192.0.2.0/24\n"+restrictions)
	f, _ := l.(*net.TCPListener).File()
	defer f.Close()
	cmd := exec.Command(filepath.Join(m.Libexec, "smail-policyd"), "-config", filepath.Join(m.Dir, "smail.conf"))
	cmd.Stdin, cmd.Stderr = f, m.log.in
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if _, err := m.Start(cmd); err != nil {
		t.Fatal(err)
	}
	m.relaysForAlice()
	m.waitLog("permitted", "user="+m.alice.Username, "peer=127.0.0.2")
	m.waitLog("sender refused", "from="+m.bob.Username+"@localhost")
}

// manualExample returns the lines that smail-policyd(8) has for an MTA.
func manualExample(t *testing.T, mta string) string {
	t.Helper()
	_, text, _ := strings.Cut(readFile(t, "../man/smail-policyd.8"), "\n.Ss "+mta+"\n")
	_, text, _ = strings.Cut(text, ".Bd -literal -offset indent\n")
	text, _, found := strings.Cut(text, ".Ed")
	if !found {
		t.Fatalf("smail-policyd(8) has no example for %s", mta)
	}
	return strings.ReplaceAll(text, `\e`, `\`)
}

func TestEximSendmail(t *testing.T) { exim(t, "sendmail EXIM", "").handOver() }

func TestEximSMTP(t *testing.T) { exim(t, "smtp 127.0.0.1:PORT", "").handOver() }

// TestEximRelayFolder: with the lines that smail-policyd(8) has.
func TestEximRelayFolder(t *testing.T) {
	exim(t, "sendmail", manualExample(t, "Exim")).relaysForAlice()
}
