package maildir

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"smail/internal/pages"
)

// Following a folder that others change.
//
// A message is known by its key. Others rename files at any time: MTAs deliver
// into new/, sessions move messages from there to cur/, mail readers change
// flags. A directory that is read meanwhile may show a message twice or not at
// all. So it is read under the lock that Dovecot and we take for every rename
// of our own, and a message that was not found is looked for once more before
// it counts as gone.

// Sync brings the folder up to date with what other programs did. It reads the
// directories only if they changed in a way that nobody told it of.
func (f *Folder) Sync() error {
	f.follow()
	if f.watch.complete() {
		return f.followEvents()
	}
	if f.ix.records.fd >= 0 && f.ix.reload() == nil {
		f.see()
	}
	if f.unchanged() {
		f.watch.begin()
		return nil
	}
	return f.lookAgain()
}

// lookAgain reads the folder, if it is still there.
func (f *Folder) lookAgain() error {
	if f.deleted() {
		f.loseAll()
		return nil
	}
	return f.catchUp()
}

// unchanged says whether the index has all that is in the folder.
func (f *Folder) unchanged() bool {
	for i, fd := range []int{f.cur, f.new} {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) != nil || !f.ix.stamps[i].settled || st.Mtim.Nano() != f.ix.stamps[i].mtime {
			return false
		}
	}
	stamp, ok := f.uidlistStamp()
	return ok && stamp == f.ix.uidlist
}

// deleted says whether another session has removed the folder.
func (f *Folder) deleted() bool {
	var st unix.Stat_t
	return unix.Fstat(f.dir, &st) == nil && st.Nlink == 0
}

// loseAll leaves a deleted folder empty.
func (f *Folder) loseAll() {
	h := f.ix.indexHeader
	h.expunges++
	f.adopt(newBuilder(h, 0, 0).memory())
}

// catchUp reads the folder and makes the index say what is in it. Where
// nothing can be written, messages that have UIDs are read all the same.
func (f *Folder) catchUp() error {
	err := f.withLock(f.scan)
	if err == nil || !unwritable(err) {
		return err
	}
	f.ix.detach()
	l, lerr := f.look()
	if lerr != nil {
		return lerr
	}
	u, lerr := f.uidlistNow()
	if lerr != nil || u.version == 0 || !f.takeUIDs(l, u) {
		return err
	}
	l.fresh = slices.DeleteFunc(l.fresh, func(e *found) bool { return e.uid == 0 })
	l.sort()
	f.ix.uidvalidity, f.ix.uidnext, f.ix.uidlist = u.uidvalidity, max(u.uidnext, f.ix.uidnext), u.stamp
	f.ix.stamps = l.stamps
	f.apply(l, f.missing(l))
	return nil
}

// scan reads the folder under the lock, gives new messages UIDs, and takes
// them out of new/.
func (f *Folder) scan() error {
	f.follow() // before the folder is read, so that nothing is missed behind it
	f.readKeywords()
	f.sweep()
	l, err := f.look()
	if err != nil {
		return err
	}
	if len(l.twins) > 0 && !f.readOnly {
		parted, err := f.part(l)
		if err != nil {
			return err
		}
		if parted {
			if l, err = f.look(); err != nil {
				return err
			}
		}
	}
	missing := f.missing(l)
	if len(missing) > 0 && f.ix.uidvalidity != 0 {
		again, err := f.look()
		if err != nil {
			return err
		}
		missing = f.missing(again)
		unseen := len(missing)
		missing = slices.DeleteFunc(missing, func(n int) bool { return l.seen[n] })
		if len(missing) < unseen { // gone between the looks, or missed by the second
			again.unsettle()
		}
		l = again
	}
	if f.reserving {
		l.leaveNew()
	}
	agree := !f.ix.broken.Load()
	if agree {
		if agree, err = f.take(l, missing); err != nil {
			return err
		}
	}
	if f.reserving && agree {
		return nil
	}
	if !agree { // the uidlist was made anew, or says otherwise
		f.reserving = false // what is reserved is in the uidlist
		f.startOver()
		return f.scan()
	}
	if f.courier {
		f.courier = false
		if err := f.changing(f.importKeywords); err != nil && !(f.readOnly && unwritable(err)) {
			return err
		}
	}
	f.watch.begin()
	return f.compact()
}

