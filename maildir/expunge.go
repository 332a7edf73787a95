package maildir

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"smail/internal/cores"
)

// errKept is that a message is no longer to be removed.
var errKept = errors.New("kept")

// Expunge removes the messages at places for good, unless still, which may be nil,
// says that by now their flags are others. Those that cannot be removed stay, and
// the first error is returned.
func (f *Folder) Expunge(places []int, still func(Flags) bool) error {
	if len(places) == 0 {
		return nil
	}
	freed, count := int64(0), int64(0)
	err := f.withLock(func() error {
		return f.changing(func() error {
			f.hold(len(places))
			sizes := f.quotaSizes(places)
			var failed error
			for i, err := range f.unlink(places, still) {
				gone := err == nil
				err = f.removed(places[i], err, still)
				if gone || err == nil {
					freed, count = freed+sizes[i], count+1
				} else if err != ErrGone && err != errKept && failed == nil {
					failed = fmt.Errorf("remove message: %w", err)
				}
			}
			return errors.Join(failed, f.syncDir(f.cur))
		})
	})
	if f.store.hasQuota() {
		f.store.charge(-freed, -count)
	}
	return err
}

// quotaSizes returns the sizes of messages where somebody counts them.
func (f *Folder) quotaSizes(places []int) []int64 {
	sizes := make([]int64, len(places))
	if f.store.hasQuota() {
		for i, place := range places {
			sizes[i] = f.sizeOf(f.number(place))
		}
	}
	return sizes
}

// unlink removes the files of messages, on several cores: the kernel gives
// back a file's blocks outside of the directory's lock.
func (f *Folder) unlink(places []int, still func(Flags) bool) []error {
	type file struct {
		dir  int
		name string
	}
	files, errs := make([]file, len(places)), make([]error, len(places))
	for i, place := range places {
		switch r := f.record(f.number(place)); {
		case r.state&stateExpunged != 0:
			errs[i] = ErrGone
		case still != nil && !still(r.flags):
			errs[i] = errKept
		default:
			files[i] = file{f.dirOf(&r), f.ix.fileName(&r)}
		}
	}
	cores.Each(len(places), 32, func(_, i int) {
		if errs[i] == nil {
			errs[i] = unlinkat(files[i].dir, files[i].name)
		}
	})
	return errs
}

// removed notes how the removal of a message went; one whose file has another
// name by now is looked for once more.
func (f *Folder) removed(place int, err error, still func(Flags) bool) error {
	first := true
	return f.find(f.number(place), func(n int, r *record) error {
		if !first && still != nil && !still(r.flags) {
			return errKept
		}
		if !first {
			err = unix.Unlinkat(f.dirOf(r), f.ix.fileName(r), 0)
		}
		first = false
		if err == nil {
			f.drop(n)
		}
		return err
	})
}
