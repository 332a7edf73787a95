package test

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestWrongPasswordAndUnknownName get one answer, after one time, three times.
func TestWrongPasswordAndUnknownName(t *testing.T) {
	h := newHost(t)
	h.serve("imaps", "pop3s", "submissions")
	var took [2]time.Duration
	for range 3 { // a busy machine may hold one of them up
		for i, name := range []string{h.alice.Username, "nosuchuser"} {
			d := h.dial("imaps")
			start := time.Now()
			if got := d.expect("a LOGIN "+name+" wrong", "a NO"); got != "a NO [AUTHENTICATIONFAILED] Wrong name or password" {
				t.Errorf("%s: got %q", name, got)
			}
			took[i] = time.Since(start)
		}
		if (took[0] - took[1]).Abs() < 200*time.Millisecond {
			break
		}
	}
	if d := (took[0] - took[1]).Abs(); d > 200*time.Millisecond || took[0] < time.Second {
		t.Errorf("a wrong password takes %v, an unknown name %v", took[0], took[1])
	}
	h.waitLog("login refused", "user="+h.alice.Username, "pam_authenticate")
	h.waitLog("login refused", "reason=", "peer=127.0.0.1")
	if strings.Contains(h.log.String(), "nosuchuser") {
		t.Error("a name that is no account's was logged")
	}
	d := h.dial("pop3s")
	for range 2 {
		d.expect("USER "+h.alice.Username, "+OK")
		d.expect("PASS wrong", "-ERR [AUTH]")
	}
	d.expect("USER "+h.alice.Username, "+OK")
	d.expect("PASS wrong", "-ERR [AUTH]")
	if !d.closed() {
		t.Error("more than three tries a connection")
	}
}

// TestAccountsThatMayNotLogIn are refused whatever their password says.
func TestAccountsThatMayNotLogIn(t *testing.T) {
	needRoot(t)
	h := newHost(t)
	h.serve("imaps")
	login := func(name, password string) string {
		d := h.dial("imaps")
		d.send(fmt.Sprintf("a LOGIN %s %s\r\n", quote(name), quote(password)))
		return d.line()
	}
	const want = "a NO [AUTHENTICATIONFAILED] Wrong name or password"
	refused := func(what, name, password, reason string) {
		t.Helper()
		if got := login(name, password); got != want {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
		h.waitLog("login refused", reason)
	}
	run(t, "usermod", "-e", "1", h.bob.Username)
	refused("expired", h.bob.Username, h.password, "pam_acct_mgmt")
	run(t, "usermod", "-e", "", h.bob.Username)
	run(t, "chage", "-d", "0", h.bob.Username)
	refused("password to be changed", h.bob.Username, h.password, "pam_acct_mgmt")
	run(t, "chage", "-d", "1", "-M", "-1", h.bob.Username)
	run(t, "usermod", "-L", h.bob.Username)
	refused("locked", h.bob.Username, h.password, "pam_authenticate")
	run(t, "passwd", "-d", h.bob.Username)
	refused("empty password", h.bob.Username, "", "")
	h.chpasswd(h.bob.Username)
	refused("capitals", strings.ToUpper(h.bob.Username), h.password, "")
	refused("a path", "../"+h.bob.Username, h.password, "name is not an account's")
	refused("another domain", h.bob.Username+"@example.net", h.password, "name is not an account's")
	if got := login(h.bob.Username+"@EXAMPLE.org", h.password); !strings.HasPrefix(got, "a OK") {
		t.Errorf("login domain: got %q", got)
	}
}

// TestLowUIDs: accounts of the system are not people's.
func TestLowUIDs(t *testing.T) {
	needRoot(t)
	h := newHost(t, "min_uid", "70000", "max_uid", "80000")
	h.serve("imaps")
	d := h.dial("imaps")
	d.expect("a LOGIN "+h.alice.Username+" "+quote(h.password), "a NO [AUTHENTICATIONFAILED]")
	h.waitLog("login refused", "min_uid 70000")
}

// TestRefusesToStart names what is missing.
func TestRefusesToStart(t *testing.T) {
	for _, c := range []struct{ name, setting, value, want string }{
		{"certificate", "tls_certificate", "/nonexistent/cert.pem", "open /nonexistent/cert.pem: no such file or directory"},
		{"key", "tls_key", "/dev/null", "no PRIVATE KEY block"},
		{"PAM service", "pam_service", "nosuch", "PAM service file"},
		{"program", "libexec_dir", "/nonexistent", "/nonexistent/smail-front"},
		{"directive", "no_such_thing", "1", `line %d: unknown directive \"no_such_thing\"`},
		{"value", "min_uid", "many", `line %d: min_uid: \"many\" is not a number from 1 to`},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t, c.setting, c.value)
			b, _ := os.ReadFile(filepath.Join(h.Dir, "smail.conf"))
			line := 1 + strings.Count(string(b)[:strings.Index(string(b), c.setting+" ")], "\n")
			if strings.Contains(c.want, "%d") {
				c.want = fmt.Sprintf(c.want, line)
			}
			h.serve("imaps")
			if got := h.waitLog("smaild ends"); !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q in it", got, c.want)
			}
		})
	}
}

