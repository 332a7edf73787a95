package test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A crash is one run of a session that does everything that changes a Maildir
// and is ended, or meets an error, on the way. What was acknowledged before
// must be there afterwards; nothing may be half there; no UID may change.
type crash struct {
	h    *host
	box  string          // the Maildir
	tool []string        // what the session runs under
	acks map[string]bool // the steps that were acknowledged
	told map[string]int  // the largest UID that the client heard of, by folder
	end  bool            // the session came to its end
}

// content of the message with a subject; the last line shows that it is whole.
func content(subject string) string {
	return "Subject: " + subject + "\r\n\r\n" + strings.Repeat(subject+" body\r\n", 300) + "END " + subject + "\r\n"
}

// steps are what the session does, in order, by name.
var steps = []struct{ name, command string }{
	{"append", "APPEND INBOX (\\Flagged) {%d+}\r\n%s"},
	{"flags", "UID STORE 1 +FLAGS (\\Seen)"},
	{"keyword", "UID STORE 1 +FLAGS (Fresh)"},
	{"copy", "UID COPY 2 Work"},
	{"move", "UID MOVE 3 Work"},
	{"deleted", "UID STORE 4 +FLAGS (\\Deleted)"},
	{"expunge", "EXPUNGE"},
	{"create", "CREATE New"},
	{"subscribe", "SUBSCRIBE New"},
	{"rename", "RENAME Old Other"},
	{"delete", "DELETE Doomed"},
}

// prepare lays out the Maildir: i0 to i4 in INBOX with UIDs 1 to 5, w0 in Work.
func (c *crash) prepare(template string) {
	os.RemoveAll(c.box)
	c.h.must("", "cp", "-a", template, c.box)
}

func (h *host) crashTemplate() string {
	dir := filepath.Join(h.Dir, "template")
	for _, folder := range []string{"", ".Work", ".Old", ".Doomed"} {
		for _, sub := range []string{"cur", "new", "tmp"} {
			os.MkdirAll(filepath.Join(dir, folder, sub), 0o700)
		}
	}
	for name, subject := range map[string]string{"cur/1700000000.M0P1.h:2,": "i0", "cur/1700000001.M1P1.h:2,": "i1", "cur/1700000002.M2P1.h:2,": "i2",
		"cur/1700000003.M3P1.h:2,": "i3", "new/1700000004.M4P1.h": "i4", ".Work/cur/1700000005.M5P1.h:2,": "w0"} {
		os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(content(subject), "\r\n", "\n")), 0o600)
	}
	h.own(dir, h.alice)
	return dir
}

// run plays the steps, and notes what is acknowledged; each is called when a
// step was.
func (c *crash) run(each func(step string)) {
	c.acks, c.told, c.end = map[string]bool{}, map[string]int{}, false
	cmd := c.session(c.tool...)
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		c.h.t.Fatal(err)
	}
	stuck := time.AfterFunc(20*time.Second, func() {
		c.h.t.Errorf("%v: no answer after %v", c.tool, slices.Sorted(maps.Keys(c.acks)))
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	})
	defer stuck.Stop()
	r := bufio.NewReader(out)
	ask := func(tag, command string) bool {
		fmt.Fprintf(in, "%s %s\r\n", tag, command)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return false
			}
			for _, m := range uidCode.FindAllStringSubmatch(line, -1) {
				folder := map[string]string{"APPENDUID": "INBOX", "COPYUID": "Work"}[m[1]]
				c.told[folder] = max(c.told[folder], atoi(c.h.t, m[2]))
			}
			if strings.HasPrefix(line, tag+" ") {
				c.acks[tag] = strings.HasPrefix(line, tag+" OK")
				return true
			}
		}
	}
	alive := ask("select", "SELECT INBOX")
	for _, s := range steps {
		if !alive {
			break
		}
		command := s.command
		if s.name == "append" {
			command = fmt.Sprintf(command, len(content("a0")), content("a0"))
		}
		if alive = ask(s.name, command); alive && each != nil {
			each(s.name)
		}
	}
	c.end = alive && ask("end", "LOGOUT")
	in.Close()
	io.Copy(io.Discard, r)
	cmd.Wait()
}

var uidCode = regexp.MustCompile(`\[(APPENDUID|COPYUID) \d+ (?:\d+ )?(\d+)\]`)

