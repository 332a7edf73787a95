package maildir

import (
	"os"
	"sort"

	"golang.org/x/sys/unix"
)

// A Folder is an open folder as one session sees it. It is not safe for use by
// several goroutines.
type Folder struct {
	Name        string
	UIDValidity uint32
	UIDNext     uint32

	store    *Store
	readOnly bool
	dir      int // descriptors of the folder, its cur and its new
	cur      int
	new      int
	lock     *dotlock
	locked   int // how often; locks nest

	keywords []string // by number, as last read

	list   []*Message // ascending UIDs, as told to the client
	byKey  map[string]*Message
	round  uint32 // of scanning
	stamps [2]dirStamp
}

// A Message is one in an open folder.
type Message struct {
	UID     uint32
	Flags   Flags
	Recent  bool // this session was the first to see it
	Gone    bool // no longer there; the client has not been told
	Changed bool // the flags changed; the client has not been told

	Size  int64 // bytes of the file; -1: not known yet
	CRLF  int64 // bytes with CRLF line ends, RFC822.SIZE; -1: not known yet
	mtime int64 // seconds; 0: not known yet

	key   string
	rest  string // what the file name has behind the flags
	name  string // the file name now
	inNew bool
	round uint32
}

// OpenFolder opens a folder and reads what is in it. With readOnly nothing is
// changed but the uidlist: messages stay in new/.
func (s *Store) OpenFolder(name string, readOnly bool) (*Folder, error) {
	f, err := s.open(name, readOnly)
	if err != nil {
		return nil, err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// OpenTarget opens a folder to put messages into, without reading what is in it.
func (s *Store) OpenTarget(name string) (*Folder, error) { return s.open(name, true) }

func (s *Store) open(name string, readOnly bool) (*Folder, error) {
	if err := checkName(name); err != nil {
		return nil, ErrNoFolder
	}
	f := &Folder{Name: name, store: s, readOnly: readOnly, dir: -1, cur: -1, new: -1, byKey: map[string]*Message{}}
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
	return nil
}

// Same says whether two open folders are one, whatever they are called now.
func (f *Folder) Same(other *Folder) bool {
	var a, b unix.Stat_t
	return unix.Fstat(f.dir, &a) == nil && unix.Fstat(other.dir, &b) == nil && a.Dev == b.Dev && a.Ino == b.Ino
}

// Close lets go of the folder.
func (f *Folder) Close() {
	for _, fd := range []int{f.dir, f.cur, f.new} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// Messages returns the messages in the order of their numbers, 1 first. The
// slice is the folder's own.
func (f *Folder) Messages() []*Message { return f.list }

// ByUID returns the index in Messages of a UID, or where it would be.
func (f *Folder) ByUID(uid uint32) (i int, found bool) {
	i = sort.Search(len(f.list), func(i int) bool { return f.list[i].UID >= uid })
	return i, i < len(f.list) && f.list[i].UID == uid
}

// Forget removes messages that are gone from the list, after the client has
// been told; it returns the numbers as EXPUNGE wants them: each as if those
// before it were removed already.
func (f *Folder) Forget() (expunged []uint32) {
	kept := f.list[:0]
	for _, m := range f.list {
		if m.Gone {
			expunged = append(expunged, uint32(len(kept)+1))
			continue
		}
		kept = append(kept, m)
	}
	clear(f.list[len(kept):])
	f.list = kept
	return expunged
}

// withLock runs fn under the folder's lock.
func (f *Folder) withLock(fn func() error) error {
	if f.locked == 0 {
		l, err := takeLock(f.dir, uidlistLock)
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
	return fn()
}
