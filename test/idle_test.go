package test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestIdleHearsAll: whatever one session changes, one in IDLE hears of it at
// once, of the last state in the end, and of nothing that is over.
func TestIdleHearsAll(t *testing.T) {
	needRoot(t)
	h := newHost(t)
	const messages = 40
	for i := range messages {
		h.deliver(h.alice, fmt.Sprintf("Subject: %d\n\nx\n", i))
	}
	idler, other := h.newViewer("the one in IDLE", true), h.newViewer("the other", true)
	heard := make(chan string, 1000)
	fmt.Fprint(idler.w, "x IDLE\r\n")
	go func() {
		for {
			line, err := idler.r.ReadString('\n')
			if err != nil {
				close(heard)
				return
			}
			heard <- strings.TrimSpace(line)
		}
	}()
	wait := func(text string) (before []string) {
		t.Helper()
		late := time.After(5 * time.Second)
		for {
			select {
			case line := <-heard:
				if strings.Contains(line, text) {
					return before
				}
				before = append(before, line)
			case <-late:
				t.Fatalf("%q was not heard; before: %q", text, before)
			}
		}
	}
	wait("+")
	for i := range messages {
		fmt.Fprintf(other.w, "a STORE 1 +FLAGS (\\Flagged)\r\nb STORE 1 +FLAGS (\\Answered)\r\nc STORE 1 +FLAGS (\\Deleted)\r\n")
		other.until("c OK")
		wait(`\Answered \Flagged \Deleted`)
		fmt.Fprintf(other.w, "d EXPUNGE\r\n")
		other.until("d OK")
		wait(fmt.Sprintf("VANISHED %d", i+1))
	}
	time.Sleep(50 * time.Millisecond)
	for len(heard) > 0 {
		if line := <-heard; strings.Contains(line, "FETCH") || strings.Contains(line, "VANISHED") {
			t.Errorf("at the end: %s", line)
		}
	}
	fmt.Fprint(idler.w, "DONE\r\n")
}

// until reads lines to the first that begins so.
func (c *viewer) until(prefix string) {
	c.t.Helper()
	late := time.AfterFunc(20*time.Second, func() { c.cmd.Process.Kill() })
	defer late.Stop()
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("%s: %v, want %s", c.name, err, prefix)
		}
		if strings.HasPrefix(line, prefix) {
			return
		}
	}
}

// TestSIGTERM: a session finishes the command in hand, says BYE with a reason,
// and ends, whether just the first process of its chain gets the signal or all.
func TestSIGTERM(t *testing.T) {
	for i, held := range []string{"brief", "held", "brief", "held"} {
		h := newHost(t, "pam_session", held)
		h.serve("imaps")
		for what, say := range map[string]string{
			"waiting":      "c NOOP\r\n",
			"in IDLE":      "c IDLE\r\n",
			"in a literal": "c APPEND INBOX {5+}\r\nab",
		} {
			all := i >= 2
			t.Run(fmt.Sprintf("%s, %s, all %v", held, what, all), func(t *testing.T) {
				before := len(h.log.String())
				d := h.login()
				m := regexp.MustCompile(`smaild\[(\d+)\]: login service`).FindStringSubmatch(h.log.String()[before:])
				if m == nil {
					t.Fatal("no login in the log")
				}
				d.until("b SELECT INBOX", "b OK")
				d.send(say)
				time.Sleep(100 * time.Millisecond)
				terminate(t, m[1], all)
				if what == "in a literal" {
					time.Sleep(100 * time.Millisecond)
					d.send("cde\r\n")
				}
				var lines []string
				for len(lines) == 0 || !strings.HasPrefix(lines[len(lines)-1], "* BYE") {
					lines = append(lines, d.line())
				}
				if last := lines[len(lines)-1]; last != "* BYE The server is going down" {
					t.Errorf("said %q", last)
				}
				if said := strings.Join(lines, "\n"); what == "in a literal" && !strings.Contains(said, "c OK [APPENDUID") {
					t.Errorf("APPEND was not finished: %s", said)
				}
			})
		}
	}
}

// terminate sends SIGTERM to a process, as our units have it, or to its
// children too, as systemd does without them.
func terminate(t *testing.T, pid string, all bool) {
	children, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	if err != nil || len(children) == 0 {
		t.Fatalf("process %s has no children: %v", pid, err)
	}
	if !all {
		children = nil
	}
	for _, p := range append(strings.Fields(string(children)), pid) {
		n, _ := strconv.Atoi(p)
		if err := syscall.Kill(n, syscall.SIGTERM); err != nil {
			t.Errorf("kill %s: %v", p, err)
		}
	}
}

// TestOutOfInotify: where a user has no instance of inotify left, a session in IDLE
// hears of new mail all the same, within half a minute.
func TestOutOfInotify(t *testing.T) {
	needRoot(t)
	need(t, "python3", "python3")
	h := newHost(t)
	h.serve("imaps")
	d := h.login()
	d.until("a SELECT INBOX", "a OK")
	hog := exec.Command("setpriv", "--reuid", h.alice.Uid, "--regid", h.alice.Gid, "--clear-groups", "env", "-i", "PATH=/usr/bin:/bin", "python3", "-c",
		"import ctypes, sys\nlibc = ctypes.CDLL(None)\nwhile libc.inotify_init() >= 0: pass\nprint('full', flush=True)\nsys.stdin.read()")
	in, _ := hog.StdinPipe()
	out, _ := hog.StdoutPipe()
	if err := hog.Start(); err != nil {
		t.Fatal(err)
	}
	defer hog.Wait()
	defer in.Close()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "full\n" {
		t.Fatalf("the instances are not used up: %q, %v", line, err)
	}
	late := h.login() // which gets none
	late.until("a SELECT INBOX", "a OK")
	late.send("b IDLE\r\n")
	if got := late.line(); !strings.HasPrefix(got, "+") {
		t.Fatalf("IDLE: %q", got)
	}
	h.deliver(h.alice, "Subject: x\n\nx\n")
	start := time.Now()
	if got := late.line(); got != "* 1 EXISTS" || time.Since(start) > 35*time.Second {
		t.Errorf("heard %q after %v", got, time.Since(start))
	}
}
