package maildir

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls that wait for the disk are made without a word to Go's scheduler.
// A session is one thread at work: told of a call that takes long, the
// scheduler starts another thread for goroutines that are not there. That costs
// a fifth of an APPEND and a quarter of an EXPUNGE.

// fsync makes a file or a folder last.
func fsync(fd int) error { return call(unix.SYS_FSYNC, uintptr(fd), 0) }

// fdatasync makes a file last, but not its times.
func fdatasync(fd int) error { return call(unix.SYS_FDATASYNC, uintptr(fd), 0) }

// unlinkat removes a file.
func unlinkat(dir int, name string) error {
	p, err := unix.BytePtrFromString(name)
	if err != nil {
		return err
	}
	return call(unix.SYS_UNLINKAT, uintptr(dir), uintptr(unsafe.Pointer(p)))
}

//go:uintptrescapes
func call(trap, a, b uintptr) error {
	for {
		_, _, errno := unix.RawSyscall(trap, a, b, 0)
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
			continue
		}
		return errno
	}
}
