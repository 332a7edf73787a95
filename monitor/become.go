package monitor

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"smail/login"
)

// execSession turns this process into the user's session program: for good,
// since all three uids change on every thread before the program starts. It
// returns only if that failed.
func (c *connection) execSession(who *account, how string) error {
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
	if err := closeOnExec(); err != nil {
		return err
	}
	for _, fd := range []int{0, 1} {
		if err := syscall.Dup3(c.mail, fd, 0); err != nil {
			return os.NewSyscallError("dup", err)
		}
	}
	if os.Chdir(who.home) != nil {
		os.Chdir("/") // the session makes the Maildir or says why it cannot
	}
	path := c.sessionProgram()
	err := syscall.Exec(path, c.sessionArgs(), c.sessionEnv(who, how))
	return fmt.Errorf("execute %s: %w", path, err)
}

// holdSession starts the session as a child and waits as root for its end, for
// PAM modules that must be told of it (pam_mount).
func (c *connection) holdSession(who *account, how string) error {
	attr := &syscall.ProcAttr{Dir: "/", Env: c.sessionEnv(who, how),
		Files: []uintptr{uintptr(c.mail), uintptr(c.mail), login.FDLog}}
	if os.Getuid() == 0 {
		groups, err := syscall.Getgroups() // with those that PAM added
		if err != nil {
			return os.NewSyscallError("getgroups", err)
		}
		attr.Sys = &syscall.SysProcAttr{Credential: credential(who.uid, who.gid, groups)}
	}
	if err := closeOnExec(); err != nil {
		return err
	}
	pid, err := syscall.ForkExec(c.sessionProgram(), c.sessionArgs(), attr)
	if err != nil {
		return errors.Join(c.refuse(err, who.name), who.tx.Close())
	}
	passOn(syscall.SIGTERM, pid) // the session has a last word, and PAM one after it
	err = login.WriteAnswer(c.login, login.Answer{Status: login.OK})
	for _, fd := range []int{c.login, c.mail, 0, 1} {
		syscall.Close(fd) // the front must see the session's end, not ours
	}
	for {
		var status syscall.WaitStatus
		if _, werr := syscall.Wait4(pid, &status, 0, nil); werr != syscall.EINTR {
			break
		}
	}
	signal.Ignore(syscall.SIGTERM)
	if err := errors.Join(err, who.tx.Close()); err != nil {
		return err
	}
	os.Exit(0)
	return nil
}

// passOn sends a signal to a child instead of heeding it.
func passOn(sig syscall.Signal, pid int) {
	came := make(chan os.Signal, 1)
	signal.Notify(came, sig)
	go func() {
		for range came {
			syscall.Kill(pid, sig)
		}
	}()
}

// closeOnExec keeps what PAM's modules may have left open from the session.
func closeOnExec() error {
	return os.NewSyscallError("close_range", unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC))
}

func (c *connection) sessionProgram() string {
	return c.Config.LibexecDir + "/" + Services[c.Service]
}

func (c *connection) sessionArgs() []string {
	return []string{Services[c.Service], "-login", "-config", c.ConfigPath}
}

// sessionEnv is the whole environment of a session: nothing is inherited.
func (c *connection) sessionEnv(who *account, how string) []string {
	return []string{
		"HOME=" + who.home, "USER=" + who.name, "LOGNAME=" + who.name, "SHELL=/bin/sh",
		"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
		"SMAIL_SERVICE=" + c.Service,
		"SMAIL_PEER=" + c.peer.Addr().String(),
		"SMAIL_BY=" + how,
		"GOMAXPROCS=1", // a session that searches much asks for more itself
	}
}
