package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// smailctl runs smailctl for one of the host's accounts.
func (h *host) smailctl(args ...string) (string, bool) {
	h.t.Helper()
	conf := h.write("ctl.conf", "")
	os.Chmod(conf, 0o644)
	out, err := exec.Command(filepath.Join(bin, "smailctl"), append([]string{"-config", conf}, args...)...).CombinedOutput()
	return string(out), err == nil
}

// TestMailbox: root looks at a user's folders, as the user.
func TestMailbox(t *testing.T) {
	needRoot(t)
	h := newHost(t)
	alice := h.alice.Username
	box := h.maildir(h.alice)
	for i := range 3 {
		h.deliver(h.alice, strings.Repeat("Subject: x\n\nbody\n", i+1))
	}
	for _, dir := range []string{".Entw&APw-rfe", ".Entw&APw-rfe/cur", ".Entw&APw-rfe/new", ".Entw&APw-rfe/tmp"} {
		os.Mkdir(filepath.Join(box, dir), 0o700)
		h.own(filepath.Join(box, dir), h.alice)
	}
	want := func(ok bool, text string, args ...string) {
		t.Helper()
		if out, done := h.smailctl(args...); done != ok || !strings.Contains(out, text) {
			t.Errorf("smailctl %v: %v, want %v with %q:\n%s", args, done, ok, text, out)
		}
	}
	want(true, "  INBOX\n  Entwürfe\n", "mailbox", alice, "list")
	want(true, "INBOX     3         3       3    ", "mailbox", alice, "status")
	want(true, "3 messages, 0 problems", "mailbox", alice, "verify")
	want(true, "2 folders", "mailbox", alice, "rebuild")
	want(true, "3 messages, 0 problems", "mailbox", alice, "verify")

	// What verify finds.
	bad := filepath.Join(box, "cur/1700000000.M1P1.h,S=99:2,")
	os.WriteFile(bad, []byte("Subject: short\n\n"), 0o600)
	h.own(bad, h.alice)
	want(false, "1700000000.M1P1.h,S=99, has 16 bytes, 18 with CRLF: its name says otherwise", "mailbox", alice, "verify")
	want(false, "4 messages, 1 problems", "mailbox", alice, "verify")
	os.Remove(bad)

	// No file is root's afterwards, and none that is not alice's is followed.
	out := h.must("", "find", box, "!", "-user", alice)
	if out != "" {
		t.Errorf("not alice's:\n%s", out)
	}
	want(false, "no such account", "mailbox", "nosuchuser", "list")
	want(false, "wants a user", "mailbox", alice, "explode")
	want(false, "has no mail here", "mailbox", "root", "list")
}

// TestMigrate: from Courier's files, told before it is done, done once, and the
// same when it is done again.
func TestMigrate(t *testing.T) {
	needRoot(t)
	h := newHost(t)
	alice := h.alice.Username
	box := h.maildir(h.alice)
	for _, dir := range []string{"", "cur", "new", "tmp"} {
		os.MkdirAll(filepath.Join(box, dir), 0o700)
	}
	h.own(box, h.alice)
	for name, text := range map[string]string{
		"cur/1700000001.M1P1.host:2,S": "Subject: 1\n\nx\n",
		"cur/1700000002.M2P1.host:2,":  "Subject: 2\n\nx\n",
		"courierimapuiddb":             "1 795391814 8\n3 1700000001.M1P1.host\n7 1700000002.M2P1.host\n",
		"courierpop3dsizelist":         "/3 9 1700000123\n1700000002.M2P1.host:2, 16 1:1700000123:0\n",
	} {
		os.WriteFile(filepath.Join(box, name), []byte(text), 0o600)
		h.own(filepath.Join(box, name), h.alice)
	}
	before := h.must("", "find", box)
	out, ok := h.smailctl("migrate", "-dry-run", "-list", alice)
	for _, text := range []string{"INBOX   Courier  2         2          1              795391814    8", "         7 1700000002.M2P1.host UID1-1700000123", "Nothing was changed."} {
		if !ok || !strings.Contains(out, text) {
			t.Errorf("dry run, want %q:\n%s", text, out)
		}
	}
	if after := h.must("", "find", box); after != before {
		t.Errorf("a dry run changed\n%sto\n%s", before, after)
	}
	for _, look := range []string{"status", "verify", "rebuild"} { // Courier may still run
		if out, ok := h.smailctl("mailbox", alice, look); ok || !strings.Contains(out, "not taken over yet") {
			t.Errorf("%s:\n%s", look, out)
		}
	}
	if after := h.must("", "find", box); after != before {
		t.Errorf("looking changed\n%sto\n%s", before, after)
	}
	for range 2 {
		if out, ok := h.smailctl("migrate", alice); !ok || !strings.Contains(out, "has it still") {
			t.Errorf("migrate:\n%s", out)
		}
	}
	h.serve("pop3s")
	list, err := h.client("", "curl", "-sk", "-u", h.curlUser(), "-X", "UIDL", "pop3s://localhost:"+h.port("pop3s")+"/")
	if err != nil || !strings.HasPrefix(list, "1 UID1-1700000123\r\n2 0000000") {
		t.Errorf("POP3 lists %q, %v", list, err)
	}

	// Courier goes on meanwhile: then its UIDs are other messages'.
	os.WriteFile(filepath.Join(box, "cur/1700000003.M3P1.host:2,"), []byte("Subject: 3\n\nx\n"), 0o600)
	os.WriteFile(filepath.Join(box, "courierimapuiddb"), []byte("1 795391814 10\n3 1700000001.M1P1.host\n7 1700000002.M2P1.host\n9 1700000003.M3P1.host\n"), 0o600)
	h.own(filepath.Join(box, "cur"), h.alice)
	if out, ok := h.smailctl("migrate", alice); ok || !strings.Contains(out, "the files of Courier differ") {
		t.Errorf("migrate behind Courier's back:\n%s", out)
	}
	h.must("", "mkdir", "-p", filepath.Join(box, ".inbox/cur"), filepath.Join(box, ".inbox/new"), filepath.Join(box, ".inbox/tmp"))
	h.own(filepath.Join(box, ".inbox"), h.alice)
	if out, ok := h.smailctl("migrate", "-from", "courier", alice); ok || !strings.Contains(out, ".inbox is not served") {
		t.Errorf("migrate with .inbox:\n%s", out)
	}
	h.must("", "rm", "-r", filepath.Join(box, ".inbox"), filepath.Join(box, "cur/1700000003.M3P1.host:2,"))

	// Dovecot's files made by mistake give way to Courier's, if that is said.
	os.WriteFile(filepath.Join(box, "dovecot-uidlist"), []byte("3 V5 N9 Gx\n1 :1700000001.M1P1.host\n"), 0o600)
	h.own(filepath.Join(box, "dovecot-uidlist"), h.alice)
	if out, ok := h.smailctl("migrate", "-from", "courier", alice); !ok || !strings.Contains(out, "Courier  2         2          1              795391814") {
		t.Errorf("migrate -from courier:\n%s", out)
	}
	if _, err := os.Stat(filepath.Join(box, "dovecot-uidlist.before-migrate")); err != nil {
		t.Error(err)
	}
}
