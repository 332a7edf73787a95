// Package test tries smail as it is used: the built programs, started by
// inetd, by systemd's sockets and by smaild itself, with real clients, real
// PAM and a real MTA.
package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"smail/internal/rig"
)

// bin is where `make build` put the programs.
var bin = func() string {
	dir, err := filepath.Abs("../bin")
	if err != nil {
		panic(err)
	}
	return dir
}()

// all says that what is missing is a failure and not a reason to skip.
var all = os.Getenv("SMAIL_TEST_ALL") == "1"

// need skips a test whose program is not installed.
func need(t *testing.T, program, packageName string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/lib/postfix/sbin"} {
		if p := filepath.Join(dir, program); isFile(p) {
			return p
		}
	}
	if all {
		t.Fatalf("%s is missing: install the package %s", program, packageName)
	}
	t.Skipf("needs the package %s", packageName)
	return ""
}

// needRoot skips what only root can try.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// A host is smail set up for one test, with two accounts.
type host struct {
	*rig.Rig
	t        *testing.T
	alice    *user.User
	bob      *user.User // nil where only one account can be tried
	password string
	log      *logBuffer
	addr     map[string]string // service: address
	start    func(h *host, service string) string
}

const testPassword = "pw of:the\\test \"1\""

// newHost makes the accounts when root; else the caller's own is the only one.
func newHost(t *testing.T, settings ...string) *host {
	t.Helper()
	return newHostOf(t, bin, settings...)
}

// newHostOf is newHost with programs that were built in another way.
func newHostOf(t *testing.T, bin string, settings ...string) *host {
	t.Helper()
	if !isFile(filepath.Join(bin, "smaild")) {
		t.Fatal("the programs are missing: make build")
	}
	// Not t.TempDir: sessions run as another user and must reach it.
	dir, err := os.MkdirTemp("", "smail-test-")
	if err != nil {
		t.Fatal(err)
	}
	r, err := rig.New(dir, bin)
	if err != nil {
		t.Fatal(err)
	}
	h := &host{Rig: r, t: t, password: testPassword, log: newLog(t), addr: map[string]string{}, start: startListening}
	t.Cleanup(func() {
		r.Stop()
		if traceAll {
			h.rootsPaths()
		}
		os.RemoveAll(dir)
		if t.Failed() {
			t.Logf("log:\n%s", h.log)
		}
	})
	h.accounts()
	h.Config["relay"] = "maildir " + filepath.Join(dir, "outbox")
	h.Config["login_domains"] = "example.org"
	h.Config["relay_deny_networks"] = "none" // all clients are on the loopback
	for i := 0; i+1 < len(settings); i += 2 {
		h.Config[settings[i]] = settings[i+1]
	}
	if _, err := h.WriteConfig(); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "outbox"), 0o777); err != nil {
		t.Fatal(err)
	}
	os.Chmod(filepath.Join(dir, "outbox"), 0o777)
	if traceAll {
		h.traced()
	}
	return h
}

// accounts sets up who can log in: by pam_unix when root.
func (h *host) accounts() {
	t := h.t
	if os.Getuid() != 0 {
		var err error
		if h.alice, err = user.Current(); err != nil {
			t.Fatal(err)
		}
		h.Config["maildir"] = filepath.Join(h.Dir, "Maildir")
		if err := h.PasswordPAM(h.alice.Username, h.password); err != nil {
			t.Fatal(err)
		}
		return
	}
	makeUser(t, "smail", "-r", "-d", "/nonexistent")
	h.alice, h.bob = h.newAccount("smailalice"), h.newAccount("smailbob")
	if err := h.PAM("auth required pam_unix.so nodelay", "account required pam_unix.so", "session required pam_unix.so"); err != nil {
		t.Fatal(err)
	}
}

// newAccount makes an account with a home below the test's folder.
func (h *host) newAccount(name string) *user.User {
	home := filepath.Join(h.Dir, "home", name)
	if err := os.MkdirAll(home, 0o755); err != nil {
		h.t.Fatal(err)
	}
	makeUser(h.t, name, "-d", home)
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		out, err := exec.Command("usermod", "-d", home, name).CombinedOutput()
		if err == nil {
			break
		}
		if time.Now().After(deadline) { // a session of the test before may just be ending
			h.t.Fatalf("usermod: %v\n%s", err, out)
		}
	}
	h.chpasswd(name)
	u, err := user.Lookup(name)
	if err != nil {
		h.t.Fatal(err)
	}
	h.own(home, u)
	return u
}

