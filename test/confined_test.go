package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// confined are the calls with which programs give rights up, and what is before
// and after: the trace of TestConfinedInTime.
const confined = "execve,landlock_restrict_self,seccomp,recvmsg"

// TestConfinedInTime: a front has given up its rights before the client's connection
// comes, and each session has confined itself, but for those that run sendmail.
func TestConfinedInTime(t *testing.T) {
	needRoot(t)
	strace := need(t, "strace", "strace")
	for _, c := range []struct {
		service, relay string
		landlocks      int
	}{
		{"imaps", "", 1}, {"pop3s", "", 1}, {"submissions", "smtp 127.0.0.1:1", 1}, {"submissions", "smtps 127.0.0.1:1", 1},
		{"submissions", "lmtp /nonexistent/lmtp", 1}, {"submissions", "sendmail /bin/true", 0},
	} {
		t.Run(c.service+" "+c.relay, func(t *testing.T) {
			h := newHost(t)
			if c.relay != "" {
				h.Config["relay"] = c.relay
				h.WriteConfig()
			}
			trace := filepath.Join(h.Dir, "trace")
			h.startedBy(strace + " -f -qq -s 200 -o " + trace + " -e trace=" + confined)
			h.serve(c.service)
			h.loginTo(c.service)
			session := map[string]string{"imaps": "smail-imap", "pop3s": "smail-pop3", "submissions": "smail-submit"}[c.service]
			fronts, sessions := 0, 0
			for _, calls := range callsByProcess(readFile(t, trace)) {
				joined := strings.Join(calls, " ")
				if i := strings.Index(joined, "smail-front"); i >= 0 {
					fronts++
					if !regexp.MustCompile(`smail-front .*landlock .*seccomp .*recvmsg5`).MatchString(joined) && strings.Contains(joined, "recvmsg5") {
						t.Errorf("a front's calls: %s", joined)
					}
				}
				if _, after, found := strings.Cut(joined, session+" "); found {
					sessions++
					if n := strings.Count(after, "landlock "); n != c.landlocks {
						t.Errorf("%d times Landlock in a session: %s", n, joined)
					}
				}
			}
			if fronts == 0 || sessions != 1 {
				t.Errorf("%d fronts and %d sessions in the trace", fronts, sessions)
			}
		})
	}
}

// loginTo logs in to one of the services with TLS from the start, and stays.
func (h *host) loginTo(service string) *dialogue {
	h.t.Helper()
	switch service {
	case "imaps":
		return h.login()
	case "pop3s":
		d := h.dial(service)
		d.expect("USER "+h.alice.Username, "+OK")
		d.expect("PASS "+h.password, "+OK")
		return d
	}
	return h.smtpLogin()
}

// tracedCall is a line of strace -f: the process, the call and its beginning.
var tracedCall = regexp.MustCompile(`(?m)^(\d+) +(\w+)\((\S+)`)

// callsByProcess returns what each process did: a program's name for execve,
// "landlock", "seccomp", and "recvmsg" with its descriptor.
func callsByProcess(trace string) map[string][]string {
	calls := map[string][]string{}
	for _, m := range tracedCall.FindAllStringSubmatch(trace, -1) {
		word := ""
		switch m[2] {
		case "execve":
			word = filepath.Base(strings.Trim(m[3], `",`))
		case "landlock_restrict_self":
			word = "landlock"
		case "seccomp":
			word = "seccomp"
		case "recvmsg":
			word = "recvmsg" + strings.TrimSuffix(m[3], ",")
		}
		calls[m[1]] = append(calls[m[1]], word+" ")
	}
	return calls
}

// TestEachSessionHasNothing of root's, those of POP3 and submission neither.
func TestEachSessionHasNothing(t *testing.T) {
	needRoot(t)
	for _, c := range []struct{ service, relay, program, noNewPrivs string }{
		{"pop3s", "", "smail-pop3", "1"}, {"submissions", "smtp 127.0.0.1:1", "smail-submit", "1"},
		{"submissions", "lmtp /nonexistent/lmtp", "smail-submit", "1"}, {"submissions", "sendmail /bin/true", "smail-submit", "0"},
	} {
		t.Run(c.service+" "+c.relay, func(t *testing.T) {
			h := newHost(t)
			if c.relay != "" {
				h.Config["relay"] = c.relay
				auth := h.write("relay.auth", "name\nword\n")
				os.Chmod(auth, 0o600)
				h.Config["relay_auth"] = auth
				h.WriteConfig()
			}
			h.serve(c.service)
			h.loginTo(c.service)
			h.auditProgram(c.program, c.noNewPrivs)
		})
	}
}

