package test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// smailctl runs it with a configuration and returns what it prints, and
// whether it succeeded.
func smailctl(t *testing.T, conf string, args ...string) (string, bool) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "smail.conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c := exec.Command(bin+"/smailctl", append([]string{"-config", file}, args...)...)
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.String(), err == nil
}

// TestCheckFinds what is wrong, each with its remedy.
func TestCheckFinds(t *testing.T) {
	dir := t.TempDir()
	good := func(name string) string { return filepath.Join(dir, name) }
	if out, ok := smailctl(t, "", "makecert", good("cert.pem"), good("key.pem"), "localhost"); !ok {
		t.Fatal(out)
	}
	if out, ok := smailctl(t, "", "makecert", good("cert.pem"), good("key.pem")); ok || !strings.Contains(out, "exists") {
		t.Errorf("makecert overwrote a key: %s", out)
	}
	expired(t, good("old.pem"), good("old.key"))
	os.WriteFile(good("open.key"), []byte(readFile(t, good("key.pem"))), 0o644)
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { busy.Close() })

	base := fmt.Sprintf("libexec_dir %s\nhostname localhost\n", bin) // needs no DNS
	cert := base + fmt.Sprintf("tls_certificate %s\ntls_key %s\n", good("cert.pem"), good("key.pem"))
	for _, c := range []struct{ what, conf, want string }{
		{"self-signed", cert, "warning  certificate  " + good("cert.pem") + ", for localhost, is self-signed"},
		{"no certificate", base, "error    certificate  no tls_certificate"},
		{"missing", base + "tls_certificate /none.pem\ntls_key /none.key\n", "error    certificate  /none.pem with /none.key: open"},
		{"another's key", base + "tls_certificate " + good("cert.pem") + "\ntls_key " + good("old.key") + "\n", "private key"},
		{"expired", base + "tls_certificate " + good("old.pem") + "\ntls_key " + good("old.key") + "\n", "ended on 2001-01-01; renew it"},
		{"readable key", base + "tls_certificate " + good("cert.pem") + "\ntls_key " + good("open.key") + "\n", "can be read by everybody; chmod o-r"},
		{"other name", strings.Replace(cert, "hostname localhost", "hostname imap.localhost", 1), "none is for hostname imap.localhost"},
		{"short name", cert, "hostname localhost is not a full name"},
		{"PAM", cert + "pam_service nosuch\n", `error    pam          no service "nosuch"`},
		{"front user", cert + "front_user nosuch\n", "error    user         front_user nosuch: no such account; systemd-sysusers"},
		{"front is root", cert + "front_user root\n", "has uid 0: it must be neither"},
		{"programs", cert + "libexec_dir /nosuch\n", "error    program      stat /nosuch/smail-front"},
		{"sendmail", cert + "relay sendmail /nosuch\n", "error    relay        stat /nosuch"},
		{"next hop", cert + "relay smtp " + busy.Addr().String() + "\n", "ok       relay        smtp " + busy.Addr().String() + " answers"},
		{"no next hop", cert + "relay smtp 127.0.0.1:1\n", "error    relay        smtp: dial"},
		{"relay_auth", cert + "relay_auth " + good("cert.pem") + "\n", "error    relay_auth   " + good("cert.pem") + " must be a file of root's that nobody else can read"},
		{"senders", cert + "senders_file " + good("key.pem") + "\n", "error    senders      " + good("key.pem") + ": line 1: "},
		{"relay maildir", cert + "relay maildir /tmp/x\n", "warning  relay        maildir /tmp/x: nothing is sent"},
	} {
		conf := c.conf
		if strings.Count(conf, "libexec_dir") > 1 {
			conf = strings.Replace(conf, "libexec_dir "+bin+"\n", "", 1)
		}
		t.Run(c.what, func(t *testing.T) {
			t.Parallel() // each may wait for the DNS
			if out, _ := smailctl(t, conf, "check"); !strings.Contains(out, c.want) {
				t.Errorf("no %q in\n%s", c.want, out)
			}
		})
	}
	if out, ok := smailctl(t, cert+"nosuch 1\n", "check"); ok || !strings.Contains(out, `unknown directive "nosuch"`) {
		t.Errorf("bad configuration: %s", out)
	}
	if out, ok := smailctl(t, cert, "check", "--user", "nosuchuser"); ok || !strings.Contains(out, "error    account      nosuchuser: no such account") {
		t.Errorf("no account: %s", out)
	}
}

// TestSocketsNamesTheHolder of a port that is not ours.
func TestSocketsNamesTheHolder(t *testing.T) {
	needRoot(t)
	holder, err := net.Listen("tcp", "127.0.0.1:143")
	if err != nil {
		t.Fatalf("port 143 is not free to try it: %v", err)
	}
	defer holder.Close()
	out, ok := smailctl(t, "", "sockets", "imap")
	if want := fmt.Sprintf("port 143 (imap) is held by test.test (pid %d)", os.Getpid()); ok || !strings.Contains(out, want) {
		t.Errorf("got %q, want %q", out, want)
	}
	if out, ok := smailctl(t, "", "sockets", "nosuch"); ok || !strings.Contains(out, "no service") {
		t.Errorf("got %q", out)
	}
}

// TestWrongCommands say how it is used, and exit with 2.
func TestWrongCommands(t *testing.T) {
	for _, args := range [][]string{{}, {"nosuch"}, {"config", "-nosuch"}, {"sessions", "x"}, {"makecert", "x"}, {"kick"}, {"forget", "a", "b"}, {"auth-test"}, {"auth-test", "-service", "x", "y"}} {
		err := exec.Command(bin+"/smailctl", args...).Run()
		if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 2 {
			t.Errorf("smailctl %v: %v, want status 2", args, err)
		}
	}
}

// expired writes a certificate that ended long ago.
func expired(t *testing.T, certFile, keyFile string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail.example.org"},
		NotBefore: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
	os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600)
}
