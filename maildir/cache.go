package maildir

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"

	"golang.org/x/sys/unix"
)

// What sessions find out about messages is kept in the index: sizes and dates
// in the records, and one entry of bytes a message, whose meaning is the
// session's own business, in smail.index.cache. That begins with cacheMagic; an
// entry has its length in bytes, the message's UID and the CRC-32C of both and
// of the bytes, four bytes each, before them. Entries are only appended; what a
// record no longer points to is left out when the file is written anew.
const (
	cacheMagic = "smailch1"
	entryHead  = 12
	maxEntry   = 256 << 10
	maxLearned = 1 << 20 // bytes of entries, or
	maxFacts   = 1000    // facts, that wait to be written
	maxDead    = 1 << 20 // bytes of entries that nobody uses
)

// A fact is something that was found out about a message.
type fact struct {
	uid              uint32
	size, crlf, date int64 // -1: nothing new
	entry            []byte
}

// Learn remembers a message's size with CRLF line ends.
func (f *Folder) Learn(place int, crlf int64) {
	f.learn(f.number(place), fact{size: -1, crlf: crlf, date: -1})
}

// LearnEntry remembers bytes for a message in place of those that were there.
func (f *Folder) LearnEntry(place int, entry []byte) {
	if len(entry) <= maxEntry {
		f.learn(f.number(place), fact{size: -1, crlf: -1, date: -1, entry: entry})
	}
}

func (f *Folder) learn(n int, t fact) {
	r := f.record(n)
	known := (t.size < 0 || t.size == r.size) && (t.crlf < 0 || t.crlf == r.crlf) && (t.date < 0 || t.date == r.date)
	if known && t.entry == nil || r.state&stateExpunged != 0 || f.ix.records.fd < 0 {
		return
	}
	t.uid = r.uid
	f.learned = append(f.learned, t)
	f.learnedBytes += len(t.entry)
	if len(f.learned) >= maxFacts || f.learnedBytes >= maxLearned {
		f.Flush()
	}
}

// Entry returns what is remembered of a message; nil: nothing. It is valid
// until the folder is asked for something else.
func (f *Folder) Entry(place int) []byte {
	r := f.record(f.number(place))
	return f.ix.entry(&r)
}

// Steady says that Message and Entry may be called by several goroutines at once,
// for all messages, until anything else is.
func (f *Folder) Steady() bool {
	c, size := &f.ix.cache, f.ix.indexHeader.cache
	if !f.ix.openCache() {
		return false
	}
	if uint64(len(c.b)) < size {
		if c.need(size) != nil {
			return false
		}
		unix.Madvise(c.b[:size], unix.MADV_POPULATE_READ) // at once, not page by page; older kernels refuse
	}
	return true
}

func (ix *index) entry(r *record) []byte {
	if size := ix.indexHeader.cache; r.cache == 0 || r.cache > size || size-r.cache < entryHead || !ix.openCache() {
		return nil
	}
	if uint64(len(ix.cache.b)) < ix.indexHeader.cache && ix.cache.need(ix.indexHeader.cache) != nil {
		return nil
	}
	le := binary.LittleEndian
	head := ix.cache.b[r.cache : r.cache+entryHead]
	size := uint64(le.Uint32(head))
	if le.Uint32(head[4:]) != r.uid || r.cache+entryHead+size > ix.indexHeader.cache {
		return nil
	}
	entry := ix.cache.b[r.cache+entryHead : r.cache+entryHead+size]
	if crc32.Update(crc32.Checksum(head[:8], castagnoli()), castagnoli(), entry) != le.Uint32(head[8:]) {
		return nil
	}
	return entry
}

// openCache opens the cache that the records point into, if it is there.
func (ix *index) openCache() bool {
	if ix.cache.fd >= 0 && ix.opened == ix.cacheIno {
		return true
	}
	ix.cache.close() // another session has made it anew
	if ix.cacheIno == 0 || ix.dir < 0 {
		return false
	}
	var st unix.Stat_t
	fd, err := openRegular(ix.dir, cacheName, unix.O_RDWR, &st)
	if err != nil {
		return false
	}
	if st.Ino != ix.cacheIno || uint64(st.Size) < ix.indexHeader.cache {
		unix.Close(fd)
		return false
	}
	ix.cache.fd, ix.opened = fd, st.Ino
	return true
}

// Flush writes what was learned into the index, if nobody holds its lock.
func (f *Folder) Flush() {
	if len(f.learned) == 0 {
		return
	}
	facts := f.learned
	f.learned, f.learnedBytes = nil, 0
	if f.ix.records.fd < 0 {
		return
	}
	if f.locked > 0 {
		f.write(facts)
		return
	}
	l, err := f.store.takeLock(f.dir, uidlistLock, 0)
	if err != nil {
		return // it can be found out again
	}
	f.lock, f.locked = l, 1
	if f.meet() == nil {
		f.write(facts)
	}
	f.locked = 0
	l.release()
}