// session is smail's, as alice, perhaps under another program.
func (c *crash) session(tool ...string) *exec.Cmd {
	args := append([]string{"--reuid", c.h.alice.Uid, "--regid", c.h.alice.Gid, "--clear-groups", "env", "-i",
		"HOME=" + filepath.Dir(c.box), "USER=" + c.h.alice.Username, "PATH=" + os.Getenv("PATH")}, tool...)
	cmd := exec.Command("setpriv", append(args, filepath.Join(bin, "smail-imap"), "-config", "/nonexistent")...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// A seen is a message as the session after the crash shows it.
type seen struct{ folder, uid, flags, subject string }

// look opens every folder anew and returns what is there.
func (c *crash) look() (all []seen, folders []string, uidnext map[string]int, err error) {
	ask := func(script string) string {
		cmd := c.session()
		cmd.Stdin = strings.NewReader(script + "z LOGOUT\r\n")
		var log bytes.Buffer
		cmd.Stderr = &log
		out, rerr := cmd.Output()
		if rerr != nil || !bytes.Contains(out, []byte("\r\nz OK")) {
			err = fmt.Errorf("the session after it: %v\n%s%s", rerr, out, log.Bytes())
		}
		return string(out)
	}
	for _, m := range listed.FindAllStringSubmatch(ask("l LIST \"\" *\r\n"), -1) {
		folders = append(folders, m[1])
	}
	uidnext = map[string]int{}
	for _, folder := range folders {
		out := ask("s SELECT " + folder + "\r\nf UID FETCH 1:* (FLAGS BODY.PEEK[])\r\n")
		if m := nextUID.FindStringSubmatch(out); m != nil {
			uidnext[folder] = atoi(c.h.t, m[1])
		}
		for _, m := range fetched.FindAllStringSubmatchIndex(out, -1) {
			size := atoi(c.h.t, out[m[6]:m[7]])
			body := out[m[1]:min(m[1]+size, len(out))]
			subject, _, _ := strings.Cut(strings.TrimPrefix(body, "Subject: "), "\r\n")
			if body != content(subject) {
				err = fmt.Errorf("%s has a message that is not whole: %.60q ... of %d bytes", folder, body, len(body))
			}
			all = append(all, seen{folder, out[m[2]:m[3]], out[m[4]:m[5]], subject})
		}
	}
	return all, folders, uidnext, err
}

var (
	listed  = regexp.MustCompile(`(?m)^\* LIST \([^)]*\) "." "?([^"\r\n]+)"?\r$`)
	nextUID = regexp.MustCompile(`\[UIDNEXT (\d+)\]`)
	fetched = regexp.MustCompile(`FETCH \(UID (\d+) FLAGS \(([^)]*)\) BODY\[\] \{(\d+)\}\r\n`)
)

// check says what was lost, is half there, or changed.
func (c *crash) check() (problems []string) {
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	all, folders, uidnext, err := c.look()
	if err != nil {
		return []string{err.Error()}
	}
	at := map[string][]seen{}
	for _, m := range all {
		at[m.subject] = append(at[m.subject], m)
	}
	for i, uid := range []string{"1", "2", "3", "4", "5"} { // UIDs stay
		for _, m := range at[fmt.Sprintf("i%d", i)] {
			if m.folder == "INBOX" && m.uid != uid {
				say("%s has UID %s, and had %s", m.subject, m.uid, uid)
			}
		}
	}
	in := func(subject, folder string) *seen {
		for _, m := range at[subject] {
			if m.folder == folder {
				return &m
			}
		}
		return nil
	}
	must := func(what string, ok bool) {
		if !ok {
			say("%s: %v", what, all)
		}
	}
	done := func(step string) bool { return c.acks[step] }
	must("i0, i1, i4, w0 are there", in("i0", "INBOX") != nil && in("i1", "INBOX") != nil && in("i4", "INBOX") != nil && in("w0", "Work") != nil)
	must("a0 is there", !done("append") || in("a0", "INBOX") != nil)
	if m := in("a0", "INBOX"); m != nil {
		must("a0 is flagged", strings.Contains(m.flags, `\Flagged`))
		must("a0 is there once", len(at["a0"]) == 1)
	}
	if m := in("i0", "INBOX"); m != nil {
		must("i0 is seen", !done("flags") || strings.Contains(m.flags, `\Seen`))
		must("i0 has a keyword", !done("keyword") || strings.Contains(m.flags, "Fresh"))
		must("i0's keyword has a name", !strings.Contains(m.flags, "unknown"))
	}
	must("i1 is copied", !done("copy") || in("i1", "Work") != nil)
	must("i2 is somewhere, once", len(at["i2"]) == 1)
	must("i2 is moved", !done("move") || in("i2", "Work") != nil)
	_, answered := c.acks["deleted"]
	must("i3 is gone only if that was asked for", in("i3", "INBOX") != nil || answered)
	must("i3 is expunged", in("i3", "INBOX") == nil || !done("deleted") || !done("expunge"))
	must("New is made", !done("create") || slices.Contains(folders, "New"))
	must("Old is renamed", slices.Contains(folders, "Old") != slices.Contains(folders, "Other") && (!done("rename") || slices.Contains(folders, "Other")))
	must("Doomed is deleted", !done("delete") || !slices.Contains(folders, "Doomed"))
	for folder, uid := range c.told {
		if uidnext[folder] <= uid {
			say("UIDNEXT of %s is %d, and the client knows of UID %d", folder, uidnext[folder], uid)
		}
	}
	return problems
}

// changingCalls are the system calls that change something or make it last.
var changingCalls = []string{"openat", "write", "pwrite64", "fsync", "fdatasync", "renameat2,renameat,rename",
	"linkat", "unlinkat,unlink", "mkdirat,mkdir", "ftruncate", "utimensat"}

// inject runs the steps with an injection at every call of a kind, from the
// first to the last, or each so many.
func (c *crash) inject(template, calls, what string, stride int) (runs int) {
	for k := 1; k < 400; k += stride {
		c.prepare(template)
		trace := filepath.Join(filepath.Dir(c.box), "trace")
		os.Remove(trace)
		c.tool = []string{"strace", "-f", "-qq", "-o", trace, "-e", "trace=" + calls, "-e", fmt.Sprintf("inject=%s:%s:when=%d", calls, what, k)}
		c.run(nil)
		runs++
		for _, problem := range c.check() {
			c.h.t.Errorf("%s at call %d of %s, after %v: %s", what, k, calls, slices.Sorted(maps.Keys(c.acks)), problem)
		}
		if c.end && !strings.Contains(readFile(c.h.t, trace), "(INJECTED)") {
			return runs // there are no more such calls
		}
	}
	return runs
}

func newCrash(t *testing.T) (*crash, string) {
	needRoot(t)
	need(t, "strace", "strace")
	h := newHost(t)
	return &crash{h: h, box: h.maildir(h.alice)}, h.crashTemplate()
}

// TestKilledAnywhere: a session is killed at its system calls, one after the
// other. `make crashtest` tries every one.
func TestKilledAnywhere(t *testing.T) {
	c, template := newCrash(t)
	runs := 0
	for _, calls := range changingCalls {
		runs += c.inject(template, calls, "signal=KILL", crashStride(7))
	}
	t.Logf("%d sessions", runs)
}

// TestErrorsAnywhere: system calls fail, one after the other. A command that
// fails says so and changes nothing, and the session goes on.
func TestErrorsAnywhere(t *testing.T) {
	c, template := newCrash(t)
	runs := 0
	for _, err := range []string{"EIO", "ENOSPC", "EDQUOT", "EMFILE"} {
		for _, calls := range changingCalls {
			if (calls == "openat") != (err == "EMFILE") {
				continue
			}
			runs += c.inject(template, calls, "error="+err, crashStride(11))
		}
	}
	t.Logf("%d sessions", runs)
}

// TestWithoutNoReplace: NFS, 9p and others answer EINVAL to a rename that may
// replace nothing. All works there all the same.
func TestWithoutNoReplace(t *testing.T) {
	c, template := newCrash(t)
	for _, errno := range []string{"EINVAL", "ENOSYS"} {
		c.prepare(template)
		trace := filepath.Join(filepath.Dir(c.box), "trace")
		c.tool = []string{"strace", "-f", "-qq", "-o", trace, "-e", "trace=renameat2", "-e", "inject=renameat2:error=" + errno}
		c.run(nil)
		for _, s := range steps {
			if !c.acks[s.name] {
				t.Errorf("%s: %s failed", errno, s.name)
			}
		}
		for _, problem := range c.check() {
			t.Errorf("%s: %s", errno, problem)
		}
		if !strings.Contains(readFile(t, trace), "(INJECTED)") {
			t.Errorf("%s: no call failed", errno)
		}
	}
}

// crashStride is how many calls are passed over; `make crashtest` passes over none.
func crashStride(n int) int {
	if os.Getenv("SMAIL_CRASHTEST") != "" {
		return 1
	}
	return n
}
