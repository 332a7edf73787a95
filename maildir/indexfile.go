package maildir

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"golang.org/x/sys/unix"
)

// A mapping is a file mapped for reading, or bytes in memory. While it is held,
// what is written stays in memory.
type mapping struct {
	fd     int // -1: in memory only
	b      []byte
	mapped []byte // what b was before it was held
	held   bool
	lo, hi uint64 // what was written since
}

// hold gathers what is written until release: many small changes of a large
// batch become one write. size is how much of the file counts.
func (m *mapping) hold(size uint64) {
	if m.fd >= 0 && !m.held && size <= uint64(len(m.b)) {
		m.mapped, m.b, m.held, m.lo, m.hi = m.b, bytes.Clone(m.b[:size]), true, size, 0
	}
}

// release writes what was held back. Where that fails it is still held.
func (m *mapping) release() error {
	if !m.held {
		return nil
	}
	m.held = false
	if m.lo < m.hi {
		if err := m.write(m.b[m.lo:m.hi], m.lo); err != nil {
			m.held = true
			return err
		}
	}
	m.b, m.mapped = m.mapped, nil
	return nil
}

// need makes at least n bytes readable. What was read of it before may be
// unmapped.
func (m *mapping) need(n uint64) error {
	if m.fd < 0 || m.held {
		if uint64(len(m.b)) < n {
			return errIndex
		}
		return nil
	}
	var st unix.Stat_t
	if unix.Fstat(m.fd, &st) != nil || uint64(st.Size) < n {
		return errIndex
	}
	if n <= uint64(len(m.b)) {
		return nil
	}
	// Room to grow: what is behind the end becomes readable when it is written.
	b, err := unix.Mmap(m.fd, 0, int(n+n/2+64<<10), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map index: %w", err)
	}
	m.unmap()
	m.b = b
	return nil
}

func (m *mapping) unmap() {
	if m.held {
		m.b, m.held = m.mapped, false
	}
	if m.fd >= 0 && m.b != nil {
		unix.Munmap(m.b)
	}
	m.b = nil
}

func (m *mapping) close() {
	m.unmap()
	if m.fd >= 0 {
		unix.Close(m.fd)
	}
	m.fd = -1
}

// write puts b at an offset; in memory it may go to the end, and grows it.
func (m *mapping) write(b []byte, at uint64) error {
	if m.fd < 0 || m.held {
		if short := int(at) + len(b) - len(m.b); short > 0 {
			m.b = append(m.b, make([]byte, short)...)
		}
		copy(m.b[at:], b)
		m.lo, m.hi = min(m.lo, at), max(m.hi, at+uint64(len(b)))
		return nil
	}
	for len(b) > 0 {
		n, err := unix.Pwrite(m.fd, b, int64(at))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("write index: %w", err)
		}
		b, at = b[n:], at+uint64(n)
	}
	return nil
}

// An index is that of one folder, open. In memory only it serves a session
// whose folder cannot be written to.
type index struct {
	indexHeader
	dir     int // of the folder; -1: in memory from the beginning
	ino     uint64
	broken  bool   // a record was found that its checksum does not confirm
	batch   uint64 // the modseq of the changes since the header was written; 0: none
	records mapping
	names   mapping
	cache   mapping
}

// openIndex opens the index of a folder. errIndex: there is none that can be
// used.
func openIndex(dir int) (*index, error) {
	for range 5 { // it may be replaced between opening and reading
		ix := &index{dir: dir, names: mapping{fd: -1}, cache: mapping{fd: -1}}
		var st unix.Stat_t
		var err error
		if ix.records.fd, err = openRegular(dir, indexName, unix.O_RDWR, &st); err != nil {
			return nil, err
		}
		ix.ino = st.Ino
		err = ix.readHeader()
		if err == nil && !ix.replaced {
			if err = ix.openParts(dir); err == nil {
				return ix, nil
			}
		}
		ix.close()
		if err != nil {
			return nil, err
		}
	}
	return nil, errIndex
}