func (h *host) chpasswd(name string) {
	h.t.Helper()
	cmd := exec.Command("chpasswd")
	cmd.Stdin = strings.NewReader(name + ":" + h.password + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("chpasswd: %v: %s", err, out)
	}
}

// setPassword gives alice another password.
func (h *host) setPassword(password string) {
	h.t.Helper()
	h.password = password
	if os.Getuid() == 0 {
		h.chpasswd(h.alice.Username)
	} else if err := h.PasswordPAM(h.alice.Username, password); err != nil {
		h.t.Fatal(err)
	}
}

// own gives a folder and all in it to a user.
func (h *host) own(dir string, u *user.User) {
	h.t.Helper()
	if os.Getuid() == 0 {
		run(h.t, "chown", "-R", u.Uid+":"+u.Gid, dir)
	}
}

func makeUser(t *testing.T, name string, args ...string) {
	t.Helper()
	if _, err := user.Lookup(name); err == nil {
		return
	}
	run(t, "useradd", append(args, "-M", "-s", "/usr/sbin/nologin", name)...)
	t.Cleanup(func() {
		if name != "smail" {
			exec.Command("userdel", name).Run()
		}
	})
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// serve starts services in the test's way.
func (h *host) serve(services ...string) {
	h.t.Helper()
	for _, s := range services {
		h.addr[s] = h.start(h, s)
	}
}

func (h *host) port(service string) string {
	_, port, _ := strings.Cut(h.addr[service], ":")
	return port
}

func (h *host) maildir(u *user.User) string {
	if os.Getuid() != 0 {
		return h.Config["maildir"]
	}
	return filepath.Join(u.HomeDir, "Maildir")
}

// deliver puts a message into new/, as an MTA does.
func (h *host) deliver(u *user.User, text string) string {
	h.t.Helper()
	dir := h.maildir(u)
	for _, sub := range []string{"", "cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			h.t.Fatal(err)
		}
	}
	now := time.Now()
	name := fmt.Sprintf("%d.M%06dP%d.test", now.Unix(), now.Nanosecond()/1000, os.Getpid()) // they sort as they come
	tmp := filepath.Join(dir, "tmp", name)
	if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	h.own(dir, u)
	if err := os.Rename(tmp, filepath.Join(dir, "new", name)); err != nil {
		h.t.Fatal(err)
	}
	return name
}

// waitLog waits for a line that holds all of the words.
func (h *host) waitLog(words ...string) string {
	h.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		for line := range strings.Lines(h.log.String()) {
			ok := true
			for _, w := range words {
				ok = ok && strings.Contains(line, w)
			}
			if ok {
				return line
			}
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("no log line with %q in:\n%s", words, h.log)
		}
	}
}

// A logBuffer holds what several programs have written to its pipe. What was
// written before String is called is in what it returns.
type logBuffer struct {
	in, out *os.File
	mu      sync.Mutex
	b       bytes.Buffer
}

func newLog(t *testing.T) *logBuffer {
	t.Helper()
	l := &logBuffer{}
	var err error
	if l.out, l.in, err = os.Pipe(); err != nil {
		t.Fatal(err)
	}
	raw, err := l.out.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	go raw.Read(func(fd uintptr) bool { l.drain(fd); return false }) // so that no writer waits; it ends with the file
	t.Cleanup(func() { l.in.Close(); l.out.Close() })
	return l
}

// drain takes what is in the pipe, which does not block.
func (l *logBuffer) drain(fd uintptr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for part := [64 << 10]byte{}; ; {
		n, err := syscall.Read(int(fd), part[:])
		if n <= 0 && err != syscall.EINTR {
			return
		}
		l.b.Write(part[:max(n, 0)])
	}
}

func (l *logBuffer) String() string {
	if raw, err := l.out.SyscallConn(); err == nil {
		raw.Control(l.drain)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// client runs a program and returns what it printed.
func (h *host) client(stdin string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = h.Dir
	cmd.Env = append(os.Environ(), "HOME="+h.Dir, "LC_ALL=C.UTF-8")
	if stdin != "" {
		cmd.Stdin = strings.NewReader(stdin)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return "", err
	}
	timer := time.AfterFunc(10*time.Minute, func() { cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Wait()
	return out.String(), err
}

// must runs a client that has to succeed.
func (h *host) must(stdin string, name string, args ...string) string {
	h.t.Helper()
	out, err := h.client(stdin, name, args...)
	if err != nil {
		h.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func (h *host) write(name, text string) string {
	h.t.Helper()
	path := filepath.Join(h.Dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return path
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
