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
func fsync(fd int) error { return call(unix.SYS_FSYNC, uintptr(fd)) }

// fdatasync makes a file last, but not its times.
func fdatasync(fd int) error { return call(unix.SYS_FDATASYNC, uintptr(fd)) }

// unlinkat removes a file.
func unlinkat(dir int, name string) error {
	p, err := unix.BytePtrFromString(name)
	if err != nil {
		return err
	}
	return call(unix.SYS_UNLINKAT, uintptr(dir), uintptr(unsafe.Pointer(p)))
}

// rename gives a file another name that is not taken.
func rename(fromDir int, from string, toDir int, to string) error {
	p, err := unix.BytePtrFromString(from)
	if err != nil {
		return err
	}
	q, err := unix.BytePtrFromString(to)
	if err != nil {
		return err
	}
	err = call(unix.SYS_RENAMEAT2, uintptr(fromDir), uintptr(unsafe.Pointer(p)), uintptr(toDir), uintptr(unsafe.Pointer(q)), unix.RENAME_NOREPLACE)
	if err != unix.EINVAL && err != unix.ENOSYS {
		return err
	}
	// NFS and others cannot be told to replace nothing. A message's key is its own, and
	// names are changed under the lock: looking first is enough.
	var st unix.Stat_t
	switch err := unix.Fstatat(toDir, to, &st, unix.AT_SYMLINK_NOFOLLOW); err {
	case nil:
		return unix.EEXIST
	case unix.ENOENT:
		return unix.Renameat(fromDir, from, toDir, to)
	default:
		return err
	}
}

//go:uintptrescapes
func call(trap uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	for {
		_, _, errno := unix.RawSyscall6(trap, a[0], a[1], a[2], a[3], a[4], a[5])
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
			continue
		}
		return errno
	}
}
