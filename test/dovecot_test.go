package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A pipeServer is an IMAP server on its standard input and output, run as
// alice on her Maildir.
type pipeServer struct {
	h    *host
	name string
	args []string
}

// session sends commands and returns the untagged FETCH responses.
func (p pipeServer) session(commands ...string) []string {
	p.h.t.Helper()
	script := "a SELECT INBOX\r\n"
	for i, c := range commands {
		script += fmt.Sprintf("b%d %s\r\n", i, c)
	}
	args := append([]string{"--reuid", p.h.alice.Uid, "--regid", p.h.alice.Gid, "--clear-groups",
		"env", "-i", "HOME=" + p.h.alice.HomeDir, "USER=" + p.h.alice.Username}, p.args...)
	cmd := exec.Command("setpriv", args...)
	cmd.Stdin = strings.NewReader(script + "z LOGOUT\r\n")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "\nz OK") {
		p.h.t.Fatalf("%s: %v\n%s", p.name, err, out)
	}
	var fetched []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, " FETCH (") {
			fetched = append(fetched, strings.TrimSpace(line))
		}
	}
	return fetched
}

// TestDovecotSharesTheMaildir: smail and Dovecot in turn on one Maildir agree on
// UIDs, flags and keywords, whoever made them, and Dovecot has no complaint.
func TestDovecotSharesTheMaildir(t *testing.T) {
	needRoot(t)
	need(t, "doveadm", "dovecot-imapd")
	h := newHost(t)
	maildir := h.maildir(h.alice)
	for i := range 3 {
		h.deliver(h.alice, fmt.Sprintf("Subject: %d\n\nx\n", i))
	}
	run := filepath.Join(h.Dir, "dovecot")
	os.Mkdir(run, 0o777)
	os.Chmod(run, 0o777)
	conf := h.write("dovecot.conf", fmt.Sprintf("base_dir = %[1]s\nstate_dir = %[1]s\nlog_path = %[1]s/log\nmail_location = maildir:%[2]s\nssl = no\nprotocols = imap\n", run, maildir))
	os.Chmod(conf, 0o644)
	smail := pipeServer{h, "smail", []string{filepath.Join(bin, "smail-imap"), "-config", "/nonexistent/smail.conf"}}
	program := "/usr/lib/dovecot/imap" // Debian
	if !isFile(program) {
		program = "/usr/libexec/dovecot/imap" // Fedora
	}
	dovecot := pipeServer{h, "Dovecot", []string{program, "-c", conf}}

	const look = "UID FETCH 1:* FLAGS"
	for round := range 5 {
		for i, p := range []pipeServer{smail, dovecot} {
			other := []pipeServer{dovecot, smail}[i]
			h.deliver(h.alice, fmt.Sprintf("Subject: round %d of %s\n\nx\n", round, p.name))
			p.session("STORE 1:2 +FLAGS (By"+p.name+" $Forwarded)", fmt.Sprintf("STORE 3 +FLAGS (Round%d \\Flagged)", round), "STORE 2 -FLAGS ($Forwarded)")
			mine, theirs := recentless(p.session(look)), recentless(other.session(look))
			if mine != theirs {
				t.Fatalf("round %d: %s says\n%s%s says\n%s", round, p.name, mine, other.name, theirs)
			}
		}
	}
	if log, _ := os.ReadFile(run + "/log"); strings.Contains(string(log), "Error") || strings.Contains(string(log), "Warning") {
		t.Errorf("Dovecot logs:\n%s", log)
	}
	got := recentless(smail.session(look))
	if !strings.Contains(got, "Round4") || !strings.Contains(got, "Bysmail") || strings.Count(got, "\n") != 13 {
		t.Errorf("at the end:\n%s", got)
	}
}

// recentless joins responses with their items in one order, without \Recent,
// which belongs to whoever looked first.
func recentless(fetched []string) string {
	var b strings.Builder
	for _, line := range fetched {
		number, rest, _ := strings.Cut(line, " FETCH (")
		uid, flags := "", ""
		if i := strings.Index(rest, "UID "); i >= 0 {
			fmt.Sscanf(rest[i:], "UID %s", &uid)
			uid = strings.TrimRight(uid, ")")
		}
		if i := strings.Index(rest, "FLAGS ("); i >= 0 {
			flags, _, _ = strings.Cut(rest[i+len("FLAGS ("):], ")")
		}
		fmt.Fprintf(&b, "%s UID %s: %s\n", number, uid, strings.TrimSpace(strings.ReplaceAll(flags, `\Recent`, "")))
	}
	return b.String()
}
