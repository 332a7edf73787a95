package maildir

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"smail/internal/boottime"
)

// The index of a folder remembers what reading the folder showed, so that it
// is opened without reading it again. Everything in it can be found out anew:
// anybody may delete it at any time. Three files lie beside the uidlist:
//
//	smail.index        a header and a record per message, by ascending UID
//	smail.index.names  the messages' file names, which the records point into
//	smail.index.cache  what sessions know of messages; see cache.go
//
// All numbers are little-endian. The header has headerSize bytes and ends with
// the CRC-32C of what is before it; so has each record, in recordSize bytes.
// Whoever holds the lock of the uidlist writes: names, then records, then the
// header, each in place. Readers map the records, take no lock, and believe
// only what its checksum confirms. A file that must be laid out anew is made
// beside the old one and renamed over it; the old one's header then says
// "replaced" to those who have it mapped.
//
// Records of expunged messages stay for a while: they are the log from which a
// client that comes back learns what is gone (RFC 7162 section 3.2.10).
//
// A modification sequence is the time of the change in microseconds since
// 1970, or one more than the last where that is larger: it never goes
// backwards, even if the index is lost. A machine that stops suddenly may have
// lost changes of the index: after its start all messages get a new one.
const (
	indexName = "smail.index"
	namesName = "smail.index.names"
	cacheName = "smail.index.cache"

	headerSize   = 256
	recordSize   = 64
	indexMagic   = "smailidx"
	indexVersion = 1

	maxRecords = 1 << 26
	maxNames   = 1<<32 - 1 // bytes
)

// errIndex says that an index is not to be used.
var errIndex = errors.New("index is of no use")

// castagnoli is made when it is first wanted: a tenth of a start.
var castagnoli = sync.OnceValue(func() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) })

// An indexHeader is what is known of the folder as a whole.
type indexHeader struct {
	id          [16]byte // of the index, the same in the file of names
	replaced    bool
	uidvalidity uint32
	uidnext     uint32
	count       uint32 // records
	expunged    uint32 // those of them whose message is gone
	expunges    uint32 // how often that has happened
	modseq      uint64 // HIGHESTMODSEQ
	floor       uint64 // the records of messages that went up to this modseq are gone too
	boot        int64  // when the machine was started, Unix seconds
	stamps      [2]dirStamp
	uidlist     fileStamp
	uidlines    uint32 // records in the uidlist
	uidls       bool   // some of them say what POP3 clients know a message by
	guids       bool   // some of them have a GUID that is not the key
	names       uint64 // bytes of the file of names that count
	cacheIno    uint64 // the inode of the cache that the records point into
	cache       uint64 // bytes of it that count
	dead        uint64 // those of them that no record points to
}

// A dirStamp is when a directory (cur, new) was last changed, and whether that
// is surely before it was read: a change within the clock's granularity would
// not show.
type dirStamp struct {
	mtime   int64 // nanoseconds
	settled bool
}

// A fileStamp tells one version of a file from another.
type fileStamp struct {
	ino   uint64
	size  int64
	mtime int64 // nanoseconds
}

func stampOf(st *unix.Stat_t) fileStamp { return fileStamp{st.Ino, st.Size, st.Mtim.Nano()} }

// States of a record.
const (
	stateNew      = 1 << iota // the file is in new/
	stateExpunged             // it is gone
	stateBare                 // its name has no ":"
	stateVerbatim             // its info is not as we write it: the names have it
)

// A record is what the index has of one message.
type record struct {
	uid     uint32
	state   uint16
	nameLen uint16
	flags   Flags
	size    int64 // bytes of the file; -1: not known
	crlf    int64 // bytes with CRLF line ends; -1: not known
	date    int64 // INTERNALDATE, Unix seconds; -1: not known
	modseq  uint64
	cache   uint64 // offset of what the cache has of it; 0: nothing
	name    uint32 // offset of its key, perhaps with the info behind a NUL
}

func (r *record) encode(b []byte) {
	le := binary.LittleEndian
	le.PutUint32(b[0:], r.uid)
	le.PutUint16(b[4:], r.state)
	le.PutUint16(b[6:], r.nameLen)
	le.PutUint64(b[8:], uint64(r.flags))
	le.PutUint64(b[16:], uint64(r.size))
	le.PutUint64(b[24:], uint64(r.crlf))
	le.PutUint64(b[32:], uint64(r.date))
	le.PutUint64(b[40:], r.modseq)
	le.PutUint64(b[48:], r.cache)
	le.PutUint32(b[56:], r.name)
	le.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli()))
}

