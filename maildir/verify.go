package maildir

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A Preview is what a folder's files say of its messages before smail opens
// it: the UIDs and POP3 ids that clients know them by.
type Preview struct {
	Origin      string // "smail or Dovecot", "Courier", or "" where nothing is to be kept
	UIDValidity uint32
	UIDNext     uint32
	Keys        map[string]bool   // of the messages that are there
	UIDs        map[string]uint32 // by key, of those messages that are there
	UIDLs       map[string]string // likewise
}

// Preview reads a folder without changing anything. With courier, a uidlist
// that is there does not count.
func (s *Store) Preview(name string, courier bool) (*Preview, error) {
	f, err := s.open(name, true)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	u, p := &uidlist{}, &Preview{Keys: map[string]bool{}, UIDs: map[string]uint32{}, UIDLs: map[string]string{}}
	if !courier {
		if u, err = readUIDList(f.dir); err != nil {
			return nil, err
		}
		if u.version != 0 {
			p.Origin = "smail or Dovecot"
		}
	}
	if u.version == 0 {
		if c, ok := readCourier(f.dir); ok {
			u, p.Origin = c, "Courier"
		}
	}
	p.UIDValidity, p.UIDNext = u.uidvalidity, u.uidnext
	for _, dir := range []int{f.new, f.cur} {
		err := eachFile(dir, func(name []byte) {
			key, _, _ := splitName(name)
			p.Keys[string(key)] = true
		})
		if err != nil {
			return nil, err
		}
	}
	for _, r := range u.records {
		if p.Keys[string(r.key)] {
			p.UIDs[string(r.key)] = r.uid
			if id := r.uidl(); id != "" {
				p.UIDLs[string(r.key)] = id
			}
		}
	}
	return p, nil
}

// SetAside renames a folder's uidlist, so that Courier's files count again when
// the folder is opened next.
func (s *Store) SetAside(name string) error {
	f, err := s.open(name, true)
	if err != nil {
		return err
	}
	defer f.Close()
	lock, err := s.takeLock(f.dir, uidlistLock, lockPatience)
	if err != nil {
		return err
	}
	defer lock.release()
	aside := uidlistName + ".before-migrate"
	for n := 2; ; n++ {
		err = rename(f.dir, uidlistName, f.dir, aside)
		if err != unix.EEXIST {
			break
		}
		aside = fmt.Sprintf("%s.before-migrate-%d", uidlistName, n)
	}
	if err != nil && err != unix.ENOENT {
		return fmt.Errorf("rename %s to %s: %w", uidlistName, aside, err)
	}
	return f.removeIndex()
}

// Rebuild throws a folder's index away and makes it anew.
func (s *Store) Rebuild(name string) error {
	f, err := s.open(name, true)
	if err != nil {
		return err
	}
	defer f.Close()
	f.ix = emptyIndex()
	return f.withLock(func() error {
		if err := f.removeIndex(); err != nil {
			return err
		}
		f.startOver()
		return f.scan()
	})
}

func (f *Folder) removeIndex() error {
	for _, name := range []string{indexName, namesName, cacheName} {
		if err := unix.Unlinkat(f.dir, name, 0); err != nil && err != unix.ENOENT {
			return fmt.Errorf("remove %s: %w", name, err)
		}
	}
	return nil
}

// Verify compares the index, the uidlist and the files of an open folder, and
// returns what does not agree, a sentence each. It changes nothing.
func (f *Folder) Verify() (problems []string, err error) {
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	err = f.withLock(func() error {
		l, err := f.look()
		if err != nil {
			return err
		}
		u, err := readUIDList(f.dir)
		if err != nil {
			return err
		}
		if f.ix.broken.Load() {
			say("the index is damaged; it is made anew when it is used")
		}
		if f.ix.records.fd < 0 {
			say("the index cannot be written")
		}
		if u.uidvalidity != f.ix.uidvalidity || !f.takeUIDs(l, u) {
			say("the index and %s do not agree", uidlistName)
		}
		for _, e := range l.fresh {
			if e.uid == 0 {
				say("%s has no UID yet", e.key)
			}
		}
		for _, e := range l.edits {
			say("%s is not named as the index has it", e.f.key)
		}
		for _, n := range f.missing(l) {
			r := f.ix.record(n)
			say("UID %d, %s, is in the index and not in the folder", r.uid, f.ix.key(&r))
		}
		if u.torn {
			say("%s ends with half a line", uidlistName)
		}
		return nil
	})
	used := Flags(0)
	for place := range f.Len() {
		used |= f.Message(place).Flags
	}
	for n := range letters {
		if used&keyword(n) != 0 && n >= len(f.keywords) {
			say("keyword %d is used in file names and has no name in %s", n, keywordsName)
		}
	}
	return problems, err
}

// NameSizes returns what a message's file name says of its size, in the file
// and with CRLF line ends; -1: nothing.
func (f *Folder) NameSizes(place int) (size, crlf int64) {
	key := []byte(f.Key(place))
	return sizeField(key, 'S'), sizeField(key, 'W')
}

// Leftovers returns files in the tmp/ of the Maildir that killed programs have
// left there.
func (s *Store) Leftovers() (names []string) {
	entries, _ := os.ReadDir(filepath.Join(s.root, "tmp"))
	for _, e := range entries {
		if info, err := e.Info(); err == nil && now().Sub(info.ModTime()) > tmpAge {
			names = append(names, e.Name())
		}
	}
	return names
}
