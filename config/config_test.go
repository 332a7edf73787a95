package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func load(t *testing.T, text string) (*Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "smail.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(path)
}

func TestLoad(t *testing.T) {
	c, err := load(t, `# a comment
hostname mail.example.org

tls_certificate /a.pem
tls_key /a.key
tls_certificate /b.pem
tls_key "/with space.key"
login_domains example.org example.net
relay smtps [::1]:465
relay_window 0
max_message_size 1G
relay_live_only yes
namespace_prefix INBOX.
`)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Given = c.Given
	want.Hostname, want.TLSCertificates, want.TLSKeys = "mail.example.org", []string{"/a.pem", "/b.pem"}, []string{"/a.key", "/with space.key"}
	want.LoginDomains, want.Relay = []string{"example.org", "example.net"}, Relay{"smtps", "[::1]:465"}
	want.RelayWindow, want.MaxMessageSize, want.RelayLiveOnly, want.NamespacePrefix = 0, 1<<30, true, "INBOX."
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v\nwant %+v", c, want)
	}
}

func TestDefaults(t *testing.T) {
	c := Default()
	if c.MinUID != 1000 || c.MaxUID != 60000 || c.RelayWindow != 10*time.Minute || c.Relay != (Relay{"sendmail", "/usr/sbin/sendmail"}) ||
		c.SenderCheck != "reject" || c.Maildir != "~/Maildir" || c.MaxMessageSize != 50<<20 {
		t.Errorf("%+v", c)
	}
	if got := c.MaildirOf("alice", "/home/alice"); got != "/home/alice/Maildir" {
		t.Errorf("Maildir %s", got)
	}
	c.Maildir = "/var/mail/%u"
	if got := c.MaildirOf("alice", "/home/alice"); got != "/var/mail/alice" {
		t.Errorf("Maildir %s", got)
	}
}

// TestErrors name the line and what was expected.
func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"\n# x\nnope 1\n":                          `line 3: unknown directive "nope"`,
		"min_uid x\n":                              `line 1: min_uid: "x" is not a number from 1`,
		"hostname a\n\nhostname b\n":               "line 3: hostname may stand only once",
		"relay_window 1h\n":                        `relay_window: "1h" is not a duration from 0s to 30m0s`,
		"relay\n":                                  "relay: wants sendmail [PATH], smtp HOST:PORT",
		"relay smtp nohost\n":                      "relay: wants",
		"relay smtp :25\n":                         "relay: wants",
		"relay lmtp relative\n":                    "PATH begins with /",
		"tls_certificate /a\n":                     "each tls_certificate needs its tls_key",
		"tls_key a.pem\n":                          `"a.pem" is not a path that begins with /`,
		"sender_check maybe\n":                     `"maybe" is not one of reject, rewrite, off`,
		"max_message_size 3G\n":                    "is not a size from 1 to 2G",
		"hostname\n":                               "takes one value, not 0",
		"hostname mail.example.org.\n":             "not a host's or domain's name",
		"login_domains a..b\n":                     "not a host's or domain's name",
		"namespace_prefix .\n":                     "not a prefix",
		"namespace_prefix INBOX..\n":               "not a prefix",
		"maildir {\n}\n":                           "maildir takes no block",
		"pam_service ../x\n":                       "is not a plain name",
		"hostname \"unclosed\n":                    "line 1",
		"namespace_prefix INBOX/\n":                "is not a prefix",
		"maildir mail\n":                           "begins neither with ~/ nor with /",
		strings.Repeat("# filler\n", maxFileBytes): "longer than",
	} {
		if _, err := load(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: got %v, want %q", text, err, want)
		}
	}
	if _, err := Load("/nonexistent/smail.conf"); !os.IsNotExist(err) {
		t.Errorf("missing file: %v", err)
	}
}

// TestTable: every setting is documented, once.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range Settings {
		if s.Type == "" || s.Doc == "" || !strings.HasSuffix(s.Doc, ".") || seen[s.Name] {
			t.Errorf("%s: type %q, doc %q", s.Name, s.Type, s.Doc)
		}
		seen[s.Name] = true
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("hostname a\nrelay smtp b:25\n")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(dir, "smail.conf")
		os.WriteFile(path, []byte(text), 0o600)
		if _, err := Load(path); err != nil && !strings.HasPrefix(err.Error(), path) {
			t.Errorf("error does not name the file: %v", err)
		}
	})
}
