package maildir

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Copy copies messages of f into another folder, and returns the UIDs of those
// that were still there: from[i] became to[i]. All of these are copied, or none.
func (f *Folder) Copy(msgs []*Message, dest *Folder) (from, to []uint32, err error) {
	err = inOrder(f, dest, func() error {
		var done []string
		from, to, done, err = f.transfer(msgs, dest, f.linkTo)
		if err == nil {
			err = dest.syncDir(dest.cur)
		}
		if err != nil {
			for _, name := range done {
				unix.Unlinkat(dest.cur, name, 0)
			}
		}
		return err
	})
	return from, to, err
}

// Move moves messages. It stops at the first error; what was moved stays so
// and is returned with it.
func (f *Folder) Move(msgs []*Message, dest *Folder) (from, to []uint32, err error) {
	err = inOrder(f, dest, func() error {
		from, to, _, err = f.transfer(msgs, dest, f.renameTo)
		return errors.Join(err, dest.syncDir(dest.cur), f.syncDir(f.cur))
	})
	return from, to, err
}

// inOrder takes two folders' locks, always in the same order.
func inOrder(a, b *Folder, fn func() error) error {
	if a.Name > b.Name {
		a, b = b, a
	}
	return a.withLock(func() error { return b.withLock(fn) })
}

// transfer reserves UIDs in dest and then puts each message there.
func (f *Folder) transfer(msgs []*Message, dest *Folder,
	put func(m *Message, dest *Folder, name string) error) (from, to []uint32, done []string, err error) {
	u, err := dest.uidlistNow()
	if err != nil {
		return nil, nil, nil, err
	}
	recs := make([]uidRecord, len(msgs))
	for i, m := range msgs {
		recs[i] = uidRecord{uid: u.uidnext + uint32(i), key: newKey() + sizesOf(m)}
	}
	if err := dest.appendUIDs(u, recs); err != nil {
		return nil, nil, nil, err
	}
	dest.stamps[0].settled, f.stamps[0].settled = false, false
	for i, m := range msgs {
		flags, err := f.translate(m.Flags, dest)
		if err != nil {
			return from, to, done, err
		}
		name := joinName(recs[i].key, flags, "")
		switch err := put(m, dest, name); err {
		case nil:
			from, to, done = append(from, m.UID), append(to, recs[i].uid), append(done, name)
		case ErrGone:
		default:
			return from, to, done, fmt.Errorf("copy %s: %w", m.name, err)
		}
	}
	return from, to, done, nil
}

// sizesOf returns the size fields for a copy's key.
func sizesOf(m *Message) string {
	s := ""
	if m.Size >= 0 {
		s += fmt.Sprintf(",S=%d", m.Size)
	}
	if m.CRLF >= 0 {
		s += fmt.Sprintf(",W=%d", m.CRLF)
	}
	return s
}

// linkTo makes a hard link, or a copy where that cannot be.
func (f *Folder) linkTo(m *Message, dest *Folder, name string) error {
	err := f.find(m, func() error { return unix.Linkat(f.dirOf(m), m.name, dest.cur, name, 0) })
	switch err {
	case unix.EXDEV, unix.EPERM, unix.EMLINK, unix.EOPNOTSUPP:
		return f.copyTo(m, dest, name)
	}
	return err
}

// renameTo moves the file.
func (f *Folder) renameTo(m *Message, dest *Folder, name string) error {
	err := f.find(m, func() error {
		return unix.Renameat2(f.dirOf(m), m.name, dest.cur, name, unix.RENAME_NOREPLACE)
	})
	if err == unix.EXDEV {
		if err = f.copyTo(m, dest, name); err == nil {
			err = f.find(m, func() error { return unix.Unlinkat(f.dirOf(m), m.name, 0) })
		}
	}
	if err == nil {
		f.drop(m)
	}
	return err
}

// copyTo writes a copy with the original's time.
func (f *Folder) copyTo(m *Message, dest *Folder, name string) error {
	src, err := f.OpenMessage(m)
	if err != nil {
		return err
	}
	defer src.Close()
	fd, err := unix.Openat(dest.dir, "tmp/"+name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	out := os.NewFile(uintptr(fd), name)
	defer out.Close()
	defer unix.Unlinkat(dest.dir, "tmp/"+name, 0) // in vain once it was renamed
	if _, err := io.Copy(out, src); err != nil {
		return err
	}
	tv := []unix.Timeval{{Sec: m.mtime}, {Sec: m.mtime}}
	if err := unix.Futimes(fd, tv); err != nil {
		return err
	}
	if f.store.fsync != Never {
		if err := out.Sync(); err != nil {
			return err
		}
	}
	return unix.Renameat2(dest.dir, "tmp/"+name, dest.cur, name, unix.RENAME_NOREPLACE)
}
