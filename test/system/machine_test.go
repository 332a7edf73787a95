//go:build systemtest

// Package system installs the packages on booted systems and uses them from
// outside, as an administrator and users would: `make systemtest`, as root.
//
// Debian roots are made by mmdebstrap from the mirror that this host uses and
// booted by systemd-nspawn, each in a network namespace of its own.
package system

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// rootPackages is what a small mail host has before smail comes.
const rootPackages = "systemd,systemd-sysv,dbus,iproute2,procps,postfix,openssl,ssl-cert,passwd,libpam-modules,openbsd-inetd,rpm"

// A machine is a booted root.
type machine struct {
	t      testing.TB
	root   string
	addr   string // its address, from outside
	netns  string
	nspawn *exec.Cmd
	leader int // its PID 1, as we see it
}

// makeRoot writes a fresh root of a Debian release. SMAIL_SYSTEM_ROOTS keeps
// a copy from run to run.
func makeRoot(t testing.TB, release string) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), release)
	if kept := os.Getenv("SMAIL_SYSTEM_ROOTS"); kept != "" {
		kept = filepath.Join(kept, release)
		if _, err := os.Stat(kept); err != nil {
			debootstrap(t, release, kept)
		}
		command(t, "cp", "-a", "--reflink=auto", kept, root)
		return root
	}
	debootstrap(t, release, root)
	return root
}

func debootstrap(t testing.TB, release, root string) {
	t.Helper()
	targets := command(t, "apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages")
	mirror := ""
	for uri := range strings.FieldsSeq(targets) {
		if strings.HasSuffix(uri, "/debian/") {
			mirror = uri
			break
		}
	}
	if mirror == "" {
		t.Fatalf("no Debian mirror among the sources of apt:\n%s", targets)
	}
	// xinetd conflicts with openbsd-inetd: it waits as a file.
	fetch := `chroot "$1" sh -c "cd /root && apt-get download xinetd"`
	command(t, "mmdebstrap", "--quiet", "--variant=minbase", "--include="+rootPackages, "--skip=cleanup/apt/lists",
		"--aptopt=Acquire::Check-Valid-Until \"false\"", "--customize-hook="+fetch, release, root, "deb "+mirror+" "+release+" main")
}

// boot starts the root's systemd, reachable at 10.98.N.2 from 10.98.N.1.
func boot(t testing.TB, root string, n int) *machine {
	t.Helper()
	m := &machine{t: t, root: root, addr: fmt.Sprintf("10.98.%d.2", n), netns: fmt.Sprintf("smail%d-%d", os.Getpid(), n)}
	outer, inner := fmt.Sprintf("sm%da%d", os.Getpid()%100000, n), "host0"
	command(t, "ip", "netns", "add", m.netns)
	t.Cleanup(func() { exec.Command("ip", "netns", "del", m.netns).Run() })
	command(t, "ip", "link", "add", outer, "type", "veth", "peer", "name", inner, "netns", m.netns)
	command(t, "ip", "addr", "add", fmt.Sprintf("10.98.%d.1/24", n), "dev", outer)
	command(t, "ip", "link", "set", outer, "up")
	command(t, "ip", "-n", m.netns, "addr", "add", m.addr+"/24", "dev", inner)
	for _, dev := range []string{inner, "lo"} {
		command(t, "ip", "-n", m.netns, "link", "set", dev, "up")
	}
	os.WriteFile(filepath.Join(root, "etc/hostname"), []byte("mail.example.org\n"), 0o644)
	os.WriteFile(filepath.Join(root, "etc/hosts"), []byte("127.0.0.1 localhost\n127.0.1.1 mail.example.org mail\n"), 0o644)

	console, err := os.Create(root + ".console")
	if err != nil {
		t.Fatal(err)
	}
	m.nspawn = exec.Command("systemd-nspawn", "--quiet", "-D", root, "-b", "--register=no", "--keep-unit",
		"--network-namespace-path=/run/netns/"+m.netns, "--console=pipe", "--hostname=mail.example.org", "--resolv-conf=off")
	m.nspawn.Env = append(os.Environ(), "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1")
	m.nspawn.Stdout, m.nspawn.Stderr = console, console
	if err := m.nspawn.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.halt(); console.Close() })
	m.eventually("systemd of the root", func() bool {
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", m.nspawn.Process.Pid, m.nspawn.Process.Pid))
		m.leader, _ = strconv.Atoi(strings.TrimSpace(string(children)))
		return m.leader > 0
	})
	m.eventually("a running system", func() bool {
		out, _ := m.try("systemctl", "is-system-running")
		return strings.HasPrefix(out, "running") || strings.HasPrefix(out, "degraded")
	})
	return m
}

// halt ends the machine, and with it all that runs in it.
func (m *machine) halt() {
	if m.nspawn == nil {
		return
	}
	if m.leader > 0 {
		m.try("systemctl", "poweroff")
	}
	done := make(chan error, 1)
	go func() { done <- m.nspawn.Wait() }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		m.nspawn.Process.Signal(syscall.SIGKILL)
		<-done
	}
	m.nspawn = nil
}

// try runs a command inside.
func (m *machine) try(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	args = append([]string{"-t", strconv.Itoa(m.leader), "-m", "-u", "-i", "-n", "-p", "-C", "--", "env", "-i",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8",
		"DEBIAN_FRONTEND=noninteractive", name}, args...)
	out, err := exec.CommandContext(ctx, "nsenter", args...).CombinedOutput()
	return string(out), err
}

// run runs a command inside that must succeed.
func (m *machine) run(name string, args ...string) string {
	m.t.Helper()
	out, err := m.try(name, args...)
	if err != nil {
		m.t.Fatalf("%s %s: %v\n%s\n%s", name, strings.Join(args, " "), err, out, m.log())
	}
	return out
}

// log returns the end of the machine's journal.
func (m *machine) log() string {
	out, _ := m.try("journalctl", "-n", "25", "--no-pager", "-q")
	return out
}

// sh runs a line of shell inside that must succeed.
func (m *machine) sh(line string) string {
	m.t.Helper()
	return m.run("sh", "-ec", line)
}

// eventually waits for a condition, and fails with what it was for.
func (m *machine) eventually(what string, ok func() bool) {
	m.t.Helper()
	for range 300 {
		if ok() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	console, _ := os.ReadFile(m.root + ".console")
	m.t.Fatalf("waited in vain for %s\n%s", what, tail(console, 2000))
}

// copyIn puts a file of ours into the root.
func (m *machine) copyIn(from, to string) {
	m.t.Helper()
	command(m.t, "cp", from, filepath.Join(m.root, to))
}

// sub runs a step whose failures are its own.
func (m *machine) sub(name string, step func()) bool {
	outer := m.t
	defer func() { m.t = outer }()
	return outer.(*testing.T).Run(name, func(t *testing.T) {
		m.t = t
		step()
	})
}

func command(t testing.TB, name string, args ...string) string {
	t.Helper()
	var out, problem bytes.Buffer
	c := exec.Command(name, args...)
	c.Stdout, c.Stderr = &out, &problem
	if err := c.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, tail(out.Bytes(), 2000), tail(problem.Bytes(), 2000))
	}
	return out.String()
}

func tail(b []byte, n int) []byte {
	if len(b) > n {
		return b[len(b)-n:]
	}
	return b
}
