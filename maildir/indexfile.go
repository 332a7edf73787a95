package maildir

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// An index is that of one folder, open. In memory only it serves a session
// whose folder cannot be written to.
type index struct {
	indexHeader
	dir     int // of the folder; -1: in memory from the beginning
	ino     uint64
	broken  atomic.Bool // a record was found that its checksum does not confirm
	batch   uint64      // the modseq of the changes since the header was written; 0: none
	records mapping
	names   mapping
	cache   mapping
	opened  uint64 // the inode of the cache that is open
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
		if ix.broken.Load() || r.uid <= last || r.uid >= ix.uidnext || uint64(r.name)+uint64(r.nameLen)+4 > ix.indexHeader.names {
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
	if err := ix.readHeader(); err != nil || ix.replaced || ix.broken.Load() || int(ix.count) < before {
		return errIndex
	}
	if err := ix.names.need(ix.indexHeader.names); err != nil {
		return err
	}
	if ix.cache.fd >= 0 && ix.opened == ix.cacheIno && ix.cache.need(ix.indexHeader.cache) != nil {
		ix.cache.close() // it was cut short
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
	ix.broken.Store(true)
	return record{state: stateExpunged, size: -1, crlf: -1, date: -1}
}

// blob returns what the file of names has of a message: its key, and perhaps a
// NUL and the info. Its checksum follows it. It is valid until the index is
// read or written again.
func (ix *index) blob(r *record) []byte {
	end := uint64(r.name) + uint64(r.nameLen)
	if end+4 > uint64(len(ix.names.b)) {
		ix.broken.Store(true)
		return nil
	}
	b := ix.names.b[r.name:end:end]
	if crc32.Checksum(b, castagnoli()) != binary.LittleEndian.Uint32(ix.names.b[end:]) || bytes.IndexByte(b, '/') >= 0 {
		ix.broken.Store(true)
		return nil
	}
	return b
}

// appendSealed appends a blob and its sum.
func appendSealed(b, blob []byte) []byte {
	return binary.LittleEndian.AppendUint32(append(b, blob...), crc32.Checksum(blob, castagnoli()))
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

// putRun replaces the records ahead of number end by encoded ones.
func (ix *index) putRun(end int, run []byte) {
	if len(run) > 0 {
		ix.write(&ix.records, run, headerSize+uint64(end)*recordSize-uint64(len(run)))
	}
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
	ix.write(&ix.names, appendSealed(nil, blob), at)
	r.name, r.nameLen = uint32(at), uint16(len(blob))
	ix.indexHeader.names += uint64(len(blob)) + 4
}

// describe returns what the file of names has of a file, and what a record has.
func describe(key []byte, info string, colon bool) (blob []byte, flags Flags, state uint16) {
	if !colon {
		return key, 0, stateBare
	}
	flags, _ = parseInfo(info)
	var b [64]byte
	if string(appendInfo(b[:0], flags, "")) == info {
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
