package maildir

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Copy copies the messages at places into another folder, and returns the UIDs
// of those that were still there: from[i] became to[i]. All of these are
// copied, or none.
func (f *Folder) Copy(places []int, dest *Folder, step func() error) (from, to []uint32, err error) {
	sizes, size := f.quotaSizes(places), int64(0)
	for _, n := range sizes {
		size += n
	}
	if f.store.hasQuota() {
		if err := f.store.makeRoom(size, int64(len(places))); err != nil {
			return nil, nil, err
		}
	}
	err = inOrder(f, dest, func() error {
		t, err := f.newTransfer(places, dest)
		if err != nil {
			return err
		}
		return dest.changing(func() error {
			err := t.run(f.linkTo, step)
			if err == nil {
				err = dest.syncDir(dest.cur)
			}
			if err != nil {
				for _, m := range t.done {
					unix.Unlinkat(dest.cur, m.name, 0)
				}
				return err
			}
			size = 0
			for _, m := range t.done {
				size += sizes[m.at]
			}
			from, to = t.finish()
			return nil
		})
	})
	if err == nil && size > 0 {
		f.store.charge(size, int64(len(to)))
	}
	dest.see()
	return from, to, err
}

// Move moves messages. It stops at the first error; what was moved stays so
// and is returned with it.
func (f *Folder) Move(places []int, dest *Folder, step func() error) (from, to []uint32, err error) {
	err = inOrder(f, dest, func() error {
		t, err := f.newTransfer(places, dest)
		if err != nil {
			return err
		}
		return dest.changing(func() error {
			return f.changing(func() error {
				err := t.run(f.renameTo, step)
				err = errors.Join(err, dest.syncDir(dest.cur), f.syncDir(f.cur))
				from, to = t.finish()
				f.hold(len(t.done))
				for _, m := range t.done {
					if n := f.numberOf(m.from); n >= 0 {
						f.drop(n)
					}
				}
				return err
			})
		})
	})
	dest.see()
	return from, to, err
}

// inOrder takes two folders' locks, always in the same order.
func inOrder(a, b *Folder, fn func() error) error {
	if a.Name > b.Name {
		a, b = b, a
	}
	return a.withLock(func() error { return b.withLock(fn) })
}

// A transfer puts messages of one folder into another.
type transfer struct {
	f, dest *Folder
	places  []int
	keys    [][]byte
	first   uint32 // UID in dest of the first; each has the next
	done    []moved
}

// A moved is a message that a transfer has put.
type moved struct {
	at   int    // among the places
	from uint32 // its UID
	r    record // in dest
	key  []byte
	name string
}

// newTransfer reserves UIDs in dest.
func (f *Folder) newTransfer(places []int, dest *Folder) (*transfer, error) {
	t := &transfer{f: f, dest: dest, places: places, keys: make([][]byte, len(places))}
	guids := make([]string, len(places))
	for i, place := range places {
		r := f.record(f.number(place))
		t.keys[i] = []byte(newKey() + sizesOf(&r))
		guids[i] = f.GUID(place)
	}
	var err error
	t.first, err = dest.addUIDs(t.keys, guids, nil)
	return t, err
}

// sizesOf returns the size fields for a copy's key.
func sizesOf(r *record) string {
	s := ""
	if r.size >= 0 {
		s += fmt.Sprintf(",S=%d", r.size)
	}
	if r.crlf >= 0 {
		s += fmt.Sprintf(",W=%d", r.crlf)
	}
	return s
}

// run puts each message, as far as it is still there. Where it has to look for
// one, new messages wait: their UIDs come behind the reserved ones.
func (t *transfer) run(put func(r *record, dest *Folder, name string) error, step func() error) error {
	t.dest.reserving = true
	defer func() { t.dest.reserving = false }()
	for i, place := range t.places {
		if err := step(); err != nil {
			return err
		}
		r := t.f.record(t.f.number(place))
		key, flags, name := t.keys[i], Flags(0), ""
		err := t.f.find(t.f.number(place), func(_ int, r *record) (err error) {
			if flags, err = t.f.translate(r.flags, t.dest); err != nil {
				return err
			}
			name = joinName(string(key), flags, "")
			return put(r, t.dest, name)
		})
		if err == ErrGone {
			continue
		}
		if err != nil {
			return fmt.Errorf("copy message: %w", err)
		}
		copied := record{uid: t.first + uint32(i), flags: flags, size: r.size, crlf: r.crlf, date: r.date}
		t.done = append(t.done, moved{i, r.uid, copied, key, name})
	}
	return nil
}

// finish enters what was put into the index of dest, and returns the UIDs.
func (t *transfer) finish() (from, to []uint32) {
	t.dest.hold(len(t.done))
	for i := range t.done {
		m := &t.done[i]
		t.dest.insert(&m.r, m.key, m.name[len(m.key)+1:])
		from, to = append(from, m.from), append(to, m.r.uid)
	}
	return from, to
}

// insert appends the record of a message that this session has put here. The
// index may have been made anew since its UID was reserved: then it has the
// message already, or the next look finds it.
func (f *Folder) insert(r *record, key []byte, info string) {
	if n := int(f.ix.count); n > 0 && f.ix.record(n-1).uid >= r.uid {
		f.ix.stamps[0].settled = false
		return
	}
	before := f.ix.modseq
	r.modseq = f.ix.change()
	f.mine(r.modseq, before)
	f.setMore(string(key), r.flags)
	f.ix.setName(r, key, info, true)
	f.ix.add(r)
	f.hint(int(f.ix.count)-1, r)
}

// linkTo makes a hard link, or a copy where that cannot be.
func (f *Folder) linkTo(r *record, dest *Folder, name string) error {
	err := unix.Linkat(f.dirOf(r), f.ix.fileName(r), dest.cur, name, 0)
	switch err {
	case unix.EXDEV, unix.EPERM, unix.EMLINK, unix.EOPNOTSUPP:
		return f.copyTo(r, dest, name)
	}
	return err
}

// renameTo moves the file.
func (f *Folder) renameTo(r *record, dest *Folder, name string) error {
	err := rename(f.dirOf(r), f.ix.fileName(r), dest.cur, name)
	if err == unix.EXDEV {
		if err = f.copyTo(r, dest, name); err == nil {
			if err = f.syncDir(dest.cur); err != nil { // before the original goes
				unix.Unlinkat(dest.cur, name, 0)
				return err
			}
			err = unix.Unlinkat(f.dirOf(r), f.ix.fileName(r), 0)
		}
	}
	return err
}

// copyTo writes a copy with the original's time.
func (f *Folder) copyTo(r *record, dest *Folder, name string) error {
	var st unix.Stat_t
	from, err := openRegular(f.dirOf(r), f.ix.fileName(r), unix.O_RDONLY, &st)
	if err != nil {
		return err
	}
	src := os.NewFile(uintptr(from), name)
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
	tv := []unix.Timeval{{Sec: st.Mtim.Sec}, {Sec: st.Mtim.Sec}}
	if err := unix.Futimes(fd, tv); err != nil {
		return err
	}
	if f.store.fsync != Never {
		if err := out.Sync(); err != nil {
			return err
		}
	}
	return rename(dest.dir, "tmp/"+name, dest.cur, name)
}