// TestNoPasswordWithoutTLS, on loopback neither.
func TestNoPasswordWithoutTLS(t *testing.T) {
	h := newHost(t)
	h.serve("imap", "pop3", "submission")
	d := h.dial("imap")
	if got := d.until("a CAPABILITY", "a OK"); !strings.Contains(got, "LOGINDISABLED") || strings.Contains(got, "AUTH=") {
		t.Errorf("capabilities in clear text: %s", got)
	}
	d.expect("b LOGIN "+h.alice.Username+" "+quote(h.password), "b NO [PRIVACYREQUIRED]")
	d.expect("c AUTHENTICATE PLAIN", "c NO [PRIVACYREQUIRED]")
	d = h.dial("pop3")
	d.expect("USER "+h.alice.Username, "-ERR")
	d.expect("AUTH PLAIN", "-ERR")
	d = h.dial("submission")
	if got := d.until("EHLO x", "250 "); strings.Contains(got, "AUTH") {
		t.Errorf("AUTH in clear text: %s", got)
	}
	d.expect("AUTH PLAIN AGEAYg==", "538")
	d.expect("MAIL FROM:<a@localhost>", "530")
}

// TestCommandsBehindSTARTTLS in one segment end the connection: RFC 8314.
func TestCommandsBehindSTARTTLS(t *testing.T) {
	h := newHost(t)
	h.serve("imap", "pop3", "submission")
	for service, text := range map[string]string{"imap": "a STARTTLS\r\nb NOOP\r\n", "pop3": "STLS\r\nNOOP\r\n",
		"submission": "EHLO x\r\nSTARTTLS\r\nNOOP\r\n"} {
		d := h.dial(service)
		d.send(text)
		var got strings.Builder
		for {
			c, err := d.r.ReadByte()
			if err != nil {
				break
			}
			got.WriteByte(c)
		}
		if strings.Contains(got.String(), "b OK") || strings.Count(got.String(), "+OK") > 1 || strings.Contains(got.String(), "250 2.0.0 OK") {
			t.Errorf("%s: answered what came in clear text: %q", service, got.String())
		}
	}
}

