package maildir

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"smail/internal/pages"
)

// A look is what reading the folder's directories showed, compared with the
// index.
type look struct {
	stamps [2]dirStamp // of cur and new
	table  *keyTable   // of the index's records
	seen   []bool      // which of these were found
	exact  []bool      // which were found as the index has them
	edits  []edit
	fresh  []*found // what no record has
	twins  []twin
	chunk  []byte  // where the next names are kept
	slab   []found // where the next files are
}

// A found is a file in cur or new.
type found struct {
	key, info []byte
	colon     bool // there is an info
	inNew     bool
	double    bool // another file has the same key
	uid       uint32
	crlf      int64
	time      deliveryTime
}

// An edit is a record whose file has another name than it says.
type edit struct {
	n int
	f *found
}

// look reads the directories. A message moves from new to cur, never back.
func (f *Folder) look() (*look, error) {
	l := &look{seen: make([]bool, f.ix.count), exact: make([]bool, f.ix.count)}
	l.table = newKeyTable(int(f.ix.count), func(n int) []byte {
		r := f.ix.record(n)
		return f.ix.key(&r)
	})
	for n := range int(f.ix.count) { // what is gone does not come back under its UID
		if f.ix.record(n).state&stateExpunged == 0 {
			l.table.add(n)
		}
	}
	for i, fd := range []int{f.new, f.cur} {
		stamp, err := stampDir(fd)
		if err != nil {
			return nil, err
		}
		l.stamps[1-i] = stamp
		if err := eachFile(fd, func(name []byte) { f.compare(l, name, i == 0) }); err != nil {
			return nil, err
		}
	}
	l.doublesOfKnown()
	l.edits = slices.DeleteFunc(l.edits, func(e edit) bool { return l.exact[e.n] })
	l.dropDoubles()
	return l, nil
}

// unsettle has the directories read again next time.
func (l *look) unsettle() { l.stamps[0].settled, l.stamps[1].settled = false, false }

// leaveNew leaves new messages to the next look.
func (l *look) leaveNew() {
	l.fresh = nil
	l.unsettle()
}

// stampDir says what the stamp of a directory will be that is read now.
func stampDir(fd int) (dirStamp, error) {
	start := time.Now()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return dirStamp{}, fmt.Errorf("stat folder: %w", err)
	}
	mtime := st.Mtim.Nano()
	return dirStamp{mtime, start.Sub(time.Unix(0, mtime)) > granularity(mtime)}, nil
}

// granularity is how long two changes may share one time stamp: a tick of the
// kernel, or two seconds where the file system keeps whole seconds.
func granularity(mtime int64) time.Duration {
	if mtime%1e9 != 0 {
		return 20 * time.Millisecond
	}
	return 2 * time.Second
}

// compare looks a file up in the index.
func (f *Folder) compare(l *look, name []byte, inNew bool) {
	key, info, colon := splitName(name)
	n, known := l.table.find(key)
	if known && f.matches(n, info, colon, inNew) {
		l.seen[n], l.exact[n] = true, true
		return
	}
	e := l.keep(key, info, colon, inNew)
	if known {
		l.seen[n] = true
		l.edits = append(l.edits, edit{n, e})
		return
	}
	l.fresh = append(l.fresh, e)
}

// matches says whether a record has what a file's name says.
func (f *Folder) matches(n int, info []byte, colon, inNew bool) bool {
	r := f.ix.record(n)
	if r.state&stateExpunged != 0 || (r.state&stateNew != 0) != inNew || (r.state&stateBare == 0) != colon {
		return false
	}
	if r.state&stateVerbatim != 0 {
		return string(info) == f.ix.info(&r)
	}
	var b [64]byte
	return !colon || bytes.Equal(appendInfo(b[:0], r.flags, ""), info)
}

// keep copies a name, which readdir's buffer will lose.
func (l *look) keep(key, info []byte, colon, inNew bool) *found {
	if cap(l.chunk)-len(l.chunk) < len(key)+len(info) {
		l.chunk = pages.Room[byte](max(direntBuffer, len(key)+len(info)))
	}
	at := len(l.chunk)
	l.chunk = append(append(l.chunk, key...), info...)
	whole := l.chunk[at:len(l.chunk):len(l.chunk)]
	if len(l.slab) == cap(l.slab) {
		l.slab = pages.Room[found](min(max(64, 2*cap(l.slab)), 4096))
	}
	l.slab = append(l.slab, found{key: whole[:len(key):len(key)], info: whole[len(key):], colon: colon, inNew: inNew, crlf: -1})
	return &l.slab[len(l.slab)-1]
}

