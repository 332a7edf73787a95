package front

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"

	"smail/login"
)

// maxFiles is the number of descriptors that a front ever has at once: 0 to 5,
// the runtime's epoll and its eventfd, the mail channel, and the client's
// connection, which is there twice for an instant.
const maxFiles = 10

// maxData is the memory that a front may ask for, of which Go's heap takes 64 MiB at
// once without using it.
const maxData = 192 << 20

// Confine gives up what a front never needs, before its first byte from the
// network: root, core dumps, other processes' descriptors, files, signals to
// others, and every system call that TLS on one connection does without. The
// runtime's poller must have started. What Confine cannot do is an error, but for
// Landlock on a kernel that has none, which smaild has logged.
func Confine() error {
	if os.Getuid() == 0 || os.Geteuid() == 0 {
		return errors.New("smail-front must not be root")
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	// An empty set of rules: no file, no TCP connection, no signal to and no
	// abstract socket of a process outside. It sets no_new_privs on every thread.
	if err := landlock.V7.BestEffort().Restrict(); err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	if err := setLimits(); err != nil {
		return err
	}
	return filterCalls()
}

// setLimits bounds descriptors and memory, and forbids core dumps and files that grow.
func setLimits() error {
	limits := map[int]uint64{unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: maxFiles, unix.RLIMIT_FSIZE: 0, unix.RLIMIT_DATA: maxData}
	var log unix.Stat_t
	if unix.Fstat(login.FDLog, &log) == nil && log.Mode&unix.S_IFMT == unix.S_IFREG {
		delete(limits, unix.RLIMIT_FSIZE) // of a smaild started by hand
	}
	for resource, n := range limits {
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: n, Max: n}); err != nil {
			return os.NewSyscallError("setrlimit", err)
		}
	}
	return nil
}

// closeStrangers closes every descriptor but the front's own. The runtime has
// none yet: its poller starts with the first connection.
func closeStrangers() error {
	err := unix.CloseRange(login.FDSetup+1, ^uint(0), 0)
	if err == unix.ENOSYS { // before Linux 5.9
		return closeEach()
	}
	return os.NewSyscallError("close_range", err)
}

func closeEach() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > login.FDSetup {
			unix.Close(fd) // that of the folder was closed before
		}
	}
	return nil
}
