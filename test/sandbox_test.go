package test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// escape builds the program that tries to break out, and returns how to run it
// as an unprivileged user.
func escape(t *testing.T) func(args ...string) (string, error) {
	t.Helper()
	dir, err := os.MkdirTemp("", "smail-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	program := filepath.Join(dir, "escape")
	build := exec.Command("go", "build", "-o", program, "../internal/escape")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return func(args ...string) (string, error) {
		cmd := exec.Command(program, args...)
		cmd.Env = []string{"GOMAXPROCS=1", "GOTRACEBACK=none"}
		if os.Getuid() == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		}
		out, err := cmd.Output()
		return strings.TrimSpace(string(out)), err
	}
}

const nobody = 65534

// TestEscape: code that has taken over a front dies of every system call that
// it has no use for, and a front that does its work lives.
func TestEscape(t *testing.T) {
	run := escape(t)
	if out, err := run("work"); err != nil || out != "worked" {
		t.Fatalf("a front at work: %q, %v", out, err)
	}
	list, err := run()
	if err != nil {
		t.Fatal(err)
	}
	probes := strings.Split(list, "\n")
	if len(probes) < 60 {
		t.Errorf("only %d probes", len(probes))
	}
	for _, probe := range probes {
		out, err := run(probe)
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGSYS {
			t.Errorf("%s: %v, %q", probe, err, out)
		}
	}
}

