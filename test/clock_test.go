package test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// clockSource goes into package time: the wall clock of a process is off by the
// seconds that a file says, which is mapped before the process confines itself.
const clockSource = `package time

import (
	"syscall"
	"unsafe"
)

var (
	stepFile string
	step     = new(int64)
)

func init() {
	fd, err := syscall.Open(stepFile, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		panic(err)
	}
	b, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	syscall.Close(fd)
	step = (*int64)(unsafe.Pointer(&b[0]))
}
`

// A clock is that of the programs in bin, which step moves while they run. The
// times of files stay the kernel's, and the C library's are true.
type clock struct{ bin, file string }

// newClock builds all programs with a package time of its own.
func newClock(t *testing.T) *clock {
	t.Helper()
	dir, err := os.MkdirTemp("", "smail-clock-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	c := &clock{filepath.Join(dir, "bin"), filepath.Join(dir, "step")}
	c.step(t, 0)
	std := filepath.Join(strings.TrimSpace(run(t, "go", "env", "GOROOT")), "src/time")
	const reads = "sec, nsec, mono := runtimeNow()\n"
	text := readFile(t, filepath.Join(std, "time.go"))
	if strings.Count(text, reads) != 1 {
		t.Fatalf("time.Now of %s reads the clock in another way", runtime.Version())
	}
	text = strings.Replace(text, reads, reads+"\tsec += *step\n", 1)
	replace := map[string]string{}
	for name, text := range map[string]string{"time.go": text, "step.go": clockSource} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(std, name)] = path
	}
	overlay, _ := json.Marshal(map[string]any{"Replace": replace})
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, overlay, 0o644); err != nil {
		t.Fatal(err)
	}
	build := []string{"go", "build", "-overlay", path, "-ldflags", "-X time.stepFile=" + c.file, "-o", c.bin + "/"}
	run(t, "env", append(append([]string{"CGO_ENABLED=0"}, build...),
		"smail/cmd/smail-front", "smail/cmd/smail-imap", "smail/cmd/smail-pop3", "smail/cmd/smail-submit", "smail/cmd/smail-policyd", "smail/cmd/smailctl")...)
	run(t, "env", append(append([]string{"CGO_ENABLED=1"}, build...), "smail/cmd/smaild")...)
	return c
}

// step sets how far the clock is off, in the file that processes have mapped.
func (c *clock) step(t *testing.T, by time.Duration) {
	t.Helper()
	f, err := os.OpenFile(c.file, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(by/time.Second)), 0); err != nil {
		t.Fatal(err)
	}
}

// TestClockStepped: the clock is stepped by ten years either way below sessions and
// listeners at work. They go on; nothing that was told of a mailbox changes; who
// has logged in may send, and nobody is kept waiting.
func TestClockStepped(t *testing.T) {
	needRoot(t)
	c := newClock(t)
	const tenYears = 10 * 365 * 24 * time.Hour
	for _, steps := range [][]time.Duration{{0, tenYears, 0}, {0, -tenYears, 0}, {tenYears, -tenYears, tenYears}} {
		t.Run(fmt.Sprint(steps), func(t *testing.T) {
			c.step(t, steps[0])
			h := newHostOf(t, c.bin, "penalty_exempt_networks", "none", "rate_limit", "100")
			h.serve("imaps", "pop3s", "submissions")
			s := &stepped{host: h, folders: map[string]bool{}, writes: h.login(), waits: h.login()}
			s.waits.until("b SELECT INBOX", "b OK")
			s.waits.expect("c IDLE", "+")
			for i, by := range steps {
				c.step(t, by)
				year := time.Now().Add(by).UTC().Format("2006")
				s.change(i, year)
				s.look(i)
				s.sendAndMiss(i)
			}
			if text := h.log.String(); strings.Contains(text, "panic") || strings.Contains(text, "session ends") {
				t.Error("a process has failed")
			}
		})
	}
}

// stepped is a host, and what was said of alice's mail so far.
type stepped struct {
	*host
	writes, waits *dialogue
	messages      int
	uid, modseq   int
	validity      string
	uidls         []string
	folders       map[string]bool // their UIDVALIDITY
}

var modseqOf = regexp.MustCompile(`HIGHESTMODSEQ (\d+)`)

