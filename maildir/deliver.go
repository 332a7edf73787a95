package maildir

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A Delivery is a message on its way into a folder. Nobody sees it before
// Commit; a crash leaves a file in tmp/, which everybody may remove after 36
// hours by Maildir's rules.
type Delivery struct {
	folder  *Folder
	file    *os.File
	key     string
	size    int64 // as stored
	crlf    int64 // with CRLF line ends
	pairs   int64 // line ends that came as CRLF
	last    byte  // as stored
	heldCR  bool  // a CR that may be half of a line's end
	written int64 // in the file, of which the disk was given the first sent
	sent    int64
	buf     *[deliveryBuffer]byte // from buffers
	held    int                   // bytes in it
	tmpName string
	done    bool
}

// NewDelivery begins a message. The folder need not be one that was opened for
// changes.
func (f *Folder) NewDelivery() (*Delivery, error) {
	d := &Delivery{folder: f, key: newKey()}
	d.tmpName = d.key
	if f.tmp < 0 {
		tmp, err := unix.Openat(f.dir, "tmp", openDir, 0)
		if err != nil {
			return nil, fmt.Errorf("open tmp: %w", err)
		}
		f.tmp = tmp
	}
	fd, err := unix.Openat(f.tmp, d.tmpName, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create tmp/%s: %w", d.tmpName, err)
	}
	d.file = os.NewFile(uintptr(fd), d.tmpName)
	return d, nil
}

// Write takes a part of the message. CRLF is stored as LF, as the MTA does.
func (d *Delivery) Write(p []byte) (int, error) {
	n := len(p)
	if d.heldCR && n > 0 {
		d.heldCR = false
		if p[0] != '\n' || d.last == '\r' {
			if err := d.store([]byte{'\r'}); err != nil {
				return 0, err
			}
		} else {
			d.pairs++
		}
	}
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\r')
		if i < 0 {
			return n, d.store(p)
		}
		if err := d.store(p[:i]); err != nil {
			return 0, err
		}
		p = p[i:]
		switch {
		case len(p) == 1:
			d.heldCR = true
			p = nil
		case p[1] == '\n' && d.last != '\r': // CR CR LF has a CR of its own
			d.pairs++
			p = p[1:]
		default:
			if err := d.store(p[:1]); err != nil {
				return 0, err
			}
			p = p[1:]
		}
	}
	return n, nil
}

// BareLF says whether the message has line ends that were not CRLF. They are not
// told from those that were, and are CRLF when the message is read.
func (d *Delivery) BareLF() bool { return d.crlf-d.size != d.pairs }

// store takes bytes as they are to be stored. In p a CR stands only alone.
func (d *Delivery) store(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	d.size += int64(len(p))
	d.crlf += int64(len(p) + bytes.Count(p, []byte{'\n'}))
	if p[0] == '\n' && d.last == '\r' {
		d.crlf--
	}
	d.last = p[len(p)-1]
	if d.held+len(p) > deliveryBuffer {
		if err := d.flush(); err != nil {
			return err
		}
	}
	if len(p) >= deliveryBuffer {
		return d.write(p)
	}
	if d.buf == nil {
		d.buf = buffers.Get().(*[deliveryBuffer]byte)
	}
	d.held += copy(d.buf[d.held:], p)
	return nil
}

// deliveryBuffer is written at once.
const deliveryBuffer = 64 << 10

// buffers keeps some for the next message: each new one would be cleared, and
// collected.
var buffers = sync.Pool{New: func() any { return new([deliveryBuffer]byte) }}

func (d *Delivery) flush() error {
	if d.held == 0 {
		return nil
	}
	err := d.write(d.buf[:d.held])
	d.held = 0
	return err
}

// letGo gives the buffer back.
func (d *Delivery) letGo() {
	if d.buf != nil {
		buffers.Put(d.buf)
		d.buf, d.held = nil, 0
	}
}

func (d *Delivery) write(p []byte) error {
	n, err := d.file.Write(p)
	if d.written += int64(n); d.written-d.sent >= earlySync && d.folder.store.fsync != Never {
		unix.SyncFileRange(int(d.file.Fd()), d.sent, d.written-d.sent, unix.SYNC_FILE_RANGE_WRITE)
		d.sent = d.written
	}
	return err
}

// earlySync is from how many bytes on the disk begins to take a message that is
// still coming.
const earlySync = 4 << 20

// Abort removes what was written, unless it was committed.
func (d *Delivery) Abort() {
	if d.done {
		return
	}
	d.done = true
	d.letGo()
	d.file.Close()
	unix.Unlinkat(d.folder.tmp, d.tmpName, 0)
}