// TestSessionEscape: a session that has been taken over has its Maildir and
// nothing else.
func TestSessionEscape(t *testing.T) {
	run := escape(t)
	home, err := os.MkdirTemp("", "smail-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(home)
	maildir := filepath.Join(home, "Maildir")
	for _, sub := range []string{"cur", "new", "tmp"} {
		os.MkdirAll(filepath.Join(maildir, sub), 0o700)
	}
	os.WriteFile(filepath.Join(home, "secret"), []byte("s"), 0o644)
	os.Symlink(filepath.Join(home, "secret"), filepath.Join(maildir, "link"))
	if os.Getuid() == 0 {
		exec.Command("chown", "-R", fmt.Sprintf("%d:%[1]d", nobody), home).Run()
	}
	out, err := run("session", maildir)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for line := range strings.Lines(out) {
		name, result, _ := strings.Cut(strings.TrimSpace(line), ": ")
		works := slices.Contains([]string{"write in the Maildir", "rename to cur", "make a folder"}, name)
		if works != (result == "<nil>") {
			t.Errorf("%s: %s", name, result)
		}
	}
	if n := strings.Count(out, "\n"); n != 16 {
		t.Errorf("%d results in\n%s", n+1, out)
	}
}

// auditFront looks at every thread of a front, its limits, environment and
// descriptors.
func (h *host) auditFront() {
	t := h.t
	pid := h.pidOf("smail-front")
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	uid, gid := strings.TrimSpace(run(t, "id", "-u", "smail")), strings.TrimSpace(run(t, "id", "-g", "smail"))
	for _, task := range tasks {
		status := readFile(t, task)
		for _, want := range []string{"NoNewPrivs:\t1\n", "Seccomp:\t2\n", "CapInh:\t0000000000000000\n", "CapPrm:\t0000000000000000\n", "CapEff:\t0000000000000000\n", "Groups:\t \n",
			fmt.Sprintf("Uid:\t%[1]s\t%[1]s\t%[1]s\t%[1]s\n", uid), fmt.Sprintf("Gid:\t%[1]s\t%[1]s\t%[1]s\t%[1]s\n", gid)} {
			if !strings.Contains(status, want) {
				t.Errorf("%s: no %q in\n%s", task, want, status)
			}
		}
	}
	limits := readFile(t, fmt.Sprintf("/proc/%d/limits", pid))
	for name, want := range map[string]string{"Max core file size": "0", "Max open files": "10", "Max file size": "0"} {
		_, rest, _ := strings.Cut(limits, name)
		if f := strings.Fields(rest); len(f) < 2 || f[0] != want || f[1] != want {
			t.Errorf("%s: %q", name, f[:2])
		}
	}
	if env := readFile(t, fmt.Sprintf("/proc/%d/environ", pid)); env != "GOMAXPROCS=1\x00GOTRACEBACK=none\x00" {
		t.Errorf("environment %q", env)
	}
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, l := range links {
		to, _ := os.Readlink(l)
		fd := atoi(t, filepath.Base(l))
		if fd < 2 && to == "/dev/null" || fd == 2 || fd < 10 && (strings.HasPrefix(to, "socket:") || strings.HasPrefix(to, "anon_inode:[event")) {
			continue
		}
		t.Errorf("front holds descriptor %d: %s", fd, to)
	}
	for _, file := range []string{"mem", "environ"} {
		cmd := exec.Command("setpriv", "--reuid", "smail", "--regid", "smail", "--clear-groups", "cat", fmt.Sprintf("/proc/%d/%s", pid, file))
		if out, err := cmd.CombinedOutput(); err == nil {
			t.Errorf("its own user can read /proc/%d/%s: %q", pid, file, out)
		}
	}
}

// TestFrontIsConfined before a login and after it, in every service.
func TestFrontIsConfined(t *testing.T) {
	needRoot(t)
	for _, service := range []string{"imaps", "pop3s", "submission"} {
		t.Run(service, func(t *testing.T) {
			h := newHost(t)
			h.serve(service)
			d := h.dial(service)
			h.auditFront()
			switch service {
			case "imaps":
				d.until("a LOGIN "+h.alice.Username+" "+quote(h.password), "a OK")
			case "pop3s":
				d.expect("USER "+h.alice.Username, "+OK")
				d.expect("PASS "+h.password, "+OK")
			default:
				d.until("EHLO x", "250 ")
				d.expect("STARTTLS", "220")
				d.startTLS()
				d.until("EHLO x", "250 ")
				d.expect("AUTH PLAIN "+plain(h.alice.Username, h.password), "235")
			}
			h.auditFront()
		})
	}
}

// startedBy has another program start smaild.
func (h *host) startedBy(command string) {
	h.t.Helper()
	dir := filepath.Join(h.Dir, "bin")
	os.Mkdir(dir, 0o755)
	script := fmt.Sprintf("#!/bin/sh\nexec %s %s/smaild \"$@\"\n", command, h.Bin)
	err := os.WriteFile(filepath.Join(dir, "smaild"), []byte(script), 0o755)
	if err == nil {
		err = os.Symlink(filepath.Join(h.Bin, "smailctl"), filepath.Join(dir, "smailctl"))
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.Bin = dir
}

// TestWithoutLandlock: a kernel that has none is told of once, and served.
func TestWithoutLandlock(t *testing.T) {
	needRoot(t)
	strace := need(t, "strace", "strace")
	h := newHost(t)
	h.startedBy(strace + " -f -qq -o /dev/null -e trace=landlock_create_ruleset -e inject=landlock_create_ruleset:error=ENOSYS")
	h.serve("imaps")
	for range 3 {
		h.login().until("z LOGOUT", "z OK")
	}
	if n := strings.Count(h.log.String(), "no Landlock"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

// TestNoNetwork: a smaild without a network of its own, and with capabilities to
// inherit, as the units have it, serves the connections that it is given.
func TestNoNetwork(t *testing.T) {
	needRoot(t)
	h := newHost(t)
	h.startedBy("unshare --net setpriv --bounding-set -all,+setuid,+setgid,+kill --inh-caps -all,+setuid,+setgid,+kill")
	h.serve("imaps", "pop3s")
	h.dial("pop3s").expect("CAPA", "+OK")
	h.login().until("a LOGOUT", "a OK")
	h.waitLog("login", "peer=127.0.0.1")
	h.login()
	h.auditSession()
	h.auditFront()
}