// take enters what a look showed, under the lock: new messages get UIDs and
// leave new/. False: the index is not that of the uidlist, and nothing was done.
func (f *Folder) take(l *look, missing []int) (agree bool, err error) {
	if agree, err := f.giveUIDs(l); err != nil || !agree {
		return agree, err
	}
	if l.table != nil { // all was looked at
		f.ix.stamps = l.stamps
	}
	if !f.readOnly {
		if err := f.moveNew(l); err != nil {
			return true, err
		}
	}
	f.apply(l, missing)
	return true, nil
}

// giveUIDs gives every new message a UID, under the lock, and makes them last
// before anybody hears of them. False: the index is not that of the uidlist.
func (f *Folder) giveUIDs(l *look) (agree bool, err error) {
	stamp, _ := f.uidlistStamp()
	if len(l.fresh) == 0 && f.ix.uidvalidity != 0 && stamp == f.ix.uidlist {
		return true, nil
	}
	u, err := f.uidlistNow()
	if err != nil {
		return false, err
	}
	if f.ix.uidvalidity != 0 && (u.uidvalidity != f.ix.uidvalidity || !f.takeUIDs(l, u)) {
		return false, nil
	}
	if f.ix.uidvalidity == 0 {
		f.takeUIDs(l, u)
	}
	f.ix.uidlines, f.ix.uidls, f.ix.guids = uint32(len(u.records)), u.hasUIDLs(), u.hasGUIDs()
	rest := make([]*found, 0, len(l.fresh))
	for _, e := range l.fresh {
		if e.uid == 0 {
			e.time = deliveryTimeOf(e.key)
			rest = append(rest, e)
		}
	}
	if u.exhausted(len(rest)) {
		return false, f.rewriteUIDList(u.renumbered())
	}
	slices.SortFunc(rest, deliveredBefore)
	recs := pages.Room[uidRecord](len(rest))[:len(rest)]
	for i, e := range rest {
		e.uid = u.uidnext + uint32(i)
		recs[i] = uidRecord{uid: e.uid, key: e.key}
	}
	f.ix.uidlines += uint32(len(recs))
	switch {
	case len(recs) > 0:
		err = f.appendUIDs(u, recs, nil)
	case u.version != 3 || u.torn:
		err = f.rewriteUIDList(u)
	default:
		f.ix.uidlist, f.ix.uidvalidity, f.ix.uidnext = u.stamp, u.uidvalidity, u.uidnext
	}
	if len(rest) == len(l.fresh) {
		l.fresh = rest // they are in order
	} else {
		l.sort()
	}
	return true, err
}

// sort orders what is new by UID.
func (l *look) sort() {
	slices.SortFunc(l.fresh, func(a, b *found) int { return cmp.Compare(a.uid, b.uid) })
}

// moveNew moves messages out of new/, under the lock: from now on they are no
// longer recent to other sessions.
func (f *Folder) moveNew(l *look) error {
	var moves []*found
	uids := map[*found]uint32{}
	for _, e := range l.edits {
		if e.f.inNew {
			uids[e.f] = f.ix.record(e.n).uid
			moves = append(moves, e.f)
		}
	}
	for n, exact := range l.exact { // an EXAMINE left them there
		if r := f.ix.record(n); r.state&(stateNew|stateExpunged) == stateNew && exact {
			e := l.keep(f.ix.key(&r), nil, false, true)
			if r.state&stateBare == 0 {
				_, info, _ := splitName([]byte(f.ix.fileName(&r)))
				e.info, e.colon = info, true
			}
			l.edits = append(l.edits, edit{n, e})
			uids[e] = r.uid
			moves = append(moves, e)
		}
	}
	for _, e := range l.fresh {
		if e.inNew {
			moves = append(moves, e)
		}
	}
	return f.changing(func() error {
		for _, e := range moves {
			err := f.takeOut(e)
			if err == unix.ENOENT { // another program was quicker: the next scan sees
				f.ix.stamps[0].settled = false
				continue
			}
			if err != nil {
				return err
			}
			uid := e.uid
			if uid == 0 {
				uid = uids[e]
			}
			f.setRecent(uid)
		}
		return nil
	})
}