// TestHalfAMessage: a client that stops half-way leaves nothing behind.
func TestHalfAMessage(t *testing.T) {
	h := newHost(t)
	h.serve("imaps", "submissions")
	d := h.login()
	d.send("b APPEND INBOX {1000+}\r\nSubject: half\r\n\r\n")
	time.Sleep(100 * time.Millisecond)
	d.Close()
	h.waitLog("smail-imap", "end user=")
	for _, sub := range []string{"cur", "new", "tmp"} {
		if files, _ := filepath.Glob(filepath.Join(h.maildir(h.alice), sub, "*")); len(files) > 0 {
			t.Errorf("half a message is in %s: %v", sub, files)
		}
	}
	for i, how := range []string{"DATA\r\n", "BDAT 1000 LAST\r\n"} {
		d = h.smtpLogin()
		d.expect("MAIL FROM:<"+h.alice.Username+"@localhost>", "250")
		d.expect("RCPT TO:<b@example.net>", "250")
		d.send(how + "Subject: half\r\n\r\nQUIT\r\n")
		time.Sleep(100 * time.Millisecond)
		d.Close()
		for range 200 {
			if strings.Count(h.log.String(), "messages=0") == i+1 {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	if n := strings.Count(h.log.String(), "messages=0"); n != 2 {
		t.Errorf("%d of 2 sessions ended without a message", n)
	}
	if sent := h.outbox(); len(sent) > 0 {
		t.Errorf("half a message was sent: %q", sent)
	}
}

// smtpLogin connects to submissions and logs alice in.
func (h *host) smtpLogin() *dialogue {
	h.t.Helper()
	d := h.dial("submissions")
	d.until("EHLO client.example.net", "250 ")
	d.expect("AUTH PLAIN "+plain(h.alice.Username, h.password), "235")
	return d
}

// TestBareLineEnds are refused in DATA and BDAT: what is one message here must
// not be two elsewhere.
func TestBareLineEnds(t *testing.T) {
	h := newHost(t)
	h.serve("submissions")
	for _, text := range []string{"a\n.\nMAIL FROM:<x@y>\r\n", "a\r.\rb\r\n", "a\r\n.\nb\r\n", "a\n.\r\nb\r\n", "a\x00b\r\n", "a\r", "\r\n.\rb\r\n"} {
		for _, how := range []string{"DATA", "BDAT"} {
			d := h.smtpLogin()
			d.expect("MAIL FROM:<"+h.alice.Username+"@localhost>", "250")
			d.expect("RCPT TO:<b@example.net>", "250")
			body := "Subject: x\r\n\r\n" + text
			if how == "DATA" {
				d.expect("DATA", "354")
				d.send(body + "\r\n.\r\n")
			} else {
				d.send(fmt.Sprintf("BDAT %d LAST\r\n%s", len(body), body))
			}
			if got := d.line(); !strings.HasPrefix(got, "550 5.6.0") {
				t.Errorf("%s %q: got %q", how, text, got)
			}
			d.expect("NOOP", "250")
		}
	}
	if sent := h.outbox(); len(sent) > 0 {
		t.Errorf("sent: %q", sent)
	}
}

// TestUnreadableMaildir: a tagged NO that names no path, and a log line that does.
func TestUnreadableMaildir(t *testing.T) {
	h := newHost(t)
	h.serve("imaps", "pop3s")
	if err := os.WriteFile(h.maildir(h.alice), []byte("not a folder"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.own(filepath.Dir(h.maildir(h.alice)), h.alice)
	d := h.dial("imaps")
	if got := d.expect("a LOGIN "+h.alice.Username+" "+quote(h.password), "a NO [UNAVAILABLE]"); strings.Contains(got, "/") {
		t.Errorf("names a path: %q", got)
	}
	if !d.closed() {
		t.Error("connection stays")
	}
	h.waitLog("session ends", h.maildir(h.alice))
	d = h.dial("pop3s")
	d.expect("USER "+h.alice.Username, "+OK")
	d.expect("PASS "+h.password, "-ERR [SYS/PERM]")
}

// TestMissingMaildirIsMade at the first login.
func TestMissingMaildirIsMade(t *testing.T) {
	h := newHost(t)
	h.serve("imaps")
	os.RemoveAll(h.maildir(h.alice))
	d := h.login()
	if got := d.until("b SELECT INBOX", "b OK"); !strings.Contains(got, "* 0 EXISTS") {
		t.Errorf("got %s", got)
	}
	if info, err := os.Stat(filepath.Join(h.maildir(h.alice), "new")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("new: %v %v", info, err)
	}
}

// TestVanishedMessage is removed by another program while it is fetched.
func TestVanishedMessage(t *testing.T) {
	h := newHost(t)
	h.serve("imaps")
	for i := range 3 {
		h.deliver(h.alice, fmt.Sprintf("Subject: %d\n\nx\n", i))
	}
	d := h.login()
	d.until("b SELECT INBOX", "b OK")
	files, _ := filepath.Glob(filepath.Join(h.maildir(h.alice), "cur/*"))
	os.Remove(files[1])
	os.Rename(files[2], files[2]+"S") // and another renamed, which changes nothing
	got := d.until("c FETCH 1:3 (UID BODY.PEEK[])", "c ")
	if !strings.Contains(got, "c OK [EXPUNGEISSUED]") || !strings.Contains(got, "* 1 FETCH") || !strings.Contains(got, "* 3 FETCH (UID 3") {
		t.Errorf("got %s", got)
	}
	if got := d.until("d NOOP", "d OK"); !strings.Contains(got, "* 2 EXPUNGE\n") {
		t.Errorf("after it NOOP says %s", got)
	}
}

// TestLoginTimeout is for all that comes before a login together.
func TestLoginTimeout(t *testing.T) {
	h := newHost(t, "login_timeout", "2s")
	h.serve("imaps")
	conn, err := net.Dial("tcp", h.addr["imaps"]) // not even a handshake
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	d := h.dial("imaps")
	start := time.Now()
	go func() { // a byte now and then does not help
		for range 100 {
			d.Conn.Write([]byte("x"))
			time.Sleep(100 * time.Millisecond)
		}
	}()
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	conn.Read(make([]byte, 1))
	if !d.closed() || time.Since(start) > 10*time.Second {
		t.Errorf("slow clients are gone after %v", time.Since(start))
	}
	h.waitLog("no login", "login_timeout")
}

// TestForeignProtocols: a browser's request, or a proxy's header, ends the
// connection without a word, in clear text, over TLS, and behind an upgrade.
func TestForeignProtocols(t *testing.T) {
	h := newHost(t)
	services := []string{"imaps", "imap", "pop3s", "pop3", "submissions", "submission"}
	h.serve(services...)
	for _, service := range services {
		for _, line := range []string{"GET / HTTP/1.1", "HEAD /", "POST", "PRI * HTTP/2.0", "OPTIONS * RTSP/1.0",
			"PROXY TCP4 192.0.2.66 192.0.2.1 4711 993", "CONNECT localhost:25 HTTP/1.1"} {
			d := h.dial(service)
			d.send(line + "\r\n")
			if got := d.rest(); got != "" {
				t.Errorf("%s: %q is answered with %q", service, line, got)
			}
		}
	}
	upgrades := map[string]string{"imap": "a STARTTLS", "pop3": "STLS", "submission": "STARTTLS"}
	for service, command := range upgrades {
		d := h.dial(service)
		d.send(command + "\r\n")
		d.line()
		d.startTLS()
		d.send("GET / HTTP/1.1\r\n")
		if got := d.rest(); got != "" {
			t.Errorf("%s after the upgrade: %q", service, got)
		}
	}
	h.waitLog("HTTP, or a proxy's header")
	if strings.Contains(h.log.String(), "192.0.2.66") {
		t.Error("a client's header tells the log who it is")
	}
}

// TestALPN: a client may name the protocol that it speaks, and it had better be ours.
func TestALPN(t *testing.T) {
	h := newHost(t)
	h.serve("imaps", "pop3s", "submissions")
	ours := map[string]string{"imaps": "imap", "pop3s": "pop3", "submissions": "submission"}
	for service := range ours {
		for _, name := range []string{"", "imap", "pop3", "submission", "h2", "http/1.1", "x"} {
			cfg := &tls.Config{InsecureSkipVerify: true}
			if name != "" {
				cfg.NextProtos = []string{name}
			}
			c, err := tls.Dial("tcp", h.addr[service], cfg)
			if err == nil {
				_, err = c.Read(make([]byte, 1)) // TLS 1.3's client is done before the server
				c.Close()
			}
			if want := name == "" || name == ours[service]; (err == nil) != want {
				t.Errorf("%s with ALPN %q: %v", service, name, err)
			} else if err != nil && !strings.Contains(err.Error(), "no application protocol") {
				t.Errorf("%s with ALPN %q ends with %v", service, name, err)
			}
		}
	}
}

// TestPasswordWithNUL: PAM reads up to it, and would take the rest for nothing.
func TestPasswordWithNUL(t *testing.T) {
	h := newHost(t)
	h.serve("imaps", "pop3s", "submissions")
	name, password := h.alice.Username, h.password+"\x00junk"
	encoded := base64.StdEncoding.EncodeToString
	d := h.dial("pop3s")
	d.expect("USER "+name, "+OK")
	d.expect("PASS "+password, "-ERR [AUTH]")
	d = h.dial("submissions")
	d.until("EHLO x", "250 ")
	d.expect("AUTH LOGIN", "334")
	d.expect(encoded([]byte(name)), "334")
	d.expect(encoded([]byte(password)), "535")
	h.waitLog("NUL in the password")
}
