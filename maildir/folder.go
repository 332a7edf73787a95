package maildir

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// A Folder is an open folder as one session sees it. It is not safe for use by
// several goroutines.
//
// Messages are known by their place in it, from 0: what a client calls number
// 1 is 0. A place stays that message's until Forget removes those before it
// that are gone. New messages come behind the others.
type Folder struct {
	Name        string
	UIDValidity uint32

	store    *Store
	readOnly bool
	dir      int // descriptors of the folder, its cur and its new
	cur      int
	new      int
	tmp      int  // -1: not open yet
	remote   bool // other machines may write here, too
	lock     *dotlock
	locked   int // how often; locks nest
	watch    *watch

	keywords []string // by number, as last read
	more     moreKeywords

	ix *index
	view
	learned      []fact // for the index, not written yet
	learnedBytes int
	follows      bool              // changes by others are to be followed
	hints        map[string]int    // records that this session has changed, by key
	guids        map[uint32]string // of the uidlist guidsOf, by UID
	guidsOf      fileStamp
	reserving    bool // a transfer has UIDs for messages that are not there yet
	courier      bool // the uidlist was made of Courier's, whose keywords are to follow
}

// OpenFolder opens a folder. With readOnly nothing is changed but the uidlist
// and the index: messages stay in new/.
func (s *Store) OpenFolder(name string, readOnly bool) (*Folder, error) {
	f, err := s.open(name, readOnly)
	if err != nil {
		return nil, err
	}
	f.follows = true
	if err := f.load(true); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// OpenTarget opens a folder to put messages into, without looking for what
// others have put there.
func (s *Store) OpenTarget(name string) (*Folder, error) {
	f, err := s.open(name, true)
	if err != nil {
		return nil, err
	}
	if err := f.load(false); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (s *Store) open(name string, readOnly bool) (*Folder, error) {
	if err := checkName(name); err != nil {
		return nil, ErrNoFolder
	}
	f := &Folder{Name: name, store: s, readOnly: readOnly, dir: -1, cur: -1, new: -1, tmp: -1}
	if err := f.open(); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

const openDir = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

func (f *Folder) open() (err error) {
	path := f.store.path(f.Name)
	flags := openDir
	if f.Name == Inbox {
		flags &^= unix.O_NOFOLLOW // ~/Maildir itself may be a link of the user's
	}
	if f.dir, err = unix.Open(path, flags, 0); err != nil {
		f.dir = -1
		if err == unix.ENOENT || err == unix.ENOTDIR || err == unix.ELOOP {
			return ErrNoFolder
		}
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	for sub, fd := range map[string]*int{"cur": &f.cur, "new": &f.new} {
		*fd, err = unix.Openat(f.dir, sub, openDir, 0)
		if err == unix.ENOENT { // another program made only half of it
			if err = f.store.makeFolder(path); err == nil {
				*fd, err = unix.Openat(f.dir, sub, openDir, 0)
			}
		}
		if err != nil {
			*fd = -1
			return &os.PathError{Op: "open", Path: path + "/" + sub, Err: err}
		}
	}
	f.remote = isRemote(f.dir)
	return nil
}

// load opens the index, and makes or mends it where it does not say what is
// there. Without look, an index that is older than the folder will do.
func (f *Folder) load(look bool) (err error) {
	if f.ix, err = f.openIndex(); err != nil {
		f.ix = emptyIndex()
		f.ix.modseq = f.floor()
	}
	f.readKeywords() // without them mail is read all the same, with keywords named unknown-n
	f.courier = !f.readOnly && f.importing()
	if err != nil || f.courier || !f.ix.sameBoot() || look && (!f.unchanged() || !f.readOnly && f.anyNew()) {
		if err := f.catchUp(); err != nil {
			return err
		}
	}
	f.begin()
	return nil
}

// openIndex opens the folder's index. On another machine's file system there is
// none: what is mapped here would not be what is written there.
func (f *Folder) openIndex() (*index, error) {
	if f.remote {
		return nil, errIndex
	}
	return openIndex(f.dir)
}

// anyNew says whether there are files in new/.
func (f *Folder) anyNew() (any bool) {
	eachEntry(f.new, func(name []byte, typ byte) {
		any = any || isMessageName(name) && typ != unix.DT_DIR
	})
	return any
}

// Same says whether two open folders are one, whatever they are called now.
func (f *Folder) Same(other *Folder) bool {
	var a, b unix.Stat_t
	return unix.Fstat(f.dir, &a) == nil && unix.Fstat(other.dir, &b) == nil && a.Dev == b.Dev && a.Ino == b.Ino
}

// Exists says whether the folder is still there, under its name.
func (f *Folder) Exists() bool {
	var a, b unix.Stat_t
	return unix.Fstat(f.dir, &a) == nil && unix.Stat(f.store.path(f.Name), &b) == nil && a.Dev == b.Dev && a.Ino == b.Ino
}

// Close lets go of the folder.
func (f *Folder) Close() {
	if f.ix != nil {
		f.Flush()
		f.ix.close()
	}
	f.watch.close()
	for _, fd := range []int{f.dir, f.cur, f.new, f.tmp} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// withLock runs fn under the folder's lock, with the index as it is now.
func (f *Folder) withLock(fn func() error) error {
	if f.locked == 0 {
		l, err := f.store.takeLock(f.dir, uidlistLock, lockPatience)
		if err != nil {
			return err
		}
		f.lock = l
	}
	f.locked++
	defer func() {
		if f.locked--; f.locked == 0 {
			f.lock.release()
		}
	}()
	if f.locked == 1 {
		if err := f.meet(); err != nil {
			return err
		}
	}
	return fn()
}

// meet goes over to the index that the other sessions use now, under the lock.
// Where there is none that can be used, it is made anew.
func (f *Folder) meet() error {
	var st unix.Stat_t
	err := unix.Fstatat(f.dir, indexName, &st, unix.AT_SYMLINK_NOFOLLOW)
	same := err == nil && f.ix.records.fd >= 0 && st.Ino == f.ix.ino
	if same && f.ix.reload() == nil {
		f.see()
		return nil
	}
	if next, err := f.openIndex(); err == nil && !(same && f.ix.broken.Load()) {
		if f.UIDValidity != 0 && next.uidvalidity != f.UIDValidity {
			next.close()
			return fmt.Errorf("folder %s: UIDVALIDITY changed: %w", f.Name, ErrNoFolder)
		}
		f.adopt(next)
		return nil
	}
	if f.ix.records.fd >= 0 {
		f.startOver()
		return f.scan()
	}
	return nil
}

// unwritable says whether an error means that nothing can be written in the
// folder, though it may be read.
func unwritable(err error) bool {
	for _, e := range []error{unix.EROFS, unix.EACCES, unix.EPERM, unix.ENOSPC, unix.EDQUOT} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
