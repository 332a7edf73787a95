package maildir

import (
	"crypto/rand"
	"math"
	"slices"

	"golang.org/x/sys/unix"

	"smail/internal/pages"
)

// nothingKnown is the floor of an index that is to be made from nothing: of what has
// gone before it is made it says nothing.
const nothingKnown = math.MaxUint64

// emptyIndex is one of a folder that has not been looked at.
func emptyIndex() *index {
	return newBuilder(indexHeader{uidnext: 1, boot: bootTime(), floor: nothingKnown}, 0, 0).memory()
}

// startOver forgets the index, whose modseqs do not come again.
func (f *Folder) startOver() {
	next := emptyIndex()
	next.modseq = max(f.ix.modseq, f.floor())
	f.adopt(next)
}

// A builder lays out an index anew.
type builder struct {
	records []byte
	names   []byte
	header  indexHeader
	more    map[string]Flags // keywords that are not in file names, by key
}

func newBuilder(h indexHeader, records, names int) *builder {
	b := &builder{header: h}
	rand.Read(b.header.id[:])
	b.records = pages.Room[byte](headerSize + records*recordSize)[:headerSize]
	b.names = append(pages.Room[byte](names+len(b.header.id)), b.header.id[:]...)
	b.header.count, b.header.expunged, b.header.replaced = 0, 0, false
	return b
}

// add appends a record, by ascending UIDs; blob is as describe says.
func (b *builder) add(r *record, blob []byte) {
	r.name, r.nameLen = uint32(len(b.names)), uint16(len(blob))
	b.names = appendSealed(b.names, blob)
	n := len(b.records)
	b.records = slices.Grow(b.records, recordSize)[:n+recordSize]
	r.encode(b.records[n:])
	b.header.count++
	if r.state&stateExpunged != 0 {
		b.header.expunged++
	}
	b.header.uidnext = max(b.header.uidnext, r.uid+1)
}

// memory returns the index without files.
func (b *builder) memory() *index {
	b.header.names = uint64(len(b.names))
	return &index{indexHeader: b.header, dir: -1, records: mapping{fd: -1, b: b.records}, names: mapping{fd: -1, b: b.names}, cache: mapping{fd: -1}}
}

// install writes the index, under the lock, and opens it. What cannot be
// written stays in memory.
func (b *builder) install(dir int) *index {
	ix := b.memory()
	copy(b.records, ix.indexHeader.encode())
	var st unix.Stat_t
	names, err := replaceFile(dir, namesName, b.names, &st)
	if err != nil {
		return ix
	}
	records, err := replaceFile(dir, indexName, b.records, &st)
	if err != nil {
		unix.Close(names)
		return ix
	}
	disk := &index{indexHeader: ix.indexHeader, dir: dir, ino: st.Ino,
		records: mapping{fd: records}, names: mapping{fd: names}, cache: mapping{fd: -1}}
	if disk.records.need(uint64(len(b.records))) != nil || disk.names.need(uint64(len(b.names))) != nil {
		disk.close()
		return ix
	}
	return disk
}

// replaceFile writes a file of the index and renames it over the old one. It
// need not last: it can be made anew.
func replaceFile(dir int, name string, content []byte, st *unix.Stat_t) (fd int, err error) {
	tmp := name + ".tmp"
	unix.Unlinkat(dir, tmp, 0) // left over by one that was killed; the lock is ours
	fd, err = unix.Openat(dir, tmp, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return -1, err
	}
	if err = writeAll(fd, content); err == nil {
		if err = unix.Fstat(fd, st); err == nil {
			err = unix.Renameat(dir, tmp, dir, name)
		}
	}
	if err != nil {
		unix.Close(fd)
		unix.Unlinkat(dir, tmp, 0)
		return -1, err
	}
	return fd, nil
}

// keepExpunged is how many messages that are gone an index remembers; twice as
// many before it is laid out anew.
const keepExpunged = 1000

// rebuild lays the index out anew, under the lock: with more messages, which
// may belong between the others, and without those that have been gone for
// long. After a start of the machine all messages get a new modseq.
func (f *Folder) rebuild(fresh []*found) {
	old := f.ix
	started := !old.sameBoot()
	modseq := old.change()
	f.keepFloor(modseq)
	names := int(old.indexHeader.names)
	for _, e := range fresh {
		names += len(e.key) + len(e.info) + 5 // a NUL and a sum
	}
	b := newBuilder(old.indexHeader, int(old.count)+len(fresh), names)
	b.header.boot, b.more = bootTime(), f.more.of
	b.header.floor = max(old.floor, old.forgettable())
	if old.floor == nothingKnown {
		b.header.floor = modseq
	}
	for n := range int(old.count) {
		r := old.record(n)
		for len(fresh) > 0 && fresh[0].uid < r.uid {
			b.enter(fresh[0], modseq)
			fresh = fresh[1:]
		}
		if r.state&stateExpunged != 0 && r.modseq <= b.header.floor {
			continue
		}
		if started {
			r.modseq = modseq
		}
		b.add(&r, old.blob(&r))
	}
	for _, e := range fresh {
		b.enter(e, modseq)
	}
	var next *index
	if f.locked > 0 && !f.remote {
		next = b.install(f.dir)
	} else {
		next = b.memory()
	}
	old.replaced = true
	old.flush()
	f.adopt(next)
}

// enter appends the record of a file.
func (b *builder) enter(e *found, modseq uint64) {
	blob, flags, state := describe(e.key, string(e.info), e.colon)
	r := e.record(modseq)
	r.flags = flags | b.more[string(e.key)]
	r.state |= state
	b.add(&r, blob)
}

// forgettable returns the modseq up to which expunged messages are too many to
// be remembered.
func (ix *index) forgettable() uint64 {
	if ix.expunged <= 2*keepExpunged {
		return 0
	}
	var gone []uint64
	for n := range int(ix.count) {
		if r := ix.record(n); r.state&stateExpunged != 0 {
			gone = append(gone, r.modseq)
		}
	}
	if len(gone) <= keepExpunged {
		return 0
	}
	slices.Sort(gone)
	return gone[len(gone)-keepExpunged-1]
}

// compact lays out anew what has more lines of messages that are gone than of
// others, under the lock.
func (f *Folder) compact() error {
	if f.ix.expunged > 2*keepExpunged && f.ix.records.fd >= 0 {
		f.rebuild(nil)
	}
	if err := f.compactMore(); err != nil {
		return err
	}
	live := f.ix.count - f.ix.expunged
	if f.ix.uidlines < 100 || f.ix.uidlines < 2*live {
		return nil
	}
	u, err := f.uidlistNow()
	if err != nil {
		return err
	}
	n := 0
	u.records = slices.DeleteFunc(u.records, func(line uidRecord) bool {
		for n < int(f.ix.count) && f.ix.record(n).uid < line.uid {
			n++
		}
		if n == int(f.ix.count) {
			return true
		}
		r := f.ix.record(n)
		return r.uid != line.uid || r.state&stateExpunged != 0
	})
	f.ix.uidlines = uint32(len(u.records))
	if err := f.rewriteUIDList(u); err != nil {
		return err
	}
	f.ix.flush()
	return nil
}
