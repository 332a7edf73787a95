package maildir

import (
	"fmt"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

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

	list   []*Message // ascending UIDs, as told to the client
	byKey  map[string]*Message
	round  uint32 // of scanning
	stamps [2]dirStamp
	uids   fileStamp // of the uidlist that was read last
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

// A dirStamp is when a folder was last changed, and whether that is surely
// before it was read: a change within the clock's granularity would not show.
type dirStamp struct {
	mtime   int64
	settled bool
}

// OpenFolder opens a folder and reads what is in it. With readOnly nothing is
// changed: messages stay in new/.
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

// Sync brings the folder up to date with what other programs did: it appends
// new messages, and marks those that changed or are gone. It reads the
// directories only if they changed.
func (f *Folder) Sync() error {
	if f.unchanged() {
		return nil
	}
	done, err := f.scan()
	if err != nil || done {
		return err
	}
	// There is something to give a UID to, to move out of new/, or missing:
	// the lock keeps renames by others of our kind out of the second look.
	return f.withLock(func() error {
		_, err := f.scan()
		return err
	})
}

func (f *Folder) unchanged() bool {
	for i, fd := range []int{f.cur, f.new} {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) != nil || !f.stamps[i].settled || st.Mtim.Nano() != f.stamps[i].mtime {
			return false
		}
	}
	return true
}

// granularity is how long two changes may share one time stamp: a tick of the
// kernel, or two seconds where the file system keeps whole seconds.
func granularity(mtime int64) time.Duration {
	if mtime%1e9 != 0 {
		return 20 * time.Millisecond
	}
	return 2 * time.Second
}

// scan reads both directories and the uidlist. Without the lock it only looks:
// false means that there is something to do under it.
func (f *Folder) scan() (done bool, err error) {
	f.round++
	start := time.Now()
	var unknown []*Message
	for i, fd := range []int{f.new, f.cur} { // a message moves from new to cur, never back
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return false, fmt.Errorf("stat folder: %w", err)
		}
		mtime := st.Mtim.Nano()
		f.stamps[1-i] = dirStamp{mtime, start.Sub(time.Unix(0, mtime)) > granularity(mtime)}
		err := eachFile(fd, func(name string) {
			if m := f.seen(name, i == 0); m != nil {
				unknown = append(unknown, m)
			}
		})
		if err != nil {
			return false, err
		}
	}
	missing := false
	for _, m := range f.list {
		missing = missing || m.round != f.round && !m.Gone
	}
	if f.locked == 0 {
		if missing || f.UIDValidity == 0 && !f.readUIDsOf(unknown) || f.UIDValidity != 0 && len(unknown) > 0 {
			f.forgetUnknown(unknown)
			return false, nil
		}
		if !f.readOnly && f.anyInNew() {
			return false, nil
		}
		return true, nil
	}
	for _, m := range f.list {
		if m.round != f.round && !m.Gone {
			m.Gone = true
			delete(f.byKey, m.key)
		}
	}
	if err := f.giveUIDs(unknown); err != nil {
		f.forgetUnknown(unknown)
		return false, err
	}
	if !f.readOnly {
		return true, f.moveNew()
	}
	return true, nil
}

// seen notes a file that was found; it returns a message that was not known.
func (f *Folder) seen(name string, inNew bool) *Message {
	key, info := splitName(name)
	m := f.byKey[key]
	if m == nil {
		m = &Message{key: key, Size: -1, CRLF: -1}
		if n, ok := sizeField(key, 'S'); ok {
			m.Size = n
		}
		if n, ok := sizeField(key, 'W'); ok {
			m.CRLF = n
		}
		f.byKey[key] = m
		m.Flags, m.rest = parseInfo(info)
	} else if m.name != name {
		flags, rest := parseInfo(info)
		m.Changed = m.Changed || flags != m.Flags
		m.Flags, m.rest = flags, rest
	}
	fresh := m.UID == 0 && m.round != f.round
	m.name, m.inNew, m.round = name, inNew, f.round
	if fresh {
		return m
	}
	return nil
}

// forgetUnknown takes back what a scan without the lock found and could not use.
func (f *Folder) forgetUnknown(unknown []*Message) {
	for _, m := range unknown {
		if m.UID == 0 {
			delete(f.byKey, m.key)
		}
	}
}

func (f *Folder) anyInNew() bool {
	for _, m := range f.list {
		if m.inNew && !m.Gone {
			return true
		}
	}
	return false
}

// readUIDsOf gives the messages of a folder that is being opened the UIDs in
// the uidlist; false if that does not know all of them.
func (f *Folder) readUIDsOf(unknown []*Message) bool {
	u, err := readUIDList(f.dir)
	if err != nil || u.version == 0 {
		return false
	}
	if len(f.takeUIDs(u, unknown)) > 0 {
		for _, m := range unknown {
			m.UID = 0
		}
		return false
	}
	f.adopt(u, unknown)
	return true
}