// takeOut moves one file from new/ to cur/.
func (f *Folder) takeOut(e *found) error {
	_, name := f.placeOf(e)
	info := e.info
	if !e.colon || len(info) < 2 || string(info[:2]) != "2," {
		info = []byte("2,")
	}
	target := string(e.key) + ":" + string(info)
	err := rename(f.new, name, f.cur, target)
	if err == unix.ENOENT {
		return err
	}
	if err != nil {
		return fmt.Errorf("rename new/%s: %w", name, err)
	}
	e.inNew, e.colon, e.info = false, true, info
	return nil
}

// apply writes what a look showed into the index.
func (f *Folder) apply(l *look, missing []int) {
	f.edit(l.edits, missing)
	anew := f.ix.records.fd < 0 && f.locked > 0 && !f.remote || !f.ix.sameBoot()
	if n := int(f.ix.count); anew || len(l.fresh) > 0 && n > 0 && l.fresh[0].uid < f.ix.record(n-1).uid {
		f.rebuild(l.fresh)
		return
	}
	if f.ix.floor == nothingKnown {
		f.ix.floor = f.ix.change()
	}
	for _, e := range l.fresh {
		r := e.record(f.ix.change())
		r.flags = f.more.of[string(e.key)]
		f.ix.setName(&r, e.key, string(e.info), e.colon)
		f.ix.add(&r)
	}
	f.ix.flush()
	f.see()
}

// edit brings records up to date.
func (f *Folder) edit(edits []edit, missing []int) {
	for _, e := range edits {
		r := f.ix.record(e.n)
		r.state &^= stateNew
		if e.f.inNew {
			r.state |= stateNew
		}
		flags := r.flags
		f.ix.setName(&r, e.f.key, string(e.f.info), e.f.colon)
		if r.flags != flags {
			r.modseq = f.ix.change()
		}
		f.ix.put(e.n, &r)
	}
	for _, n := range missing {
		f.expungeRecord(n)
	}
}

// expungeRecord notes that a message is gone.
func (f *Folder) expungeRecord(n int) {
	r := f.ix.record(n)
	r.state |= stateExpunged
	r.modseq = f.ix.change()
	f.ix.expunged++
	f.ix.expunges++
	f.ix.put(n, &r)
}

// record makes the record of a file, without its name and flags.
func (e *found) record(modseq uint64) record {
	r := record{uid: e.uid, modseq: modseq, size: sizeField(e.key, 'S'), crlf: sizeField(e.key, 'W'), date: -1}
	if r.crlf < 0 {
		r.crlf = e.crlf
	}
	if e.inNew {
		r.state = stateNew
	}
	return r
}

// tmpAge is how old a file in tmp/ is before anybody may remove it: no delivery
// takes so long.
const tmpAge = 36 * time.Hour

// sweep removes what killed programs have left in INBOX's tmp/, and of folders
// that were being deleted, once a session. A message that is being appended may have
// any time of modification, but none can set the time of the last change.
func (f *Folder) sweep() {
	if f.store.swept || f.Name != Inbox {
		return
	}
	f.store.swept = true
	eachName(f.dir, func(name string) {
		if strings.HasPrefix(name, deletedPrefix) {
			os.RemoveAll(filepath.Join(f.store.root, name))
		}
	})
	dir, err := unix.Openat(f.dir, "tmp", openDir, 0)
	if err != nil {
		return
	}
	defer unix.Close(dir)
	eachFile(dir, func(name []byte) {
		var st unix.Stat_t
		if unix.Fstatat(dir, string(name), &st, unix.AT_SYMLINK_NOFOLLOW) == nil && now().Sub(time.Unix(st.Ctim.Sec, 0)) > tmpAge {
			unix.Unlinkat(dir, string(name), 0)
		}
	})
}
