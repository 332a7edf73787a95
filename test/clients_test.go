package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// everyStart tries a client with smail started in each way.
func everyStart(t *testing.T, try func(t *testing.T, h *host)) {
	for name, start := range starters {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.start = start
			try(t, h)
		})
	}
}

// curlUser is alice as curl takes her.
func (h *host) curlUser() string { return h.alice.Username + ":" + h.password }

func (h *host) curl(args ...string) string {
	h.t.Helper()
	need(h.t, "curl", "curl")
	return h.must("", "curl", append([]string{"-sS", "--max-time", "60", "--cacert", filepath.Join(h.Dir, "cert.pem"),
		"-u", h.curlUser()}, args...)...)
}

func TestCurl(t *testing.T) { everyStart(t, tryCurl) }

func tryCurl(t *testing.T, h *host) {
	h.serve("imaps", "pop3s", "submissions", "imap", "pop3", "submission")
	h.deliver(h.alice, "Subject: for curl\n\n.leading dot\nlast line\n")
	if got := h.curl("imaps://localhost:" + h.port("imaps") + "/INBOX;MAILINDEX=1"); !strings.HasSuffix(got, "\r\n.leading dot\r\nlast line\r\n") {
		t.Errorf("IMAP: got %q", got)
	}
	if got := h.curl("--ssl-reqd", "imap://localhost:"+h.port("imap")+"/INBOX;MAILINDEX=1;SECTION=TEXT"); got != ".leading dot\r\nlast line\r\n" {
		t.Errorf("IMAP with STARTTLS: got %q", got)
	}
	if got := h.curl("pop3s://localhost:" + h.port("pop3s") + "/1"); !strings.HasSuffix(got, "\r\n.leading dot\r\nlast line\r\n") {
		t.Errorf("POP3: got %q", got)
	}
	if got := h.curl("--ssl-reqd", "pop3://localhost:"+h.port("pop3")+"/"); !strings.HasPrefix(got, "1 46\r\n") {
		t.Errorf("POP3 with STLS: got %q", got)
	}
	for _, url := range []string{"smtps://localhost:" + h.port("submissions"), "smtp://localhost:" + h.port("submission")} {
		mail := h.write("mail", "Subject: by curl\r\nBcc: secret@example.net\r\n\r\n.dot\r\n")
		h.curl("--ssl-reqd", url, "--mail-from", h.alice.Username+"@example.org", "--mail-rcpt", "bob@example.net", "-T", mail)
	}
	sent := h.outbox()
	if len(sent) != 2 || !strings.Contains(sent[0], "\n\n.dot\n") || strings.Contains(sent[0], "secret") {
		t.Errorf("sent: %q", sent)
	}
	appended := h.write("appended", "Subject: appended\r\n\r\nby curl\r\n")
	h.curl("imaps://localhost:"+h.port("imaps")+"/INBOX", "-T", appended)
	if got := h.curl("imaps://localhost:"+h.port("imaps")+"/INBOX", "-X", "SEARCH SUBJECT appended"); !strings.Contains(got, "* SEARCH 2") {
		t.Errorf("SEARCH: got %q", got)
	}
}

// outbox returns what was sent by `relay maildir`.
func (h *host) outbox() (messages []string) {
	h.t.Helper()
	files, _ := filepath.Glob(filepath.Join(h.Dir, "outbox/new/*"))
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			h.t.Fatal(err)
		}
		messages = append(messages, string(b))
	}
	return messages
}

// TestMbsync synchronises 2,000 messages both ways, and then nothing.
func TestMbsync(t *testing.T) { everyStart(t, tryMbsync) }