// takeUIDs gives messages their UIDs of the uidlist and returns those that
// have none there.
func (f *Folder) takeUIDs(u *uidlist, unknown []*Message) (rest []*Message) {
	last := f.lastUID()
	for _, r := range u.records {
		// What comes back below a UID that the client has seen cannot be
		// shown before the folder is opened anew.
		if m := f.byKey[r.key]; m != nil && m.UID == 0 && m.round == f.round && r.uid > last {
			m.UID = r.uid
			if v, ok := field(r.fields, 'W'); ok && m.CRLF < 0 {
				m.CRLF = v
			}
		}
	}
	for _, m := range unknown {
		if m.UID == 0 {
			rest = append(rest, m)
		}
	}
	return rest
}

func field(fields string, letter byte) (int64, bool) {
	for fl := range strings.FieldsSeq(fields) {
		if fl[0] == letter {
			n, err := strconv.ParseInt(fl[1:], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

func (f *Folder) lastUID() uint32 {
	if len(f.list) == 0 {
		return 0
	}
	return f.list[len(f.list)-1].UID
}

// adopt appends messages that have UIDs to the list.
func (f *Folder) adopt(u *uidlist, fresh []*Message) {
	f.UIDValidity, f.UIDNext, f.uids = u.uidvalidity, u.uidnext, u.stamp
	slices.SortFunc(fresh, func(a, b *Message) int { return compare(uint64(a.UID), uint64(b.UID)) })
	f.list = append(f.list, fresh...)
}

// uidlistNow reads the uidlist under the lock. One that cannot be read is
// begun anew, under a new UIDVALIDITY.
func (f *Folder) uidlistNow() (*uidlist, error) {
	u, err := readUIDList(f.dir)
	if err != nil && !isHeaderError(err) {
		return nil, err
	}
	if err != nil {
		u = &uidlist{uidnext: 1}
	}
	if f.UIDValidity != 0 && u.uidvalidity != f.UIDValidity {
		return nil, fmt.Errorf("folder %s: UIDVALIDITY changed: %w", f.Name, ErrNoFolder)
	}
	return u, nil
}

// giveUIDs gives every new message a UID, under the lock, and makes them last
// before anybody hears of them.
func (f *Folder) giveUIDs(unknown []*Message) error {
	if len(unknown) == 0 && f.UIDValidity != 0 {
		return nil
	}
	u, err := f.uidlistNow()
	if err != nil {
		return err
	}
	rest := f.takeUIDs(u, unknown)
	slices.SortFunc(rest, func(a, b *Message) int { return deliveredBefore(a.key, b.key) })
	known := map[string]bool{}
	if f.UIDValidity != 0 && len(rest) > 0 {
		for _, r := range u.records {
			known[r.key] = true
		}
	}
	var recs []uidRecord
	var fresh []*Message
	for _, m := range rest {
		if known[m.key] {
			delete(f.byKey, m.key) // see takeUIDs
			continue
		}
		m.UID = u.uidnext + uint32(len(recs))
		recs = append(recs, uidRecord{uid: m.UID, key: m.key})
	}
	for _, m := range unknown {
		if m.UID != 0 {
			fresh = append(fresh, m)
		}
	}
	if len(recs) > 0 || u.version == 0 {
		if err := f.appendUIDs(u, recs); err != nil {
			return err
		}
	}
	f.adopt(u, fresh)
	return f.compact(u)
}

// compact rewrites a uidlist in which most lines are of messages long gone.
func (f *Folder) compact(u *uidlist) error {
	if len(u.records) < 100 || len(f.byKey)*2 > len(u.records) {
		return nil
	}
	live := u.records[:0]
	for _, r := range u.records {
		if f.byKey[r.key] != nil {
			live = append(live, r)
		}
	}
	u.records = live
	return f.rewriteUIDList(u)
}

// moveNew moves messages out of new/, under the lock: from now on they are no
// longer recent to other sessions.
func (f *Folder) moveNew() error {
	for _, m := range f.list {
		if !m.inNew || m.Gone {
			continue
		}
		name := m.name
		if !strings.Contains(name, ":2,") {
			name = joinName(m.key, 0, "")
		}
		err := unix.Renameat2(f.new, m.name, f.cur, name, unix.RENAME_NOREPLACE)
		if err == unix.ENOENT { // another program was quicker: the next scan sees
			f.stamps[0].settled = false
			continue
		}
		if err != nil {
			return fmt.Errorf("rename new/%s: %w", m.name, err)
		}
		m.name, m.inNew, m.Recent = name, false, true
		f.stamps[0].settled, f.stamps[1].settled = false, false
	}
	return nil
}
