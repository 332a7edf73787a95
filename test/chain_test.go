package test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestProcesses looks at who runs as whom, before and after a login.
func TestProcesses(t *testing.T) {
	needRoot(t)
	h := newHost(t)
	h.serve("imaps")
	d := h.dial("imaps")
	before := h.children()
	if got := before["smaild"]; got != "root" {
		t.Errorf("before the login smaild runs as %q, want root", got)
	}
	if got := before["smail-front"]; got != "smail" {
		t.Errorf("before the login smail-front runs as %q, want smail", got)
	}
	d.until("a LOGIN "+h.alice.Username+" "+quote(h.password), "a OK")
	after := h.children()
	want := map[string]string{"smail-front": "smail", "smail-imap": h.alice.Username}
	if fmt.Sprint(after) != fmt.Sprint(want) {
		t.Errorf("after the login there run %v, want %v", after, want)
	}
	h.auditSession()
}

// A process is a line of ps.
type process struct {
	pid, ppid, user, comm string
}

// chain returns the processes of connections: what runs below the listening
// smaild, but for the spare that waits for the next one.
func (h *host) chain() []process {
	h.t.Helper()
	all := h.below()
	return slices.DeleteFunc(all, func(p process) bool { return h.waits(p.pid) || h.waits(p.ppid) })
}

// below returns all that the smailds that listen have started.
func (h *host) below() (all []process) {
	h.t.Helper()
	listeners := h.listeners()
	for line := range strings.Lines(run(h.t, "ps", "-eo", "pid=,ppid=,pgid=,user:32=,comm=")) {
		f := strings.Fields(line)
		if len(f) == 5 && f[0] != f[2] && slices.Contains(listeners, f[2]) {
			all = append(all, process{f[0], f[1], f[3], f[4]})
		}
	}
	return all
}

// waits says whether a process is a spare without a connection: its
// descriptor 0 still leads to the listener.
func (h *host) waits(pid string) bool {
	to, _ := os.Readlink("/proc/" + pid + "/fd/0")
	return !slices.Contains(h.listeners(), pid) && strings.HasPrefix(to, "socket:") && strings.Contains(readFile(h.t, "/proc/"+pid+"/cmdline"), "-spare")
}

// children returns the programs of the connection, and their users.
func (h *host) children() map[string]string {
	h.t.Helper()
	found := map[string]string{}
	for _, p := range h.chain() {
		found[p.comm] = p.user
	}
	return found
}

// listeners are the pids of the smailds that listen; all that one starts is in
// its process group.
func (h *host) listeners() (pids []string) {
	h.t.Helper()
	for _, m := range regexp.MustCompile(`smaild\[(\d+)\]: listening`).FindAllStringSubmatch(h.log.String(), -1) {
		pids = append(pids, m[1])
	}
	if pids == nil {
		h.t.Fatal("no smaild listens")
	}
	return pids
}

// listener is the pid of the first of them.
func (h *host) listener() string { h.t.Helper(); return h.listeners()[0] }

func (h *host) pidOf(program string) int {
	h.t.Helper()
	for _, p := range h.chain() {
		if p.comm == program {
			return atoi(h.t, p.pid)
		}
	}
	h.t.Fatalf("no %s runs", program)
	return 0
}

// auditSession looks at every thread of an IMAP session, its limits, environment and
// descriptors: nothing of root's may be left.
func (h *host) auditSession() { h.auditProgram("smail-imap", "1") }

