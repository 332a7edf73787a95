package maildir

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"smail/internal/cores"
)

// Expunge removes the messages at places for good. Those that cannot be
// removed stay, and the first error is returned.
func (f *Folder) Expunge(places []int) error {
	if len(places) == 0 {
		return nil
	}
	freed, count := int64(0), int64(0)
	err := f.withLock(func() error {
		return f.changing(func() error {
			f.hold(len(places))
			sizes := f.quotaSizes(places)
			var failed error
			for i, err := range f.unlink(places) {
				gone := err == nil
				err = f.removed(places[i], err)
				if gone || err == nil {
					freed, count = freed+sizes[i], count+1
				} else if err != ErrGone && failed == nil {
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
func (f *Folder) unlink(places []int) []error {
	type file struct {
		dir  int
		name string
	}
	files := make([]file, len(places))
	for i, place := range places {
		if r := f.record(f.number(place)); r.state&stateExpunged == 0 {
			files[i] = file{f.dirOf(&r), f.ix.fileName(&r)}
		}
	}
	errs := make([]error, len(places))
	cores.Each(len(places), 32, func(_, i int) {
		if errs[i] = ErrGone; files[i].name != "" {
			errs[i] = unlinkat(files[i].dir, files[i].name)
		}
	})
	return errs
}

// removed notes how the removal of a message went; one whose file has another
// name by now is looked for once more.
func (f *Folder) removed(place int, err error) error {
	first := true
	return f.find(f.number(place), func(n int, r *record) error {
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
