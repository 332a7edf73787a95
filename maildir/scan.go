package maildir

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Reading a folder that others change.
//
// A message is known by its key. Others rename files at any time: MTAs deliver
// into new/, sessions move messages from there to cur/, mail readers change
// flags. A directory that is read meanwhile may show a message twice or not at
// all. So a first look, without a lock, only finds out whether anything needs
// to be done; a message that is new or missing is looked for again under the
// lock that Dovecot and we take for every rename of our own, and only then gets
// a UID or counts as gone.

// A dirStamp is when a folder was last changed, and whether that is surely
// before it was read: a change within the clock's granularity would not show.
type dirStamp struct {
	mtime   int64
	settled bool
}

// Sync brings the folder up to date with what other programs did: it appends
// new messages, and marks those that changed or are gone. It reads the
// directories only if they changed.
func (f *Folder) Sync() (err error) {
	if f.unchanged() {
		return nil
	}
	if f.deleted() {
		f.forgetAll()
		return nil
	}
	defer func() {
		if err != nil { // what was seen was not used: look again next time
			f.stamps[0].settled = false
		}
	}()
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

// deleted says whether another session has removed the folder.
func (f *Folder) deleted() bool {
	var st unix.Stat_t
	return unix.Fstat(f.dir, &st) == nil && st.Nlink == 0
}

// forgetAll leaves a deleted folder empty.
func (f *Folder) forgetAll() {
	for _, m := range f.list {
		m.Gone = true
	}
	clear(f.byKey)
}

// quiet says whether nobody has changed the folder while it was read: its
// directories are as they were, and nobody holds the lock under which UIDs are
// given out before their messages are there.
func (f *Folder) quiet() bool {
	var st unix.Stat_t
	return f.unchanged() && unix.Fstatat(f.dir, uidlistLock, &st, unix.AT_SYMLINK_NOFOLLOW) == unix.ENOENT
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
	f.readKeywords() // without them mail is read all the same, with keywords named unknown-n
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
	if len(f.takeUIDs(u, unknown)) > 0 || !f.quiet() {
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
	f.UIDValidity, f.UIDNext = u.uidvalidity, u.uidnext
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
