package maildir

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// SetFlags gives each message the flags that change returns for its old ones,
// by renaming its file. Messages that are gone are left out.
func (f *Folder) SetFlags(msgs []*Message, change func(Flags) Flags) error {
	return f.batch(msgs, func(m *Message) error {
		flags := change(m.Flags)
		if flags == m.Flags && !m.inNew {
			return nil
		}
		err := f.find(m, func() error {
			name := joinName(m.key, change(m.Flags), m.rest)
			if name == m.name && !m.inNew {
				return nil
			}
			if err := unix.Renameat2(f.dirOf(m), m.name, f.cur, name, unix.RENAME_NOREPLACE); err != nil {
				return err
			}
			m.Flags, m.name, m.inNew = change(m.Flags), name, false
			return nil
		})
		return err
	})
}

// Expunge removes messages for good.
func (f *Folder) Expunge(msgs []*Message) error {
	return f.batch(msgs, func(m *Message) error {
		err := f.find(m, func() error { return unix.Unlinkat(f.dirOf(m), m.name, 0) })
		if err == nil {
			f.drop(m)
		}
		return err
	})
}

// drop notes that a message has left the folder.
func (f *Folder) drop(m *Message) {
	m.Gone = true
	delete(f.byKey, m.key)
}

// batch changes messages under the folder's lock, and makes the changes last
// with one fsync. It stops at the first error but ErrGone; what was changed
// before stays so.
func (f *Folder) batch(msgs []*Message, change func(*Message) error) error {
	if len(msgs) == 0 {
		return nil
	}
	return f.withLock(func() error {
		var failed error
		for _, m := range msgs {
			if err := change(m); err != nil && err != ErrGone {
				failed = fmt.Errorf("change %s: %w", m.name, err)
				break
			}
		}
		f.stamps[0].settled = false
		return errors.Join(failed, f.syncDir(f.cur))
	})
}

// syncDir makes the names in a directory last.
func (f *Folder) syncDir(dir int) error {
	if f.store.fsync != Always {
		return nil
	}
	if err := unix.Fsync(dir); err != nil {
		return fmt.Errorf("fsync folder: %w", err)
	}
	return nil
}
