package maildir

import "golang.org/x/sys/unix"

// fsync makes a file or a folder last.
func fsync(fd int) error { return flushTo(unix.SYS_FSYNC, fd) }

// fdatasync makes a file last, but not its times.
func fdatasync(fd int) error { return flushTo(unix.SYS_FDATASYNC, fd) }

// flushTo calls the kernel without a word to Go's scheduler. A session is one
// thread at work: told of a call that takes long, the scheduler starts another
// thread for the goroutines that are not there, and does so three times a
// message, which costs a fifth of an APPEND.
func flushTo(call uintptr, fd int) error {
	for {
		_, _, errno := unix.RawSyscall(call, uintptr(fd), 0, 0)
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
			continue
		}
		return errno
	}
}
