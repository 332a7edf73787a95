package front

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"smail/login"
)

// dropRights gives up what a front never needs, before its first byte from the
// network: descriptors but its own, and any way to gain rights by executing.
func dropRights() error {
	if os.Getuid() == 0 || os.Geteuid() == 0 {
		return errors.New("smail-front must not be root")
	}
	// The runtime may already hold descriptors of its own (epoll, cgroup
	// files), so that strangers are closed on execution, which cannot happen.
	if err := unix.CloseRange(login.FDSetup+1, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return os.NewSyscallError("close_range", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	if set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err == nil && set == 1 {
		return nil // smaild began with it
	}
	if _, _, errno := syscall.AllThreadsSyscall(syscall.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); errno != 0 {
		return fmt.Errorf("no_new_privs: %w", errno)
	}
	return nil
}