// openRegular opens a regular file of a folder without following links or
// waiting: whoever made it, it is this folder's, and no FIFO or device.
func openRegular(dir int, name string, flags int, st *unix.Stat_t) (int, error) {
	flags |= unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC | unix.O_NOCTTY
	fd, err := unix.Openat2(dir, name, &unix.OpenHow{Flags: uint64(flags), Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS})
	if err == unix.ENOSYS || err == unix.EPERM { // before Linux 5.6, or filtered
		fd, err = unix.Openat(dir, name, flags, 0)
	}
	if err != nil {
		return -1, err
	}
	if unix.Fstat(fd, st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		unix.Close(fd)
		return -1, errIndex
	}
	return fd, nil
}

// readHeader reads the header anew; once more if it is just being written.
func (ix *index) readHeader() error {
	b := make([]byte, headerSize)
	for range 20 {
		if n, err := unix.Pread(ix.records.fd, b, 0); err != nil || n != headerSize {
			return errIndex
		}
		if ix.indexHeader.decode(b) {
			ix.batch = 0
			return ix.records.need(headerSize + uint64(ix.count)*recordSize)
		}
		time.Sleep(20 * time.Microsecond)
	}
	return errIndex
}

func (ix *index) openParts(dir int) (err error) {
	var st unix.Stat_t
	if ix.names.fd, err = openRegular(dir, namesName, unix.O_RDWR, &st); err != nil {
		return errIndex
	}
	if err := ix.names.need(max(ix.indexHeader.names, uint64(len(ix.id)))); err != nil {
		return err
	}
	if !bytes.Equal(ix.names.b[:len(ix.id)], ix.id[:]) {
		return errIndex
	}
	return ix.check(0)
}

// check looks whether the records from a number on are whole and in order.
func (ix *index) check(from int) error {
	last := uint32(0)
	var r record
	if from > 0 {
		r = ix.record(from - 1)
		last = r.uid
	}
	for n := from; n < int(ix.count); n++ {
		if !r.decode(ix.at(n)) {
			r = ix.record(n)
		}
		if ix.broken || r.uid <= last || r.uid >= ix.uidnext || uint64(r.name)+uint64(r.nameLen)+4 > ix.indexHeader.names {
			return errIndex
		}
		last = r.uid
	}
	return nil
}

// reload reads what others have written since.
func (ix *index) reload() error {
	if ix.records.fd < 0 {
		return nil
	}
	before := int(ix.count)
	if err := ix.readHeader(); err != nil || ix.replaced || ix.broken || int(ix.count) < before {
		return errIndex
	}
	if err := ix.names.need(ix.indexHeader.names); err != nil {
		return err
	}
	return ix.check(before)
}

func (ix *index) close() {
	ix.records.close()
	ix.names.close()
	ix.cache.close()
}

func (ix *index) at(n int) []byte {
	off := headerSize + n*recordSize
	return ix.records.b[off : off+recordSize]
}

// record returns one; a message that cannot be read counts as gone until the
// index is made anew.
func (ix *index) record(n int) (r record) {
	for range 100 {
		if r.decode(ix.at(n)) {
			return r
		}
		time.Sleep(20 * time.Microsecond) // it is just being written
	}
	ix.broken = true
	return record{state: stateExpunged, size: -1, crlf: -1, date: -1}
}

// blob returns what the file of names has of a message: its key, and perhaps a
// NUL and the info. Its checksum follows it. It is valid until the index is
// read or written again.
func (ix *index) blob(r *record) []byte {
	end := uint64(r.name) + uint64(r.nameLen)
	if end+4 > uint64(len(ix.names.b)) {
		ix.broken = true
		return nil
	}
	b := ix.names.b[r.name:end:end]
	if crc32.Checksum(b, castagnoli) != binary.LittleEndian.Uint32(ix.names.b[end:]) || bytes.IndexByte(b, '/') >= 0 {
		ix.broken = true
		return nil
	}
	return b
}

func sealed(blob []byte) []byte {
	return binary.LittleEndian.AppendUint32(blob[:len(blob):len(blob)], crc32.Checksum(blob, castagnoli))
}

// key returns what stays of a message's file name, as blob does.
func (ix *index) key(r *record) []byte {
	key, _, _ := bytes.Cut(ix.blob(r), []byte{0})
	return key
}

// info returns what is behind the colon of a name that is not as we would
// write it.
func (ix *index) info(r *record) string {
	_, info, _ := bytes.Cut(ix.blob(r), []byte{0})
	return string(info)
}

