package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// courier returns Courier's imapd on alice's Maildir. Its packages conflict
// with Dovecot's, so they are unpacked, not installed.
func (h *host) courier() pipeServer {
	t := h.t
	apt := need(t, "apt-get", "apt")
	debs, root := filepath.Join(h.Dir, "debs"), filepath.Join(h.Dir, "courier")
	os.Mkdir(debs, 0o777)
	os.Chmod(debs, 0o777)
	os.Mkdir(root, 0o755)
	depends := h.must("", "apt-cache", "depends", "courier-imap")
	packages := append([]string{"courier-imap", "courier-base", "courier-authlib"}, regexp.MustCompile(`lib(?:courier-unicode|gdbm|idn|gamin)[\w.-]*`).FindAllString(depends, -1)...)
	cmd := exec.Command(apt, append([]string{"-qq", "download"}, packages...)...)
	cmd.Dir = debs
	if out, err := cmd.CombinedOutput(); err != nil {
		if !all {
			t.Skipf("Courier's packages cannot be had: %v", err)
		}
		t.Fatalf("apt-get download %v: %v\n%s", packages, err, out)
	}
	files, _ := filepath.Glob(debs + "/*.deb")
	for _, deb := range files {
		h.must("", "dpkg-deb", "-x", deb, root)
	}
	libs, _ := filepath.Glob(root + "/usr/lib/*-linux-gnu")
	start := h.write("courier.sh", fmt.Sprintf(`cd "$HOME" && exec env LD_LIBRARY_PATH=%s PATH=/usr/bin:/bin AUTHENTICATED=alice PROTOCOL=IMAP IMAP_KEYWORDS=1 \
	IMAP_CAPABILITY="IMAP4rev1 UIDPLUS" IMAP_USELOCKS=1 MAILDIR=./Maildir TCPREMOTEIP=127.0.0.1 %s/usr/bin/imapd ./Maildir
`, strings.Join(append(libs, root+"/usr/lib", root+"/usr/lib/courier"), ":"), root))
	os.Chmod(start, 0o644)
	os.Chmod(h.Dir, 0o755)
	return pipeServer{h, "Courier", []string{"/bin/sh", start}}
}

// TestCourierBeforeAndBeside: what Courier told a client, smail tells it too:
// UIDs, flags, keywords, folders, subscriptions; and Courier can be put back.
func TestCourierBeforeAndBeside(t *testing.T) {
	needRoot(t)
	h := newHost(t)
	courier := h.courier()
	smail := pipeServer{h, "smail", []string{filepath.Join(bin, "smail-imap"), "-config", h.write("prefix.conf", "namespace_prefix INBOX.\n")}}
	os.Chmod(smail.args[2], 0o644)
	for i := range 6 {
		h.deliver(h.alice, fmt.Sprintf("Subject: s%d\n\nx\n", i))
	}
	courier.run("STORE 1 +FLAGS (Word1 \\Seen)", "STORE 2 +FLAGS (Word2 Word1)", "STORE 3 +FLAGS (\\Deleted)", "EXPUNGE",
		"CREATE INBOX.Work", "SUBSCRIBE INBOX.Work", "COPY 2:3 INBOX.Work")
	h.deliver(h.alice, "Subject: s6\n\nx\n")

	const look = "UID FETCH 1:* FLAGS"
	same := func(when string, commands ...string) {
		t.Helper()
		theirs := recentless(courier.session(append(commands, look)...))
		mine := recentless(smail.session(append(commands, look)...))
		if mine != theirs || strings.Count(mine, "\n") < 2 {
			t.Errorf("%s: smail says\n%sCourier says\n%s", when, mine, theirs)
		}
	}
	same("taken over")
	same("a folder", "SELECT INBOX.Work")
	validity := regexp.MustCompile(`UIDVALIDITY (\d+)`)
	if a, b := validity.FindString(courier.run()), validity.FindString(smail.run()); a != b || a == "" {
		t.Errorf("Courier says %s, smail %s", a, b)
	}
	if out := smail.run(`LSUB "" *`); !strings.Contains(out, `INBOX.Work`) {
		t.Errorf("subscriptions:\n%s", out)
	}
	h.deliver(h.alice, "Subject: s7\n\nx\n")
	smail.session("STORE 4 +FLAGS (\\Flagged)")
	same("beside each other")
}
