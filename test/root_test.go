package test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestMonitorIsSmall enough to be read at once: all that runs as root, but for the
// files that it writes (gate, sessionfile) and PAM.
func TestMonitorIsSmall(t *testing.T) {
	files, _ := filepath.Glob("../monitor/*.go")
	more, _ := filepath.Glob("../cmd/smaild/*.go")
	lines := 0
	for _, f := range append(files, more...) {
		if !strings.HasSuffix(f, "_test.go") {
			lines += strings.Count(readFile(t, f), "\n")
		}
	}
	if lines > 1500 || lines < 500 {
		t.Errorf("%d lines", lines)
	}
}

// traceAll has what TestRootStaysOutOfHomes does done by every test that starts
// smaild. It takes its time; a test may fail that does not bear being traced.
var traceAll = os.Getenv("SMAIL_TRACETEST") == "1" && os.Getuid() == 0

// traced has the paths written down that smaild and all below it name.
func (h *host) traced() {
	strace := need(h.t, "strace", "strace")
	h.startedBy(strace + " -D -ff -qq -s 200 -o " + filepath.Join(h.Dir, "trace") + " -e trace=%file,%process,setresuid,setuid")
}

// TestRootStaysOutOfHomes: every path that a process names while it is root is
// traced, through logins of all kinds; none is below a home.
func TestRootStaysOutOfHomes(t *testing.T) {
	needRoot(t)
	h := newHost(t, "pam_session", "brief", "save_sent", "yes", "rate_limit", "100")
	h.deliver(h.alice, "Subject: x\n\nx\n")
	if !traceAll {
		h.traced()
	}
	h.serve("imaps", "pop3s", "submission")
	d := h.dial("imaps")
	d.expect("a LOGIN "+h.alice.Username+" wrong", "a NO")
	d.until("b LOGIN "+h.alice.Username+" "+quote(h.password), "b OK")
	d.until("c SELECT INBOX", "c OK")
	p := h.dial("pop3s")
	p.expect("USER "+h.alice.Username, "+OK")
	p.expect("PASS "+h.password, "+OK")
	p.expect("RETR 1", "+OK")
	s := h.dial("submission")
	s.until("EHLO x", "250 ")
	s.expect("STARTTLS", "220")
	s.startTLS()
	s.until("EHLO x", "250 ")
	s.expect("MAIL FROM:<"+h.alice.Username+"@localhost>", "250") // by the recent login
	s.expect("RCPT TO:<x@example.org>", "250")
	s.expect("DATA", "354")
	s.expect("Subject: x\r\n\r\nx\r\n.", "250")
	for _, c := range []*dialogue{d, p, s} {
		c.Close()
	}
	time.Sleep(time.Second)
	roots, users := h.rootsPaths()
	if roots < 100 || users < 10 { // so that it could have been seen
		t.Errorf("%d calls of root, %d of the user in his home", roots, users)
	}
}

var (
	becomes = regexp.MustCompile(`\b(setresuid|setuid)\(\d`)
	started = regexp.MustCompile(`\b(?:clone3?|v?fork)(?:\(| resumed>).* = (\d+)$`)
)

// rootsPaths goes through the trace, a file for each thread, and follows which of
// them is root's. It returns how many of root's lines there are, and of users'
// below the home.
func (h *host) rootsPaths() (roots, users int) {
	h.t.Helper()
	files, _ := filepath.Glob(filepath.Join(h.Dir, "trace.*"))
	lines, child := map[string][]string{}, map[string]bool{}
	for _, f := range files {
		thread := strings.TrimPrefix(filepath.Ext(f), ".")
		lines[thread] = strings.Split(readFile(h.t, f), "\n")
		for _, line := range lines[thread] {
			if m := started.FindStringSubmatch(line); m != nil {
				child[m[1]] = true
			}
		}
	}
	var follow func(thread string, root bool)
	follow = func(thread string, root bool) {
		for _, line := range lines[thread] {
			below := strings.Contains(line, `"`+filepath.Join(h.Dir, "home")) || strings.Contains(line, "Maildir")
			switch m := started.FindStringSubmatch(line); {
			case m != nil:
				follow(m[1], root)
			case becomes.MatchString(line):
				root = false
			case root && below:
				h.t.Error(line)
			case root:
				roots++
			case below:
				users++
			}
		}
	}
	for thread := range lines {
		if !child[thread] {
			follow(thread, true)
		}
	}
	return roots, users
}