// Commit puts the message into the folder and returns its UID.
func (d *Delivery) Commit(flags Flags, date time.Time) (uid uint32, err error) {
	return d.folder.Commit([]Committed{{d, flags, date}})
}

// A Committed is a message that goes into a folder, with what it has there. A
// Date of zero is now.
type Committed struct {
	*Delivery
	Flags Flags
	Date  time.Time
}

// Commit puts messages into the folder, all or none, and returns the UID of the
// first; each has the next. The order makes a crash at any point lose nothing
// that was acknowledged and use no UID twice: data, UID, name, each on the disk
// before the next.
func (f *Folder) Commit(all []Committed) (first uint32, err error) {
	total := int64(0)
	keys := make([][]byte, len(all))
	for i, c := range all {
		defer c.Abort()
		if err := c.settle(c.Date); err != nil {
			return 0, err
		}
		total += c.size
		keys[i] = []byte(c.key)
	}
	if err := f.store.makeRoom(total, int64(len(all))); err != nil {
		return 0, err
	}
	var together func() error
	if total > smallDelivery {
		if err := syncAll(all); err != nil {
			return 0, err
		}
	} else if f.store.fsync != Never {
		together = func() error { return syncAll(all) }
	}
	err = f.withLock(func() (err error) {
		if together != nil {
			for _, c := range all {
				unix.SyncFileRange(int(c.file.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
			}
		}
		if first, err = f.addUIDs(keys, nil, together); err != nil {
			return err
		}
		return f.changing(func() error { return f.showAll(all, first) })
	})
	if err == nil {
		f.store.charge(total, int64(len(all)))
	}
	f.see()
	return first, err
}

func syncAll(all []Committed) error {
	for _, c := range all {
		if err := c.sync(); err != nil {
			return err
		}
	}
	return nil
}

// showAll gives messages their names, all or none.
func (f *Folder) showAll(all []Committed, first uint32) error {
	shown := 0
	err := func() error {
		for _, c := range all {
			if err := c.show(f.cur, joinName(c.key, c.Flags, "")); err != nil {
				return err
			}
			shown++
		}
		return f.syncDir(f.cur)
	}()
	if err != nil {
		for _, c := range all[:shown] {
			unix.Unlinkat(f.cur, joinName(c.key, c.Flags, ""), 0)
		}
		return err
	}
	for i, c := range all {
		r := record{uid: first + uint32(i), flags: c.Flags, size: c.size, crlf: c.crlf, date: -1}
		if !c.Date.IsZero() {
			r.date = c.Date.Unix()
		}
		f.insert(&r, []byte(c.key), joinName(c.key, c.Flags, "")[len(c.key)+1:])
	}
	return nil
}

// Room says whether the quota has room for the message: EDQUOT where it has none.
func (d *Delivery) Room() error { return d.folder.store.makeRoom(d.size, 1) }

// CommitNew puts the message into new/, as an MTA does: it gets its UID when
// somebody looks. It counts, and is not held to the quota: see Room.
func (d *Delivery) CommitNew() error {
	defer d.Abort()
	if err := d.settle(time.Time{}); err != nil {
		return err
	}
	if err := d.sync(); err != nil {
		return err
	}
	if err := d.show(d.folder.new, d.key); err != nil {
		return err
	}
	d.folder.store.charge(d.size, 1)
	return d.folder.syncDir(d.folder.new)
}

// smallDelivery is made to last while the folder is locked: that of a larger
// one would hold others up.
const smallDelivery = 256 << 10

// sync makes the message's bytes last.
func (d *Delivery) sync() error {
	if d.folder.store.fsync == Never {
		return nil
	}
	return fsync(int(d.file.Fd()))
}

// settle writes the rest of the message, and makes its key final.
func (d *Delivery) settle(date time.Time) error {
	if d.heldCR {
		if err := d.store([]byte{'\r'}); err != nil {
			return err
		}
	}
	err := d.flush()
	d.letGo()
	if err != nil {
		return err
	}
	if !date.IsZero() {
		tv := []unix.Timeval{unix.NsecToTimeval(now().UnixNano()), unix.NsecToTimeval(date.UnixNano())}
		if err := unix.Futimes(int(d.file.Fd()), tv); err != nil {
			return fmt.Errorf("set date: %w", err)
		}
	}
	d.key = fmt.Sprintf("%s,S=%d,W=%d", d.key, d.size, d.crlf)
	return nil
}

// show gives the message its name in cur or new.
func (d *Delivery) show(dir int, name string) error {
	if err := rename(d.folder.tmp, d.tmpName, dir, name); err != nil {
		return fmt.Errorf("rename %s: %w", name, err)
	}
	d.done = true
	d.file.Close()
	return nil
}
