package gate

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"smail/internal/boottime"
)

// The file of penalties is a header and buckets of entries, all of one size, in
// which the key's hash says the bucket:
//
//	magic 8 | secret 32
//	key 8 | seen 4, seconds since boot | level 1 | 0 3 | tags 4 × 2
//
// The secret keys all hashes, so that nobody can choose names that meet in one
// bucket. A tag is 15 bits of the hash of a wrong password: enough to know it
// again, too little to learn it.
const (
	penaltyMagic = "smailpn1"
	headerBytes  = 40
	entryBytes   = 24
	bucketSize   = 4
	buckets      = 2048
	tagsKept     = 4
	fileBytes    = headerBytes + buckets*bucketSize*entryBytes
)

const (
	maxLevel  = 8
	decay     = time.Minute // for one level
	freeTries = 1           // wrong passwords that cost nothing yet
	siteTries = 3           // and of a whole site, which may be many people
	maxSource = 15 * time.Second
	maxName   = 4 * time.Second // a name waits little: its owner may be the one who waits
)

// Penalties is the file, open and locked.
type Penalties struct {
	f      *os.File
	secret []byte
	now    uint32
}

// OpenPenalties opens the file and waits for its lock. One that is not a file of
// penalties is begun anew.
func OpenPenalties(path string) (*Penalties, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	p := &Penalties{f: f, now: uint32(boottime.Now() / time.Second)}
	if err := p.load(); err != nil {
		f.Close()
		return nil, err
	}
	return p, nil
}

func (p *Penalties) load() error {
	if err := syscall.Flock(int(p.f.Fd()), syscall.LOCK_EX); err != nil {
		return os.NewSyscallError("flock", err)
	}
	info, err := p.f.Stat()
	if err != nil {
		return err
	}
	header := make([]byte, headerBytes)
	if _, err := p.f.ReadAt(header, 0); err != nil && err != io.EOF {
		return err
	}
	if info.Size() != fileBytes || !bytes.HasPrefix(header, []byte(penaltyMagic)) {
		copy(header, penaltyMagic)
		rand.Read(header[len(penaltyMagic):])
		if err := p.f.Truncate(0); err != nil {
			return err
		}
		// With all its pages: what is entered later must find room in a full /run.
		if _, err := p.f.WriteAt(make([]byte, fileBytes), 0); err != nil {
			return err
		}
		if _, err := p.f.WriteAt(header, 0); err != nil {
			return err
		}
	}
	p.secret = header[len(penaltyMagic):]
	return nil
}

// Close lets go of the file.
func (p *Penalties) Close() error { return p.f.Close() }

// An entry is what one network, or one name, has against it.
type entry struct {
	key   uint64
	seen  uint32
	level byte
	tags  [tagsKept]uint16 // the newest first
}

// hash is keyed by the file's secret; kinds keep networks, names and passwords apart.
func (p *Penalties) hash(kind string, parts ...[]byte) uint64 {
	h := hmac.New(sha256.New, p.secret)
	fmt.Fprintf(h, "%s\x00", kind)
	for _, part := range parts {
		fmt.Fprintf(h, "%d\x00", len(part))
		h.Write(part)
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}

func (p *Penalties) ofNetwork(addr netip.Addr) uint64 {
	return p.hash("network", []byte(Network(addr).String()))
}

func (p *Penalties) ofSite(site netip.Prefix) uint64 { return p.hash("site", []byte(site.String())) }

func (p *Penalties) ofName(name string) uint64 { return p.hash("name", []byte(name)) }

// bucket reads the entries among which a key's is, their levels as of now.
func (p *Penalties) bucket(key uint64) (list [bucketSize]entry, offset int64, err error) {
	var b [bucketSize * entryBytes]byte
	offset = headerBytes + int64(key%buckets)*int64(len(b))
	if n, err := p.f.ReadAt(b[:], offset); n < len(b) {
		return list, 0, fmt.Errorf("penalties: %w", err)
	}
	for i := range list {
		e, d := &list[i], b[i*entryBytes:]
		e.key, e.seen, e.level = binary.BigEndian.Uint64(d), binary.BigEndian.Uint32(d[8:]), min(d[12], maxLevel)
		for j := range e.tags {
			e.tags[j] = binary.BigEndian.Uint16(d[16+2*j:])
		}
		if e.seen > p.now { // of no boot of ours
			*e = entry{}
		}
		passed := (p.now - e.seen) / uint32(decay/time.Second)
		e.seen += passed * uint32(decay/time.Second)
		e.level -= byte(min(passed, uint32(e.level)))
	}
	return list, offset, nil
}

func (p *Penalties) find(key uint64) (e entry, offset int64, err error) {
	list, offset, err := p.bucket(key)
	if err != nil {
		return entry{}, 0, err
	}
	best := 0
	for i, e := range list {
		if e.key == key {
			return e, offset + int64(i)*entryBytes, nil
		}
		if e.level < list[best].level || e.level == list[best].level && e.seen < list[best].seen {
			best = i
		}
	}
	return entry{key: key}, offset + int64(best)*entryBytes, nil
}

// Wait returns how long a password from a network waits before it is checked, and
// one for a name: what both have against them.
func (p *Penalties) Wait(addr netip.Addr, name string) (network, ofName time.Duration, err error) {
	n, _, err := p.find(p.ofNetwork(addr))
	if err != nil {
		return 0, 0, err
	}
	network = n.wait(freeTries)
	if site, ok := Site(addr); ok {
		s, _, err := p.find(p.ofSite(site))
		if err != nil {
			return 0, 0, err
		}
		network = max(network, s.wait(siteTries))
	}
	m, _, err := p.find(p.ofName(name))
	return min(network, maxSource), min(m.wait(freeTries), maxName), err
}

// wait doubles with each wrong password beyond those that are free, from a second on.
func (e *entry) wait(free byte) time.Duration {
	if e.level <= free {
		return 0
	}
	return time.Second << (e.level - free - 1)
}

// Failed enters a wrong password. The same for the same name again, as a phone
// sends that has not heard of a change, adds nothing.
func (p *Penalties) Failed(addr netip.Addr, name string, password []byte) error {
	tag := uint16(p.hash("password", []byte(name), password)) | 1 // 0 is no tag
	if err := p.add(p.ofNetwork(addr), tag); err != nil {
		return err
	}
	if site, ok := Site(addr); ok {
		if err := p.add(p.ofSite(site), tag); err != nil {
			return err
		}
	}
	return p.add(p.ofName(name), tag)
}

func (p *Penalties) add(key uint64, tag uint16) error {
	e, offset, err := p.find(key)
	if err != nil {
		return err
	}
	if e.level == 0 {
		e.seen = p.now
	}
	if !slices.Contains(e.tags[:], tag) {
		e.level = min(e.level+1, maxLevel)
		copy(e.tags[1:], e.tags[:])
		e.tags[0] = tag
	}
	var b [entryBytes]byte
	binary.BigEndian.PutUint64(b[:], e.key)
	binary.BigEndian.PutUint32(b[8:], e.seen)
	b[12] = e.level
	for j, t := range e.tags {
		binary.BigEndian.PutUint16(b[16+2*j:], t)
	}
	_, err = p.f.WriteAt(b[:], offset)
	return err
}
