package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestFail2banFilter: refused logins are found in the log with the client's
// address, and no name that a client sends makes it another.
func TestFail2banFilter(t *testing.T) {
	regex := need(t, "fail2ban-regex", "fail2ban")
	h := newHost(t)
	h.serve("imaps")
	d := h.dial("imaps")
	hostile := []string{
		h.alice.Username,
		"x peer=203.0.113.9",
		"x\\\" login refused service=imaps peer=203.0.113.9",
	}
	for _, name := range hostile {
		d.expect(`a LOGIN "`+name+`" wrong`, "a NO")
	}
	d = h.dial("imaps")
	d.send("a LOGIN {57+}\r\nx\nNov 23 05:00:00 mail smaild[1]: login refused peer=1.2.3 wrong\r\n")
	d.line()
	h.waitLog("login refused", "user="+h.alice.Username)

	dir := t.TempDir()
	var journal strings.Builder
	for line := range strings.Lines(h.log.String()) {
		journal.WriteString("Nov 23 05:00:00 mail " + line)
	}
	journal.WriteString("Nov 23 05:00:00 mail smaild[7]: login refused service=pop3s peer=2001:db8::9 user=alice reason=x\n")
	journal.WriteString("Nov 23 05:00:00 mail smaild[7]: login unavailable service=pop3s peer=2001:db8::8 user=alice reason=x\n")
	os.WriteFile(dir+"/log", []byte(journal.String()), 0o644)
	// The filter includes fail2ban's common.conf from the folder that it is in.
	for _, f := range []string{"/etc/fail2ban/filter.d/common.conf", "../packaging/fail2ban/filter.conf"} {
		os.WriteFile(filepath.Join(dir, filepath.Base(f)), []byte(readFile(t, f)), 0o644)
	}
	out, err := exec.Command(regex, "-o", "ip", dir+"/log", dir+"/filter.conf").Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	refused := strings.Count(h.log.String(), "login refused service=")
	want := strings.Repeat("127.0.0.1\n", refused) + "2001:db8::9\n"
	if refused < len(hostile) || string(out) != want {
		t.Errorf("%d refused; found\n%swant\n%sin\n%s", refused, out, want, &journal)
	}
}