func (r *record) decode(b []byte) bool {
	le := binary.LittleEndian
	r.uid = le.Uint32(b[0:])
	r.state = le.Uint16(b[4:])
	r.nameLen = le.Uint16(b[6:])
	r.flags = Flags(le.Uint64(b[8:]))
	r.size = int64(le.Uint64(b[16:]))
	r.crlf = int64(le.Uint64(b[24:]))
	r.date = int64(le.Uint64(b[32:]))
	r.modseq = le.Uint64(b[40:])
	r.cache = le.Uint64(b[48:])
	r.name = le.Uint32(b[56:])
	return crc32.Checksum(b[:60], castagnoli()) == le.Uint32(b[60:])
}

func (h *indexHeader) encode() []byte {
	b := make([]byte, headerSize)
	le := binary.LittleEndian
	copy(b, indexMagic)
	le.PutUint32(b[8:], indexVersion)
	le.PutUint32(b[12:], recordSize)
	copy(b[16:], h.id[:])
	b[32] = flagByte(h.replaced)
	b[33] = flagByte(h.stamps[0].settled)
	b[34] = flagByte(h.stamps[1].settled)
	b[35] = flagByte(h.uidls) | flagByte(h.guids)<<1
	for i, v := range []uint32{h.uidvalidity, h.uidnext, h.count, h.expunged, h.expunges, h.uidlines} {
		le.PutUint32(b[36+4*i:], v)
	}
	for i, v := range []uint64{h.modseq, h.floor, uint64(h.boot), uint64(h.stamps[0].mtime), uint64(h.stamps[1].mtime),
		h.uidlist.ino, uint64(h.uidlist.size), uint64(h.uidlist.mtime), h.names, h.cacheIno, h.cache, h.dead} {
		le.PutUint64(b[64+8*i:], v)
	}
	le.PutUint32(b[headerSize-4:], crc32.Checksum(b[:headerSize-4], castagnoli()))
	return b
}

func (h *indexHeader) decode(b []byte) bool {
	le := binary.LittleEndian
	if len(b) != headerSize || string(b[:8]) != indexMagic || le.Uint32(b[8:]) != indexVersion || le.Uint32(b[12:]) != recordSize ||
		crc32.Checksum(b[:headerSize-4], castagnoli()) != le.Uint32(b[headerSize-4:]) {
		return false
	}
	copy(h.id[:], b[16:])
	h.replaced = b[32] != 0
	h.stamps[0].settled = b[33] != 0
	h.stamps[1].settled = b[34] != 0
	h.uidls, h.guids = b[35]&1 != 0, b[35]&2 != 0
	for i, p := range []*uint32{&h.uidvalidity, &h.uidnext, &h.count, &h.expunged, &h.expunges, &h.uidlines} {
		*p = le.Uint32(b[36+4*i:])
	}
	var boot, curTime, newTime, size, mtime uint64
	for i, p := range []*uint64{&h.modseq, &h.floor, &boot, &curTime, &newTime,
		&h.uidlist.ino, &size, &mtime, &h.names, &h.cacheIno, &h.cache, &h.dead} {
		*p = le.Uint64(b[64+8*i:])
	}
	h.boot, h.stamps[0].mtime, h.stamps[1].mtime = int64(boot), int64(curTime), int64(newTime)
	h.uidlist.size, h.uidlist.mtime = int64(size), int64(mtime)
	return h.count <= maxRecords && h.names <= maxNames && h.uidvalidity != 0 && h.uidnext != 0
}

func flagByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// nextModSeq returns a modseq for a change that is being made.
func (h *indexHeader) nextModSeq() uint64 {
	h.modseq = max(h.modseq+1, uint64(now().UnixMicro()))
	return h.modseq
}

// bootSlack is by how much the time of one boot may seem to differ, for the
// clock is set now and then.
const bootSlack = 60

// bootTime returns when the machine was started, Unix seconds.
func bootTime() int64 {
	return now().Unix() - int64(boottime.Now()/time.Second)
}

// sameBoot says whether the machine has not been started since the index was written.
func (h *indexHeader) sameBoot() bool {
	d := h.boot - bootTime()
	return d >= -bootSlack && d <= bootSlack
}