// change adds a message and a folder.
func (s *stepped) change(i int, year string) {
	s.t.Helper()
	m := appendUID.FindStringSubmatch(s.writes.until(fmt.Sprintf("d APPEND INBOX (\\Flagged) {%d+}\r\nSubject: %d\r\n\r\nx", 15, i), "d OK"))
	if m == nil || atoi(s.t, m[2]) <= s.uid {
		s.t.Fatalf("step %d: UID %v after %d", i, m, s.uid)
	}
	s.uid = atoi(s.t, m[2])
	s.messages++
	for want := fmt.Sprintf("* %d EXISTS", s.messages); s.waits.line() != want; {
	}
	folder := fmt.Sprint("f", i)
	s.writes.until("e CREATE "+folder, "e OK")
	said := s.writes.until("f STATUS "+folder+" (UIDVALIDITY)", "f OK")
	v := validityOf.FindStringSubmatch(said)
	if v == nil || s.folders[v[1]] {
		s.t.Errorf("step %d: the UIDVALIDITY of a new folder: %s", i, said)
	} else {
		s.folders[v[1]] = true
	}
	files, _ := filepath.Glob(filepath.Join(s.maildir(s.alice), "cur", "*"))
	if !slices.ContainsFunc(files, func(path string) bool {
		seconds, _, _ := strings.Cut(filepath.Base(path), ".")
		return time.Unix(int64(atoi(s.t, seconds)), 0).UTC().Format("2006") == year
	}) {
		s.t.Errorf("step %d: no file's name is of %s: %q", i, year, files)
	}
}

// look reads the mailbox in new sessions.
func (s *stepped) look(i int) {
	s.t.Helper()
	d := s.login()
	said := d.until("b SELECT INBOX (CONDSTORE)", "b OK")
	v, m := validityOf.FindStringSubmatch(said), modseqOf.FindStringSubmatch(said)
	if v == nil || m == nil || !strings.Contains(said, fmt.Sprintf("* %d EXISTS", s.messages)) {
		s.t.Fatalf("step %d: %s", i, said)
	}
	if s.validity != "" && v[1] != s.validity || atoi(s.t, m[1]) < s.modseq {
		s.t.Errorf("step %d: UIDVALIDITY was %s, HIGHESTMODSEQ %d: %s", i, s.validity, s.modseq, said)
	}
	s.validity, s.modseq = v[1], atoi(s.t, m[1])
	if said := d.until("c FETCH 1:* FLAGS", "c OK"); strings.Count(said, `\Flagged`) != s.messages {
		s.t.Errorf("step %d: flags are lost: %s", i, said)
	}
	d.until("d LOGOUT", "d OK")
	p := s.dial("pop3s")
	p.expect("USER "+s.alice.Username, "+OK")
	p.expect("PASS "+s.password, "+OK")
	uidls := strings.Split(strings.TrimSuffix(p.until("UIDL", "."), "\n.\n"), "\n")[1:]
	if len(uidls) != s.messages || !slices.Equal(uidls[:len(s.uidls)], s.uidls) {
		s.t.Errorf("step %d: UIDLs were %q, are %q", i, s.uidls, uidls)
	}
	s.uidls = uidls
	p.expect("QUIT", "+OK")
}

// sendAndMiss sends by the recent login, and gives a wrong password before the right one.
func (s *stepped) sendAndMiss(i int) {
	s.t.Helper()
	d := s.dial("submissions")
	d.until("EHLO x", "250 ")
	d.expect("MAIL FROM:<"+s.alice.Username+"@localhost>", "250")
	d.expect("RCPT TO:<x@example.org>", "250")
	d.expect("DATA", "354")
	d.expect("Subject: x\r\n\r\nx\r\n.", "250")
	d.expect("QUIT", "221")
	start := time.Now()
	d = s.dial("imaps")
	d.until("a LOGIN "+s.alice.Username+fmt.Sprint(" wrong", i), "a NO")
	d.until("b LOGIN "+s.alice.Username+" "+quote(s.password), "b OK")
	d.until("c LOGOUT", "c OK")
	if took := time.Since(start); took > 20*time.Second {
		s.t.Errorf("step %d: a login behind a wrong password took %v", i, took)
	}
	// By IMAP and by POP3, and the session that has sent.
	if out, err := s.ctl("", "sessions"); err != nil || strings.Count(out, " yes\n") != 3 {
		s.t.Errorf("step %d: sessions: %v\n%s", i, err, out)
	}
}
