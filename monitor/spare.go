package monitor

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"smail/login"
)

// A stamp tells whether a file is what it was.
type stamp struct {
	path     string
	dev, ino uint64
	size     int64
	changed  syscall.Timespec
}

func stampOf(path string) stamp {
	var st syscall.Stat_t
	syscall.Stat(path, &st) // a file that is not there has zeros
	return stamp{path, st.Dev, st.Ino, st.Size, st.Ctim}
}

// Spare gets ready and waits on the stream socket fd for the one connection
// that it serves: the listener starts a spare ahead of each, so that the client
// does not wait for the start of two programs, nor for PAM's modules. Should it
// not have got ready, or a file that it comes from have changed by then, it begins
// anew.
func Spare(path, service string, fd int) error {
	m, failed := New(path, service)
	var c *connection
	if failed == nil {
		c, failed = m.prepare()
	}
	syscall.Write(fd, []byte{login.Ready})
	if failed == nil && !waits(fd) { // in a flood the most do not get as far as PAM
		for _, path := range m.service().Files() {
			m.read = append(m.read, stampOf(path))
		}
		c.pam = m.service().Prepare()
	}
	conn, text, err := login.ReceiveConn(fd, 4)
	if failed == nil && err == nil && !m.stale() && !c.frontGone() {
		// The listener hears of the login, or of this process's end.
		if c.listener, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3); err != nil {
			c.endFront()
			return os.NewSyscallError("dup", err)
		}
		if len(text) == 4 { // how long the client has waited, in milliseconds
			c.waited = time.Duration(binary.BigEndian.Uint32(text)) * time.Millisecond
		}
		return c.serve(conn)
	}
	if c != nil {
		c.endFront()
	}
	switch err {
	case nil:
		return anew(path, service, conn)
	case io.EOF: // the listener has ended
		return nil
	}
	return fmt.Errorf("connection from the listener: %w", err)
}

// waits says whether there is something to read, at once or when the listener has
// had time to send it.
func waits(fd int) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 2)
	return err == nil && n > 0
}

// stale says whether a file that this monitor comes from has changed.
func (m *Monitor) stale() bool {
	return slices.ContainsFunc(m.read, func(s stamp) bool { return stampOf(s.path) != s })
}

// anew executes this program again, for a connection.
func anew(path, service string, conn int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, fd := range []int{0, 1} {
		if err := syscall.Dup3(conn, fd, 0); err != nil {
			return os.NewSyscallError("dup", err)
		}
	}
	err = syscall.Exec(self, []string{"smaild", "-config", path, service}, os.Environ())
	return fmt.Errorf("execute %s: %w", self, err)
}