// A twin is a file whose key another has, too: that of a record or, where there is
// none, one that was found later.
type twin struct {
	f     *found
	n     int
	other *found // nil: the record's own file
}

// doublesOfKnown notes the twins of files that records have.
func (l *look) doublesOfKnown() {
	if len(l.edits) == 0 {
		return
	}
	last := map[int]*found{}
	for _, e := range slices.Backward(l.edits) {
		if other := last[e.n]; other != nil || l.exact[e.n] {
			l.twins = append(l.twins, twin{e.f, e.n, other})
		} else {
			last[e.n] = e.f
		}
	}
}

// dropDoubles leaves of files with one key the one that was found last.
func (l *look) dropDoubles() {
	if len(l.fresh) == 0 {
		return
	}
	slices.Reverse(l.fresh)
	t := l.freshTable()
	for i, e := range l.fresh {
		if first := t.add(i); first != i {
			e.double = true
			l.twins = append(l.twins, twin{e, -1, l.fresh[first]})
		}
	}
	l.fresh = slices.DeleteFunc(l.fresh, func(e *found) bool { return e.double })
}

// part gives twins keys of their own, under the lock: they are messages like others.
// One file that was renamed while the folder was read, or has two names for a
// moment, is no twin. It says whether there were any.
func (f *Folder) part(l *look) (any bool, err error) {
	for _, t := range l.twins {
		dir, name := f.placeOf(t.f)
		var otherDir int
		var otherName string
		if t.other != nil {
			otherDir, otherName = f.placeOf(t.other)
		} else {
			r := f.ix.record(t.n)
			otherDir, otherName = f.dirOf(&r), f.ix.fileName(&r)
		}
		var st, other unix.Stat_t
		if unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || unix.Fstatat(otherDir, otherName, &other, unix.AT_SYMLINK_NOFOLLOW) != nil || st.Ino == other.Ino {
			continue
		}
		fresh := newKey()
		if t.f.colon {
			fresh += ":" + string(t.f.info)
		}
		if err := rename(dir, name, dir, fresh); err != nil && err != unix.ENOENT {
			return any, fmt.Errorf("rename one of two %s: %w", t.f.key, err)
		}
		any = true
	}
	return any, nil
}

// placeOf returns where a file was found.
func (f *Folder) placeOf(e *found) (dir int, name string) {
	name = string(e.key)
	if e.colon {
		name += ":" + string(e.info)
	}
	if e.inNew {
		return f.new, name
	}
	return f.cur, name
}

func (l *look) freshTable() *keyTable {
	return newKeyTable(len(l.fresh), func(n int) []byte { return l.fresh[n].key })
}

// missing returns the records whose files were not found.
func (f *Folder) missing(l *look) (numbers []int) {
	for n, seen := range l.seen {
		if !seen && f.ix.record(n).state&stateExpunged == 0 {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// takeUIDs gives files the UIDs that the uidlist has for them. It says whether
// the uidlist and the index agree.
func (f *Folder) takeUIDs(l *look, u *uidlist) bool {
	t := l.freshTable()
	for i := range l.fresh {
		t.add(i)
	}
	known := 0
	for _, r := range u.records {
		if i, ok := t.find(r.key); ok {
			if n := f.numberOf(r.uid); n >= 0 && f.ix.record(n).state&stateExpunged != 0 {
				l.fresh[i].uid = 0 // it is back: clients have been told that this UID, and those before, are gone
				continue
			}
			l.fresh[i].uid, l.fresh[i].crlf = r.uid, r.field('W')
		} else if l.table == nil { // only some files were looked at
			continue
		} else if n, ok := l.table.find(r.key); ok && l.seen[n] && f.ix.record(n).uid == r.uid {
			known++
		}
	}
	for _, seen := range l.seen {
		if seen {
			known--
		}
	}
	return known == 0
}
