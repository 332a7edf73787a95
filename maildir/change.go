package maildir

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// SetFlags gives the messages at places the flags that change returns for their
// old ones, by renaming their files. Messages that are gone are left out.
func (f *Folder) SetFlags(places []int, change func(Flags) Flags) error {
	_, err := f.SetFlagsUnchanged(places, 1<<64-1, change)
	return err
}

// SetFlagsUnchanged is SetFlags for those of the messages that have not changed
// since a modseq; it returns the places of those that have: RFC 7162 section
// 3.1.3.
func (f *Folder) SetFlagsUnchanged(places []int, since uint64, change func(Flags) Flags) (changed []int, err error) {
	err = f.batch(places, func(place, n int, r *record) error {
		if r.modseq > since {
			changed = append(changed, place)
			return nil
		}
		return f.rename(n, r, change(r.flags))
	})
	return changed, err
}

// rename gives one message flags, and takes it out of new/.
func (f *Folder) rename(n int, r *record, flags Flags) error {
	if flags == r.flags && r.state&stateNew == 0 {
		return nil
	}
	key, rest := string(f.ix.key(r)), ""
	if r.state&stateVerbatim != 0 {
		rest = restOf(f.ix.info(r))
	}
	f.setMore(key, flags)
	name := joinName(key, flags, rest)
	if (flags^r.flags)&^moreFlags == 0 && r.state&stateNew == 0 { // the name says nothing of it
		r.flags = flags
		f.put(n, r)
		return nil
	}
	if err := rename(f.dirOf(r), f.ix.fileName(r), f.cur, name); err != nil {
		return err
	}
	r.flags = flags
	r.state &^= stateNew
	f.ix.setName(r, []byte(key), name[len(key)+1:], true)
	f.put(n, r)
	return nil
}

// put writes a record that this session has changed.
func (f *Folder) put(n int, r *record) {
	before := f.ix.modseq
	if r.modseq > f.told && !slices.Contains(f.own, r.modseq) {
		if f.covered == nil {
			f.covered = map[uint32]bool{}
		}
		f.covered[r.uid] = true
	}
	r.modseq = f.ix.change()
	f.mine(r.modseq, before)
	f.ix.put(n, r)
	f.hint(n, r)
}

// drop notes that a message has left the folder.
func (f *Folder) drop(n int) {
	before := f.ix.modseq
	f.expungeRecord(n)
	f.mine(f.ix.modseq, before)
	r := f.ix.record(n)
	f.hint(n, &r)
}

// maxHints is how many records are remembered for the events that follow.
const maxHints = 2048

// hint notes which record an event is about that this session causes.
func (f *Folder) hint(n int, r *record) {
	if f.watch.complete() && len(f.hints) < maxHints {
		if f.hints == nil {
			f.hints = map[string]int{}
		}
		f.hints[string(f.ix.key(r))] = n
	}
}

// batch changes messages under the folder's lock, and makes the changes last
// with one fsync. It stops at the first error but ErrGone; what was changed
// before stays so.
func (f *Folder) batch(places []int, change func(place, n int, r *record) error) error {
	if len(places) == 0 {
		return nil
	}
	all := func() (failed error) {
		f.hold(len(places))
		for _, place := range places {
			err := f.find(f.number(place), func(n int, r *record) error { return change(place, n, r) })
			if err != nil && err != ErrGone {
				failed = fmt.Errorf("change message: %w", err)
				break
			}
		}
		return errors.Join(failed, f.syncDir(f.cur))
	}
	return f.withLock(func() error {
		if len(places) > maxHints {
			return f.suspended(func() error { return f.changing(all) })
		}
		return f.changing(all)
	})
}

// hold has the index written at once, if enough of it will change.
func (f *Folder) hold(changes int) {
	if changes > 16 && changes*100 > int(f.ix.count) {
		f.ix.hold()
	}
}

// changing runs fn, which changes new and cur, under the lock. If the index had
// all that was there before, it has all that is there afterwards.
func (f *Folder) changing(fn func() error) error {
	f.follow()
	known := f.stampsHold()
	err := fn()
	err = errors.Join(err, f.flushMore())
	for i, fd := range []int{f.cur, f.new} {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && known[i] && st.Mtim.Nano() != f.ix.stamps[i].mtime {
			f.ix.stamps[i] = dirStamp{mtime: st.Mtim.Nano()}
		}
	}
	f.ix.flush()
	return err
}

// stampsHold says of cur and new whether they are as the index knows them.
func (f *Folder) stampsHold() (hold [2]bool) {
	for i, fd := range []int{f.cur, f.new} {
		var st unix.Stat_t
		hold[i] = unix.Fstat(fd, &st) == nil && st.Mtim.Nano() == f.ix.stamps[i].mtime
	}
	return hold
}

// syncDir makes the names in a directory last.
func (f *Folder) syncDir(dir int) error {
	if f.store.fsync != Always {
		return nil
	}
	if err := fsync(dir); err != nil {
		return fmt.Errorf("fsync folder: %w", err)
	}
	return nil
}