// auditProgram is auditSession for another program, which may gain rights or, with
// noNewPrivs "1", may not.
func (h *host) auditProgram(program, noNewPrivs string) {
	t := h.t
	pid := h.pidOf(program)
	groups := strings.Fields(run(t, "id", "-G", h.alice.Username))
	slices.Sort(groups)
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if len(tasks) == 0 {
		t.Fatal("session has no threads")
	}
	for _, task := range tasks {
		b, _ := os.ReadFile(task)
		status := string(b)
		for _, want := range []string{
			fmt.Sprintf("Uid:\t%[1]s\t%[1]s\t%[1]s\t%[1]s\n", h.alice.Uid),
			fmt.Sprintf("Gid:\t%[1]s\t%[1]s\t%[1]s\t%[1]s\n", h.alice.Gid),
			"CapInh:\t0000000000000000\n", "CapPrm:\t0000000000000000\n", "CapEff:\t0000000000000000\n", "CapAmb:\t0000000000000000\n",
			"NoNewPrivs:\t" + noNewPrivs + "\n",
		} {
			if !strings.Contains(status, want) {
				t.Errorf("%s: no %q in\n%s", task, want, status)
			}
		}
		_, rest, _ := strings.Cut(status, "\nGroups:")
		line, _, _ := strings.Cut(rest, "\n")
		got := strings.Fields(line)
		slices.Sort(got)
		if !slices.Equal(got, groups) {
			t.Errorf("%s: groups %v, want %v", task, got, groups)
		}
	}
	if limits := readFile(t, fmt.Sprintf("/proc/%d/limits", pid)); !regexp.MustCompile(`Max core file size +0 +0 `).MatchString(limits) {
		t.Errorf("%s may dump core:\n%s", program, limits)
	}
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Fatal(err)
	}
	for kv := range strings.SplitSeq(strings.TrimRight(string(env), "\x00"), "\x00") {
		name, _, _ := strings.Cut(kv, "=")
		switch name {
		case "HOME", "USER", "LOGNAME", "SHELL", "PATH", "GOMAXPROCS", "SMAIL_SERVICE", "SMAIL_PEER", "SMAIL_BY", "SMAIL_RELAY_AUTH":
		default:
			t.Errorf("session has %q in its environment", kv)
		}
	}
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, l := range links {
		to, _ := os.Readlink(l)
		fd := atoi(t, filepath.Base(l))
		if fd > 2 && !strings.HasPrefix(to, "anon_inode:") && !strings.HasPrefix(to, h.maildir(h.alice)) {
			t.Errorf("session holds descriptor %d: %s", fd, to)
		}
	}
	// Execute-only programs are not dumpable: the user cannot look into them.
	for _, file := range []string{"mem", "environ"} {
		cmd := exec.Command("setpriv", "--reuid", h.alice.Uid, "--regid", h.alice.Gid, "--clear-groups",
			"cat", fmt.Sprintf("/proc/%d/%s", pid, file))
		if out, err := cmd.CombinedOutput(); err == nil {
			t.Errorf("the user can read /proc/%d/%s: %q", pid, file, out)
		}
	}
}

