package monitor

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"smail/login"
)

// dropInheritable takes the capabilities that this thread would pass on through
// programs: systemd gives a service of root's those of its bounding set.
func dropInheritable() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return os.NewSyscallError("capget", err)
	}
	sets[0].Inheritable, sets[1].Inheritable = 0, 0
	return os.NewSyscallError("capset", unix.Capset(&header, &sets[0]))
}

// execSession turns this process into the user's session program: for good,
// since all three uids change on every thread before the program starts. It
// returns only if that failed.
func (c *connection) execSession(who *account, e entry) error {
	if os.Getuid() == 0 {
		if err := syscall.Setresgid(who.gid, who.gid, who.gid); err != nil {
			return os.NewSyscallError("setresgid", err)
		}
		if err := syscall.Setresuid(who.uid, who.uid, who.uid); err != nil {
			return os.NewSyscallError("setresuid", err)
		}
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETUID, 0, 0, 0); errno == 0 {
			panic("monitor: the process could become root again")
		}
	}
	if err := CloseOnExec(3); err != nil {
		return err
	}
	for _, fd := range []int{0, 1} {
		if err := syscall.Dup3(c.mail, fd, 0); err != nil {
			return os.NewSyscallError("dup", err)
		}
	}
	if err := e.give(); err != nil {
		return err
	}
	if os.Chdir(who.home) != nil {
		os.Chdir("/") // the session makes the Maildir or says why it cannot
	}
	path := c.sessionProgram()
	err := syscall.Exec(path, c.sessionArgs(), c.sessionEnv(who, e))
	return fmt.Errorf("execute %s: %w", path, err)
}

// give leaves the session its files, and nothing else.
func (e entry) give() error {
	const beyond = login.FDCounts + 1 // where none is in the other's place
	files := [][2]int{{e.auth, login.FDRelayAuth}, {e.counts, login.FDCounts}}
	for i := range files {
		if fd := &files[i][0]; *fd >= 0 {
			var err error
			if *fd, err = unix.FcntlInt(uintptr(*fd), unix.F_DUPFD_CLOEXEC, beyond); err != nil {
				return os.NewSyscallError("dup", err)
			}
		}
	}
	for _, f := range files {
		if f[0] >= 0 {
			if err := syscall.Dup3(f[0], f[1], 0); err != nil {
				return os.NewSyscallError("dup", err)
			}
		}
	}
	return nil
}

// holdSession starts the session as a child and waits as root for its end, for
// PAM modules that must be told of it (pam_mount).
func (c *connection) holdSession(who *account, e entry) error {
	c.timer.Stop()
	attr := &syscall.ProcAttr{Dir: "/", Env: c.sessionEnv(who, e),
		Files: []uintptr{uintptr(c.mail), uintptr(c.mail), login.FDLog, uintptr(e.auth), uintptr(e.counts)}} // -1: closed
	if os.Getuid() == 0 {
		groups, err := syscall.Getgroups() // with those that PAM added
		if err != nil {
			return os.NewSyscallError("getgroups", err)
		}
		attr.Sys = &syscall.SysProcAttr{Credential: credential(who.uid, who.gid, groups)}
	}
	if err := CloseOnExec(3); err != nil {
		return err
	}
	pid, err := syscall.ForkExec(c.sessionProgram(), c.sessionArgs(), attr)
	if err != nil {
		return errors.Join(c.refuse(err, who.name), who.tx.Close())
	}
	passOn(pid, syscall.SIGTERM, syscall.SIGUSR1) // the session has a last word, and PAM one after it
	err = login.WriteAnswer(c.login, login.Answer{Status: login.OK})
	for _, fd := range []int{c.login, c.mail, 0, 1} {
		syscall.Close(fd) // the front must see the session's end, not ours
	}
	if c.listener != 0 {
		syscall.Close(c.listener)
	}
	for {
		var status syscall.WaitStatus
		if _, werr := syscall.Wait4(pid, &status, 0, nil); werr != syscall.EINTR {
			break
		}
	}
	signal.Ignore(syscall.SIGTERM, syscall.SIGUSR1)
	if err := errors.Join(err, who.tx.Close()); err != nil {
		return err
	}
	os.Exit(0)
	return nil
}

// passOn sends signals to a child instead of heeding them.
func passOn(pid int, signals ...os.Signal) {
	came := make(chan os.Signal, 1)
	signal.Notify(came, signals...)
	go func() {
		for sig := range came {
			syscall.Kill(pid, sig.(syscall.Signal))
		}
	}()
}

// CloseOnExec keeps descriptors, from the first on, from programs that are started:
// among them what PAM's modules have left open.
func CloseOnExec(first int) error {
	err := unix.CloseRange(uint(first), ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	if err == unix.EINVAL || err == unix.ENOSYS { // before Linux 5.11
		return closeEachOnExec(first)
	}
	return os.NewSyscallError("close_range", err)
}

func closeEachOnExec(first int) error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd >= first {
			syscall.CloseOnExec(fd)
		}
	}
	return nil
}

func (c *connection) sessionProgram() string {
	return c.Config.LibexecDir + "/" + Services[c.Service]
}

func (c *connection) sessionArgs() []string {
	return []string{Services[c.Service], "-login", "-config", c.ConfigPath}
}

// sessionEnv is the whole environment of a session: nothing is inherited.
func (c *connection) sessionEnv(who *account, e entry) []string {
	env := []string{
		"HOME=" + who.home, "USER=" + who.name, "LOGNAME=" + who.name, "SHELL=/bin/sh",
		"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
		"SMAIL_SERVICE=" + c.Service,
		"SMAIL_PEER=" + c.peer.Addr().String(),
		"SMAIL_BY=" + e.by,
		"GOMAXPROCS=1", // a session that searches much asks for more itself
	}
	if e.by == "recent" {
		env = append(env, "SMAIL_SINCE="+e.since)
	}
	if e.counts >= 0 {
		env = append(env, "SMAIL_COUNTS="+strconv.Itoa(login.FDCounts))
	}
	if e.auth >= 0 {
		env = append(env, "SMAIL_RELAY_AUTH="+strconv.Itoa(login.FDRelayAuth))
	}
	return env
}
