package test

import (
	"bufio"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The tests that begin with TestCVE replay published bugs of other servers, one
// subtest an id: `go test -run 'TestCVE.*/CVE-2019-11500' ./test`. Each says whose
// bug it was, does what set it off, and would fail if it were ours.

// A cve is such a bug.
type cve struct {
	id, what string
	try      func(t *testing.T, h *host)
}

// atOnce is how many cases run at a time: they wait more than they work.
const atOnce = 8

func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", strconv.Itoa(atOnce))
	os.Exit(m.Run())
}

// replay tries cases against one smail, and looks in the end whether any process
// of it broke down.
func replay(t *testing.T, h *host, cases []cve) {
	t.Helper()
	h.t.Cleanup(func() {
		for line := range strings.Lines(h.log.String()) {
			for _, broken := range []string{"panic", "fatal error", "SIGSEGV", "without a word", "unexpected frame", "malformed frame"} {
				if strings.Contains(line, broken) {
					t.Errorf("a process broke down: %s", line)
				}
			}
		}
	})
	for _, c := range cases {
		t.Run(c.id, func(t *testing.T) {
			one := *h
			one.t = t
			c.try(t, &one)
			if t.Failed() {
				t.Log(c.what)
			}
		})
	}
}

// parallel makes cases run beside each other.
func parallel(cases []cve) []cve {
	out := make([]cve, len(cases))
	for i, c := range cases {
		out[i] = cve{c.id, c.what, func(t *testing.T, h *host) { t.Parallel(); c.try(t, h) }}
	}
	return out
}

// cveHost serves services with room for many sessions, and passwords whose check
// is cheap.
func cveHost(t *testing.T, services []string, settings ...string) *host {
	t.Helper()
	needRoot(t)
	h := newHost(t, append([]string{"max_connections_per_address", "500", "max_sessions_per_user", "500"}, settings...)...)
	h.cheapPassword(h.alice.Username, h.password)
	h.cheapPassword(h.bob.Username, bobsPassword)
	h.serve(services...)
	return h
}

const bobsPassword = "bob's own"

// cheapPassword gives an account a password of which the check costs little.
func (h *host) cheapPassword(name, password string) {
	h.t.Helper()
	out, err := h.client(name+":"+password+"\n", "chpasswd", "-c", "SHA256", "-s", "1000")
	if err != nil {
		h.t.Fatalf("chpasswd: %v: %s", err, out)
	}
}

// folder puts messages into a folder of alice's that is a case's own, logs in
// and selects it.
func (h *host) folder(name string, messages ...string) *dialogue {
	h.t.Helper()
	made := filepath.Join(h.Dir, "made-"+name)
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(made, sub), 0o700); err != nil {
			h.t.Fatal(err)
		}
	}
	fill(h.t, made, messages...)
	h.own(made, h.alice)
	d := h.login() // which makes the Maildir
	if err := os.Rename(made, filepath.Join(h.maildir(h.alice), "."+name)); err != nil {
		h.t.Fatal(err)
	}
	d.until("b0 SELECT "+name, "b0 OK")
	return d
}

// fill puts messages into a folder as they are.
func fill(t *testing.T, folder string, messages ...string) {
	t.Helper()
	for i, text := range messages {
		path := filepath.Join(folder, "cur", fmt.Sprintf("%d.M%dP1.cve:2,", 1700000000+i, i))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// ok sends an IMAP command that has to succeed, and returns all that is said.
func (d *dialogue) ok(command string) string {
	d.t.Helper()
	got := d.until("k7 "+command, "k7 ")
	if !strings.Contains("\n"+got, "\nk7 OK") {
		d.t.Errorf("%.60s: %s", command, got)
	}
	return got
}

// alive fails unless the session still answers.
func (d *dialogue) alive() {
	d.t.Helper()
	d.ok("NOOP")
}

// raw connects without TLS, and says nothing.
func (h *host) raw(service string) *dialogue {
	h.t.Helper()
	conn, err := net.Dial("tcp", h.addr[service])
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(60 * time.Second))
	return &dialogue{Conn: conn, t: h.t, r: bufio.NewReader(conn)}
}

// replies sends bytes and returns n lines.
func (d *dialogue) replies(text string, n int) (lines []string) {
	d.t.Helper()
	d.send(text)
	for range n {
		lines = append(lines, d.line())
	}
	return lines
}

// rest reads to the end of the connection.
func (d *dialogue) rest() string {
	d.t.Helper()
	d.SetReadDeadline(time.Now().Add(20 * time.Second))
	var b strings.Builder
	for {
		c, err := d.r.ReadByte()
		if err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				d.t.Errorf("the connection stays open after %q", b.String())
			}
			return b.String()
		}
		b.WriteByte(c)
	}
}