// write puts facts into the index, under the lock.
func (f *Folder) write(facts []fact) {
	slices.SortStableFunc(facts, func(a, b fact) int { return int(int64(a.uid) - int64(b.uid)) })
	facts = merge(facts)
	entries := f.appendEntries(facts)
	n := -1
	var run []byte // records behind each other, up to n
	for _, t := range facts {
		if n++; n >= int(f.ix.count) || f.ix.record(n).uid != t.uid {
			f.ix.putRun(n, run)
			run = run[:0]
			if n = f.numberOf(t.uid); n < 0 {
				continue
			}
		}
		r := f.ix.record(n)
		known(&r.size, t.size)
		known(&r.crlf, t.crlf)
		known(&r.date, t.date)
		if at := entries[t.uid]; at > 0 && t.entry != nil {
			f.ix.dead += f.ix.entrySize(&r)
			r.cache = at
		}
		run = append(run, make([]byte, recordSize)...)
		r.encode(run[len(run)-recordSize:])
	}
	f.ix.putRun(n+1, run)
	f.ix.flush()
}

// merge makes one fact of those of one message; they are in the order of UIDs,
// and the last holds.
func merge(facts []fact) []fact {
	merged := facts[:0]
	for _, t := range facts {
		n := len(merged)
		if n == 0 || merged[n-1].uid != t.uid {
			merged = append(merged, t)
			continue
		}
		m := &merged[n-1]
		known(&m.size, t.size)
		known(&m.crlf, t.crlf)
		known(&m.date, t.date)
		if t.entry != nil {
			m.entry = t.entry
		}
	}
	return merged
}

func known(field *int64, value int64) {
	if value >= 0 {
		*field = value
	}
}

// entrySize returns how many bytes of the cache a record uses.
func (ix *index) entrySize(r *record) uint64 {
	if e := ix.entry(r); e != nil {
		return uint64(len(e)) + entryHead
	}
	return 0
}

// appendEntries writes the entries of facts, and returns where they are.
func (f *Folder) appendEntries(facts []fact) map[uint32]uint64 {
	ix := f.ix
	if !slices.ContainsFunc(facts, func(t fact) bool { return t.entry != nil }) {
		return nil
	}
	if !ix.openCache() || ix.dead > maxDead && ix.dead > ix.indexHeader.cache/2 {
		if !f.newCache() {
			return nil
		}
	}
	at := map[uint32]uint64{}
	size := 0
	for _, t := range facts {
		size += entryHead + len(t.entry)
	}
	b := make([]byte, 0, size)
	for _, t := range facts {
		if t.entry != nil {
			at[t.uid] = ix.indexHeader.cache + uint64(len(b))
			b = appendEntry(b, t.uid, t.entry)
		}
	}
	if ix.cache.write(b, ix.indexHeader.cache) != nil {
		return nil
	}
	ix.indexHeader.cache += uint64(len(b))
	return at
}

func appendEntry(b []byte, uid uint32, entry []byte) []byte {
	le := binary.LittleEndian
	at := len(b)
	b = le.AppendUint32(b, uint32(len(entry)))
	b = le.AppendUint32(b, uid)
	sum := crc32.Update(crc32.Checksum(b[at:], castagnoli()), castagnoli(), entry)
	return append(le.AppendUint32(b, sum), entry...)
}

// newCache begins the cache anew, with the entries that are in use.
func (f *Folder) newCache() bool {
	ix := f.ix
	b := bytes.NewBufferString(cacheMagic)
	type place struct {
		n  int
		at uint64
	}
	var kept []place
	if ix.cache.fd >= 0 {
		for n := range int(ix.count) {
			r := ix.record(n)
			if e := ix.entry(&r); e != nil && r.state&stateExpunged == 0 {
				kept = append(kept, place{n, uint64(b.Len())})
				b.Write(appendEntry(nil, r.uid, e))
			}
		}
	}
	var st unix.Stat_t
	fd, err := replaceFile(f.dir, cacheName, b.Bytes(), &st)
	if err != nil {
		return false
	}
	ix.cache.close()
	ix.cache.fd = fd
	ix.cacheIno, ix.opened, ix.indexHeader.cache, ix.dead = st.Ino, st.Ino, uint64(b.Len()), 0
	for _, k := range kept {
		r := ix.record(k.n)
		r.cache = k.at
		ix.put(k.n, &r)
	}
	return true
}