// fileName returns the name of a message's file.
func (ix *index) fileName(r *record) string {
	key := string(ix.key(r))
	switch {
	case r.state&stateVerbatim != 0:
		return key + ":" + ix.info(r)
	case r.state&stateBare != 0:
		return key
	}
	return joinName(key, r.flags, "")
}

// write puts bytes into one of the files, under the lock. Where that fails,
// the session goes on in memory, and the others with an index made anew.
func (ix *index) write(m *mapping, b []byte, at uint64) {
	if m.write(b, at) == nil && m.need(at+uint64(len(b))) == nil {
		return
	}
	unix.Unlinkat(ix.dir, indexName, 0)
	ix.detach()
	m.write(b, at)
}

// put replaces a record.
func (ix *index) put(n int, r *record) {
	var b [recordSize]byte
	r.encode(b[:])
	ix.write(&ix.records, b[:], headerSize+uint64(n)*recordSize)
}

// setName gives a record the name that its file has now.
func (ix *index) setName(r *record, key []byte, info string, colon bool) {
	blob, flags, state := describe(key, info, colon)
	r.flags = flags | r.flags&moreFlags
	r.state = r.state&(stateNew|stateExpunged) | state
	if r.nameLen != 0 && bytes.Equal(ix.blob(r), blob) {
		return
	}
	at := ix.indexHeader.names
	ix.write(&ix.names, sealed(blob), at)
	r.name, r.nameLen = uint32(at), uint16(len(blob))
	ix.indexHeader.names += uint64(len(blob)) + 4
}

// describe returns what the file of names has of a file, and what a record has.
func describe(key []byte, info string, colon bool) (blob []byte, flags Flags, state uint16) {
	if !colon {
		return key, 0, stateBare
	}
	flags, _ = parseInfo(info)
	if joinName("", flags, "")[1:] == info {
		return key, flags, 0
	}
	blob = append(append(bytes.Clone(key), 0), info...)
	return blob, flags, stateVerbatim
}

// add appends a record whose name was set.
func (ix *index) add(r *record) {
	ix.put(int(ix.count), r)
	ix.count++
	ix.uidnext = max(ix.uidnext, r.uid+1)
}

// change returns the modseq for a change that is being made: those between two
// writings of the header share one.
func (ix *index) change() uint64 {
	if ix.batch == 0 {
		ix.batch = ix.nextModSeq()
	}
	return ix.batch
}

// hold gathers what is written until the next flush.
func (ix *index) hold() {
	ix.records.hold(headerSize + uint64(ix.count)*recordSize)
	ix.names.hold(ix.indexHeader.names)
}

// flush writes the header, which makes the changes before it known.
func (ix *index) flush() {
	ix.batch = 0
	if ix.names.release() != nil || ix.records.release() != nil ||
		ix.names.need(ix.indexHeader.names) != nil || ix.records.need(headerSize+uint64(ix.count)*recordSize) != nil {
		unix.Unlinkat(ix.dir, indexName, 0)
		ix.detach()
	}
	if ix.records.fd >= 0 {
		ix.write(&ix.records, ix.indexHeader.encode(), 0)
	}
}

// emptyIndex is one of a folder that has not been looked at.
func emptyIndex() *index {
	return newBuilder(indexHeader{uidnext: 1, boot: bootTime()}, 0, 0).memory()
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
	b.records = make([]byte, headerSize, headerSize+records*recordSize)
	b.names = append(make([]byte, 0, names+len(b.header.id)), b.header.id[:]...)
	b.header.count, b.header.expunged, b.header.replaced = 0, 0, false
	return b
}

// add appends a record, by ascending UIDs; blob is as describe says.
func (b *builder) add(r *record, blob []byte) {
	r.name, r.nameLen = uint32(len(b.names)), uint16(len(blob))
	b.names = append(b.names, sealed(blob)...)
	b.records = append(b.records, make([]byte, recordSize)...)
	r.encode(b.records[len(b.records)-recordSize:])
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

// detach makes a session go on with an index in memory, where the files cannot
// be written.
func (ix *index) detach() {
	if ix.records.fd < 0 {
		return
	}
	records := bytes.Clone(ix.records.b[:headerSize+int(ix.count)*recordSize])
	names := bytes.Clone(ix.names.b[:ix.indexHeader.names])
	ix.close()
	ix.records.b, ix.names.b = records, names
}