// TestHeldSession: with pam_session held root waits for the session's end, and
// closes PAM's session then.
func TestHeldSession(t *testing.T) {
	needRoot(t)
	h := newHost(t, "pam_session", "held")
	said := filepath.Join(h.Dir, "said")
	script := h.write("say", "#!/bin/sh\necho $PAM_TYPE $PAM_USER $PAM_RHOST >>'"+said+"'\n")
	os.Chmod(script, 0o755)
	if err := h.PAM("auth required pam_unix.so nodelay", "account required pam_unix.so", "session required pam_exec.so "+script); err != nil {
		t.Fatal(err)
	}
	h.serve("imaps")
	d := h.login()
	want := map[string]string{"smaild": "root", "smail-front": "smail", "smail-imap": h.alice.Username}
	if got := h.children(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("while the session is held there run %v, want %v", got, want)
	}
	h.auditSession()
	opened := "open_session " + h.alice.Username + " 127.0.0.1\n"
	if b, _ := os.ReadFile(said); string(b) != opened {
		t.Errorf("PAM was told %q, want %q", b, opened)
	}
	d.until("b LOGOUT", "b OK")
	if !d.closed() {
		t.Error("connection stays after LOGOUT")
	}
	closed := opened + "close_session " + h.alice.Username + " 127.0.0.1\n"
	for range 100 {
		if b, _ := os.ReadFile(said); string(b) == closed {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	b, _ := os.ReadFile(said)
	t.Errorf("PAM was told %q, want %q", b, closed)
}

// TestFrontHoldsNothing looks at the front before and after a login.
func TestFrontHoldsNothing(t *testing.T) {
	needRoot(t)
	h := newHost(t)
	h.serve("imaps")
	h.dial("imaps")
	pid := h.pidOf("smail-front")
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if !strings.Contains(string(status), "NoNewPrivs:\t1\n") {
		t.Error("front can gain privileges")
	}
	if !regexp.MustCompile(`Groups:\s*\n`).Match(status) {
		t.Error("front has groups")
	}
	env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if got, want := string(env), "GOMAXPROCS=1\x00GOTRACEBACK=none\x00"; got != want {
		t.Errorf("front's environment is %q, want %q", got, want)
	}
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, l := range links {
		to, _ := os.Readlink(l)
		if fd := atoi(t, filepath.Base(l)); fd != 2 && strings.HasPrefix(to, "/") && to != "/dev/null" {
			t.Errorf("front holds descriptor %d: %s", fd, to)
		}
	}
}

// starters are the ways smail is started; each returns the service's address.
var starters = map[string]func(h *host, service string) string{
	"listening":              startListening,
	"inetd":                  startInetd,
	"socket-activate":        func(h *host, service string) string { return startSocketActivate(h, service) },
	"socket-activate-accept": func(h *host, service string) string { return startSocketActivate(h, service, "--accept") },
}

// startListening gives smaild a listening socket.
func startListening(h *host, service string) string {
	h.t.Helper()
	addr, err := h.Listen(service, "127.0.0.1:0", h.log.in)
	if err != nil {
		h.t.Fatal(err)
	}
	return addr
}

// freePort finds a port that nothing listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

func startInetd(h *host, service string) string {
	needRoot(h.t)
	inetd := need(h.t, "inetd", "openbsd-inetd")
	port := freePort(h.t)
	conf := h.write("inetd.conf."+service, fmt.Sprintf("127.0.0.1:%s stream tcp nowait root %s smaild -config %s %s\n",
		port, filepath.Join(h.Bin, "smaild"), filepath.Join(h.Dir, "smail.conf"), service))
	cmd := exec.Command(inetd, "-i", conf) // -i: in the foreground
	cmd.Stdout, cmd.Stderr = h.log.in, h.log.in
	if _, err := h.Start(cmd); err != nil {
		h.t.Fatal(err)
	}
	return waitPort(h.t, port)
}

func startSocketActivate(h *host, service string, args ...string) string {
	activate := need(h.t, "systemd-socket-activate", "systemd")
	port := freePort(h.t)
	args = append(args, "-l", "127.0.0.1:"+port, filepath.Join(h.Bin, "smaild"), "-config", filepath.Join(h.Dir, "smail.conf"), service)
	cmd := exec.Command(activate, args...)
	cmd.Stdout, cmd.Stderr = h.log.in, h.log.in
	if _, err := h.Start(cmd); err != nil {
		h.t.Fatal(err)
	}
	return waitPort(h.t, port)
}

func waitPort(t *testing.T, port string) string {
	t.Helper()
	hex := fmt.Sprintf(":%04X", atoi(t, port))
	for range 100 { // without connecting, which would count as a client
		b, _ := os.ReadFile("/proc/net/tcp")
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) > 3 && strings.HasSuffix(f[1], hex) && f[3] == "0A" {
				return "127.0.0.1:" + port
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("nothing listens on port %s", port)
	return ""
}

// TestStarters logs in through every way that smail can be started.
func TestStarters(t *testing.T) {
	everyStart(t, func(t *testing.T, h *host) {
		h.deliver(h.alice, "Subject: started\n\ntext\n")
		h.serve("imaps")
		for range 2 {
			d := h.login()
			d.until("b SELECT INBOX", "b OK")
			if got := d.until("c FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]", "c OK"); !strings.Contains(got, "Subject: started") {
				t.Errorf("got %q", got)
			}
			d.until("d LOGOUT", "d OK")
			if !d.closed() {
				t.Error("connection stays after LOGOUT")
			}
		}
	})
}

// TestListenerEnds: sessions that run outlive the smaild that listens.
func TestListenerEnds(t *testing.T) {
	h := newHost(t)
	h.serve("imaps")
	d := h.login()
	syscall.Kill(atoi(t, h.listener()), syscall.SIGTERM)
	time.Sleep(200 * time.Millisecond)
	if conn, err := net.Dial("tcp", h.addr["imaps"]); err == nil {
		conn.Close()
		t.Error("somebody still listens")
	}
	d.until("b NOOP", "b OK")
	d.until("c LOGOUT", "c OK")
}

// TestInetdKeepsLogFromClient: under inetd descriptor 2 is the connection.
func TestInetdKeepsLogFromClient(t *testing.T) {
	h := newHost(t, "tls_key", "/nonexistent/key.pem")
	h.start = startInetd
	h.serve("imaps")
	conn, err := net.Dial("tcp", h.addr["imaps"])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	buf := make([]byte, 1000)
	if n, err := conn.Read(buf); n > 0 || err == nil {
		t.Errorf("a client of a broken set-up was sent %q", buf[:n])
	}
}

// TestAsOrdinaryUser runs the tests that need no root as somebody who is not:
// smaild then serves its own user only, by a private PAM folder.
func TestAsOrdinaryUser(t *testing.T) {
	needRoot(t)
	need(t, "setpriv", "util-linux")
	h := newHost(t)
	binary := filepath.Join(h.Dir, "test.bin")
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(binary, self, 0o755); err != nil {
		t.Fatal(err)
	}
	demo := filepath.Join(h.Dir, "demo")
	run(t, "go", "build", "-o", demo, "smail/internal/demo")
	cmd := exec.Command("setpriv", "--reuid", h.alice.Uid, "--regid", h.alice.Gid, "--clear-groups",
		binary, "-test.count=1", "-test.v", "-test.run",
		"TestStarters/(listening|socket)|TestCurl/listening|TestMsmtp/listening|TestRecentLogin$|TestSendmail$|TestWrongPassword|TestMakeRun")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.alice.HomeDir, "TMPDIR=/tmp", "SMAIL_TEST_DEMO=" + demo}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if n := len(regexp.MustCompile(`(?m)^--- PASS: `).FindAll(out, -1)); n != 7 {
		t.Errorf("%d tests ran as an ordinary user, want 7:\n%s", n, out)
	}
}