// TestLeftOpen: what whoever started smaild left open goes to no front and no
// session.
func TestLeftOpen(t *testing.T) {
	needRoot(t)
	for _, session := range []string{"brief", "held"} {
		t.Run(session, func(t *testing.T) {
			h := newHost(t, "pam_session", session)
			h.startedBy("7</etc/shadow 9<" + filepath.Join(h.Dir, "key.pem") + " env")
			h.serve("imaps")
			h.dial("imaps")
			h.auditFront()
			h.login()
			h.auditSession()
		})
	}
}

// TestRefusalsComeAtOneMoment, or at one two seconds later, whatever PAM takes: it
// thinks about alice for a second.
func TestRefusalsComeAtOneMoment(t *testing.T) {
	needRoot(t)
	h := newHost(t)
	slow := h.write("slow", "#!/bin/sh\n[ \"$PAM_USER\" != "+h.alice.Username+" ] || sleep 1\n")
	os.Chmod(slow, 0o755)
	if err := h.PAM("auth optional pam_exec.so "+slow, "auth required pam_unix.so nodelay", "account required pam_unix.so", "session required pam_permit.so"); err != nil {
		t.Fatal(err)
	}
	h.Config["penalty_exempt_networks"] = "127.0.0.0/8"
	h.WriteConfig()
	h.serve("imaps", "pop3s", "submissions")
	measure := func(name string, ask func(user string)) {
		for _, user := range []string{h.alice.Username, "nosuchuser"} {
			late := time.Hour
			for try := 0; try < 3 && late > 700*time.Millisecond; try++ { // a busy machine may hold one up
				start := time.Now()
				ask(user)
				late = time.Since(start) % (2 * time.Second)
			}
			if late > 700*time.Millisecond {
				t.Errorf("%s: %s is refused %v after a moment at which others are", name, user, late)
			}
		}
	}
	measure("IMAP", func(user string) {
		d := h.dial("imaps")
		d.expect("a LOGIN "+user+" wrong", "a NO")
	})
	measure("POP3", func(user string) {
		d := h.dial("pop3s")
		d.expect("USER "+user, "+OK")
		d.expect("PASS wrong", "-ERR")
	})
	measure("SMTP", func(user string) {
		d := h.dial("submissions")
		d.until("EHLO x", "250 ")
		d.expect("AUTH PLAIN "+plain(user, "wrong"), "535")
	})
}

// TestEmptyPassword is none, also where PAM would take it.
func TestEmptyPassword(t *testing.T) {
	needRoot(t)
	h := newHost(t)
	if err := h.PAM("auth required pam_unix.so nullok nodelay", "account required pam_unix.so", "session required pam_permit.so"); err != nil {
		t.Fatal(err)
	}
	run(t, "passwd", "-d", h.alice.Username)
	h.serve("imaps", "pop3s", "submissions")
	h.dial("imaps").expect("a LOGIN "+h.alice.Username+` ""`, "a NO")
	d := h.dial("pop3s")
	d.expect("USER "+h.alice.Username, "+OK")
	d.expect("PASS ", "-ERR")
	d = h.dial("submissions")
	d.until("EHLO x", "250 ")
	d.expect("AUTH PLAIN "+plain(h.alice.Username, ""), "535")
	if strings.Contains(h.log.String(), "by=password") {
		t.Errorf("somebody got in:\n%s", h.log)
	}
}

// TestSessionAsRoot: a session program that root starts, or one that could become
// root, does nothing.
func TestSessionAsRoot(t *testing.T) {
	needRoot(t)
	h := newHost(t)
	for _, as := range [][]string{nil, {"setpriv", "--ruid", h.alice.Uid}, {"setpriv", "--euid", h.alice.Uid},
		{"setpriv", "--reuid", h.alice.Uid, "--clear-groups"}, // gid 0
		{"setpriv", "--reuid", h.alice.Uid, "--regid", h.alice.Gid, "--clear-groups", "--inh-caps", "+chown", "--ambient-caps", "+chown"}} {
		for _, program := range []string{"smail-imap", "smail-pop3", "smail-submit"} {
			args := slices.Concat(as, []string{filepath.Join(bin, program), "-config", "/nonexistent"})
			cmd := exec.Command(args[0], args[1:]...)
			cmd.Env = []string{"HOME=" + h.Dir, "USER=" + h.alice.Username}
			cmd.Stdin = strings.NewReader("a NOOP\r\nNOOP\r\n")
			var said strings.Builder
			cmd.Stdout = &said
			err := cmd.Run()
			gid0 := len(as) == 4
			if _, exits := err.(*exec.ExitError); !gid0 && (!exits || said.Len() > 0) {
				t.Errorf("%v: %v, said %q", fmt.Sprint(args), err, said.String())
			}
		}
	}
}