func tryMbsync(t *testing.T, h *host) {
	need(t, "mbsync", "isync")
	h.serve("imaps")
	cur := filepath.Join(h.maildir(h.alice), "cur")
	h.deliver(h.alice, "Subject: first\n\nin new/\n")
	for i := range 1999 {
		name := fmt.Sprintf("%d.M1P1.test:2,%s", 1700000000+i, []string{"", "S", "FS", "RS"}[i%4])
		text := fmt.Sprintf("Subject: message %d\nMessage-ID: <%d@test>\n\n%s\n", i, i, strings.Repeat("text\n", i%50))
		if err := os.WriteFile(filepath.Join(cur, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.own(cur, h.alice)
	local := filepath.Join(h.Dir, "local")
	os.MkdirAll(local, 0o700)
	rc := h.write("mbsyncrc", fmt.Sprintf(`IMAPAccount a
Host localhost
Port %s
User %s
PassCmd "cat %s"
SSLType IMAPS
CertificateFile %s

IMAPStore remote
Account a

MaildirStore local
Path %s/
Inbox %s/INBOX
SubFolders Verbatim

Channel c
Far :remote:
Near :local:
Patterns *
Create Both
Expunge Both
SyncState *
`, h.port("imaps"), h.alice.Username, h.write("pw", h.password+"\n"), filepath.Join(h.Dir, "cert.pem"), local, local))
	sync := func() string { return h.must("", "mbsync", "-V", "-c", rc, "c") }
	count := func(dir string) int {
		a, _ := filepath.Glob(filepath.Join(dir, "cur/*"))
		b, _ := filepath.Glob(filepath.Join(dir, "new/*"))
		return len(a) + len(b)
	}
	sync()
	if n := count(filepath.Join(local, "INBOX")); n != 2000 {
		t.Fatalf("mbsync fetched %d messages, want 2000", n)
	}
	// Locally: flags, a deletion, a new folder with a message.
	files, _ := filepath.Glob(filepath.Join(local, "INBOX/cur/*,U=100:2,*"))
	if len(files) != 1 {
		t.Fatalf("no message 100 in %s", local)
	}
	os.Rename(files[0], files[0][:strings.LastIndex(files[0], ":2,")]+":2,FS")
	files, _ = filepath.Glob(filepath.Join(local, "INBOX/cur/*,U=200:2,*"))
	os.Rename(files[0], files[0]+"T")
	for _, sub := range []string{"cur", "new", "tmp"} {
		os.MkdirAll(filepath.Join(local, "Made here", sub), 0o700)
	}
	os.WriteFile(filepath.Join(local, "Made here/cur/1700000000.local:2,S"), []byte("Subject: up\r\n\r\nup\r\n"), 0o600)
	// Remotely: a flag by another program.
	remote, _ := filepath.Glob(filepath.Join(cur, "1700000300.*"))
	os.Rename(remote[0], remote[0]+"F")
	sync()
	if n := count(h.maildir(h.alice)); n != 1999 {
		t.Errorf("server has %d messages, want 1999", n)
	}
	if n := count(filepath.Join(h.maildir(h.alice), ".Made here")); n != 1 {
		t.Errorf("new folder has %d messages on the server, want 1", n)
	}
	if f, _ := filepath.Glob(filepath.Join(local, "INBOX/cur/*:2,*F*")); len(f) < 2 {
		t.Error("a flag set on the server did not arrive")
	}
	for range 2 { // the first of these ends what the second sync began
		if out := sync(); strings.Contains(out, "+1") {
			t.Errorf("a sync with nothing to do did:\n%s", out)
		}
	}
	before := h.log.String()
	sync()
	last := strings.TrimPrefix(h.log.String(), before)
	if strings.Contains(last, "fetched=") || strings.Contains(last, "appended=") || strings.Contains(last, "expunged=") {
		t.Errorf("the second run transferred: %s", last)
	}
}

func TestFetchmail(t *testing.T) {
	need(t, "fetchmail", "fetchmail")
	for _, proto := range []struct{ name, service string }{{"POP3", "pop3s"}, {"IMAP", "imaps"}} {
		tryFetchmail := func(t *testing.T, h *host) {
			h.setPassword("without quotes") // which fetchmail's file cannot hold
			h.serve(proto.service)
			for i := range 5 {
				h.deliver(h.alice, fmt.Sprintf("Subject: %d\nFrom: a@example.net\nTo: b@example.net\n\n.text\n", i))
			}
			got := filepath.Join(h.Dir, "got")
			script := h.write("mda", "#!/bin/sh\ncat >>'"+got+"'\n")
			os.Chmod(script, 0o755)
			rc := h.write("fetchmailrc", fmt.Sprintf("poll localhost service %s proto %s user %q pass %q ssl sslcertfile %s keep mda %q\n",
				h.port(proto.service), proto.name, h.alice.Username, h.password, filepath.Join(h.Dir, "cert.pem"), script))
			h.must("", "fetchmail", "-f", rc, "--nodetach", "--nosyslog", "-v", "-a")
			b, _ := os.ReadFile(got)
			if n := strings.Count(string(b), "\n.text\n"); n != 5 {
				t.Errorf("fetchmail got %d messages, want 5", n)
			}
		}
		t.Run(proto.name, func(t *testing.T) { everyStart(t, tryFetchmail) })
	}
}

func TestSwaks(t *testing.T) { everyStart(t, trySwaks) }

func trySwaks(t *testing.T, h *host) {
	need(t, "swaks", "swaks")
	h.serve("submissions", "submission")
	for _, c := range []struct{ service, tls, auth string }{
		{"submissions", "--tls-on-connect", "PLAIN"}, {"submission", "--tls", "LOGIN"},
	} {
		h.must("", "swaks", "--server", "127.0.0.1:"+h.port(c.service), c.tls, "--auth", c.auth,
			"--auth-user", h.alice.Username, "--auth-password", h.password,
			"--from", h.alice.Username+"@localhost", "--to", "one@example.net,two@example.net",
			"--header", "Subject: swaks "+c.auth, "--body", "hello")
	}
	if n := len(h.outbox()); n != 2 {
		t.Errorf("%d messages sent, want 2", n)
	}
	if out, err := h.client("", "swaks", "--server", "127.0.0.1:"+h.port("submission"),
		"--from", "a@localhost", "--to", "b@localhost"); err == nil || !strings.Contains(out, "530") {
		t.Errorf("mail was taken without TLS: %s", out)
	}
}

func TestMsmtp(t *testing.T) { everyStart(t, tryMsmtp) }

func tryMsmtp(t *testing.T, h *host) {
	need(t, "msmtp", "msmtp")
	h.serve("submissions", "submission")
	for service, starttls := range map[string]string{"submissions": "off", "submission": "on"} {
		rc := h.write("msmtprc", fmt.Sprintf("account default\nhost localhost\nport %s\ntls on\ntls_starttls %s\ntls_trust_file %s\n"+
			"auth on\nuser %s\npasswordeval cat %s\nfrom %s@localhost\n", h.port(service), starttls, filepath.Join(h.Dir, "cert.pem"),
			h.alice.Username, h.write("pw", h.password+"\n"), h.alice.Username))
		h.must("Subject: msmtp\n\nhello\n", "msmtp", "-C", rc, "to@example.net")
	}
	if n := len(h.outbox()); n != 2 {
		t.Errorf("%d messages sent, want 2", n)
	}
}

// TestPython runs imaplib, poplib and smtplib; see testdata/python.py.
func TestPython(t *testing.T) { everyStart(t, tryPython) }

func tryPython(t *testing.T, h *host) {
	need(t, "python3", "python3")
	h.serve("imaps", "pop3s", "submissions", "submission", "imap", "pop3")
	script, err := filepath.Abs("testdata/python.py")
	if err != nil {
		t.Fatal(err)
	}
	out := h.must(h.password, "python3", script, h.alice.Username, filepath.Join(h.Dir, "cert.pem"),
		h.port("imaps"), h.port("pop3s"), h.port("submissions"), h.port("submission"), h.port("imap"), h.port("pop3"))
	if !strings.HasSuffix(out, "all well\n") {
		t.Errorf("python: %s", out)
	}
	if n := len(h.outbox()); n != 3 {
		t.Errorf("%d messages sent, want 3", n)
	}
}