// processes finds those that serve the connection: the front has its socket, and
// the front's parent is what the monitor has become.
func (d *dialogue) processes() (front, parent int) {
	d.t.Helper()
	for range 500 { // neither table below is of one moment
		if front = d.front(); front != 0 {
			return front, atoi(d.t, status(d.t, front, "PPid"))
		}
		time.Sleep(20 * time.Millisecond)
	}
	d.t.Fatal("no smail-front has the connection")
	return 0, 0
}

// front looks once for the front's pid.
func (d *dialogue) front() int {
	mine := fmt.Sprintf(":%04X", d.LocalAddr().(*net.TCPAddr).Port)
	inode := ""
	for line := range strings.Lines(readFile(d.t, "/proc/net/tcp")) {
		if f := strings.Fields(line); len(f) > 9 && strings.HasSuffix(f[2], mine) {
			inode = f[9]
		}
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		to, _ := os.Readlink(fd)
		pid := strings.Split(fd, "/")[2]
		if comm, _ := os.ReadFile("/proc/" + pid + "/comm"); to == "socket:["+inode+"]" && string(comm) == "smail-front\n" {
			return atoi(d.t, pid)
		}
	}
	return 0
}

// status returns a field of /proc/PID/status.
func status(t *testing.T, pid int, field string) string {
	t.Helper()
	for line := range strings.Lines(readFile(t, fmt.Sprintf("/proc/%d/status", pid))) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSuffix(strings.TrimSpace(value), " kB")
		}
	}
	t.Fatalf("process %d has no %s", pid, field)
	return ""
}

// peak returns the most memory that a process has had, in KiB.
func peak(t *testing.T, pid int) int { t.Helper(); return atoi(t, status(t, pid, "VmHWM")) }

// grows fails when doing something takes a process more memory than so many MiB.
// It may end meanwhile: then what was seen last counts.
func grows(t *testing.T, pid, most int, do func()) {
	t.Helper()
	before := peak(t, pid)
	last, done, ended := before, make(chan bool), make(chan bool)
	go func() {
		defer close(ended)
		for over := false; !over; {
			select {
			case <-done:
				over = true
			case <-time.After(time.Millisecond):
			}
			b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			if _, rest, ok := strings.Cut(string(b), "VmHWM:"); ok {
				fmt.Sscan(rest, &last)
			}
		}
	}()
	do()
	close(done)
	<-ended
	if grown := last - before; grown > most<<10 {
		t.Errorf("process %d grew from %d by %d KiB, more than %d MiB", pid, before, grown, most)
	}
}

// cpu returns the processor time that a process has used.
func cpu(t *testing.T, pid int) (used time.Duration) {
	t.Helper()
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, task := range tasks {
		b, _ := os.ReadFile(task)
		var ns int64
		fmt.Sscan(string(b), &ns)
		used += time.Duration(ns)
	}
	return used
}

// idles fails when a process spins while it has nothing to do.
func idles(t *testing.T, pid int) {
	t.Helper()
	const wait = 200 * time.Millisecond
	before := cpu(t, pid)
	time.Sleep(wait)
	if used := cpu(t, pid) - before; used > wait/2 {
		t.Errorf("process %d has nothing to do and used %v of %v", pid, used, wait)
	}
}

// noise is what a measurement may be wrong by on a machine that is not ours alone.
const noise = 4 * time.Millisecond

// linear fails when eight times as much takes far more than eight times the
// processor time: a square would take 64 times.
func linear(t *testing.T, most int, work func(n int) time.Duration) {
	t.Helper()
	few := most / 8
	var a, b time.Duration
	for range 3 { // others run beside
		if a, b = work(few), work(most); b < a*20+noise {
			t.Logf("%d take %v, %d take %v", few, a, most, b)
			return
		}
	}
	t.Errorf("%d take %v, %d take %v: not linear", few, a, most, b)
}

// spent returns the processor time that a command takes a session.
func (d *dialogue) spent(command string) time.Duration {
	d.t.Helper()
	_, session := d.processes()
	before := cpu(d.t, session)
	d.ok(command)
	return cpu(d.t, session) - before
}

// soon is when a command that waits for nobody is long over.
func soon() time.Time { return time.Now().Add(3 * time.Second) }
