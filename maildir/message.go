package maildir

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// dirOf returns the directory that a message is in.
func (f *Folder) dirOf(m *Message) int {
	if m.inNew {
		return f.new
	}
	return f.cur
}

// find runs fn, and once more after reading the folder anew if the message was
// not where it had been: another program may have renamed it. ErrGone means
// that it is no longer there.
func (f *Folder) find(m *Message, fn func() error) error {
	if m.Gone {
		return ErrGone
	}
	err := fn()
	if err != unix.ENOENT {
		return err
	}
	f.stamps[0].settled = false
	if err := f.Sync(); err != nil {
		return err
	}
	if m.Gone {
		return ErrGone
	}
	if err = fn(); err == unix.ENOENT {
		return ErrGone
	}
	return err
}

// OpenMessage opens a message's file for reading, and learns its size and time.
func (f *Folder) OpenMessage(m *Message) (*os.File, error) {
	var fd int
	err := f.find(m, func() (err error) {
		fd, err = unix.Openat(f.dirOf(m), m.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		return err
	})
	if err == ErrGone {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("open message %s: %w", m.name, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		unix.Close(fd)
		return nil, fmt.Errorf("open message %s: not a file", m.name)
	}
	m.Size, m.mtime = st.Size, st.Mtim.Sec
	return os.NewFile(uintptr(fd), m.name), nil
}

// Date returns a message's INTERNALDATE: its file's time.
func (f *Folder) Date(m *Message) (time.Time, error) {
	if m.mtime == 0 {
		var st unix.Stat_t
		err := f.find(m, func() error {
			return unix.Fstatat(f.dirOf(m), m.name, &st, unix.AT_SYMLINK_NOFOLLOW)
		})
		if err == ErrGone {
			return time.Time{}, err
		}
		if err != nil {
			return time.Time{}, fmt.Errorf("stat message %s: %w", m.name, err)
		}
		m.Size, m.mtime = st.Size, st.Mtim.Sec
	}
	return time.Unix(m.mtime, 0), nil
}

// Key returns what stays of a message's file name as long as the message does.
func (m *Message) Key() string { return m.key }

// New says whether no session has taken the message out of new/.
func (m *Message) New() bool { return m.inNew }
