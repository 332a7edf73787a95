package maildir

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"smail/internal/pages"
)

// The UIDs of a folder are in dovecot-uidlist, the file that Dovecot uses, so
// that one server can take the other's place, or both serve one Maildir:
//
//	3 V1800000000 N5 G3085f01b7f11094c501100008c4a11c1
//	1 :1700000000.M1P1.host,S=120,W=124
//	3 W125 P0123uidl :1700000002.M1P1.host
//
// The header has UIDVALIDITY (V), the next UID (N, which may lag behind: one
// more than the last line's counts too), a GUID of the folder (G), and perhaps
// more, which is kept. A line has a UID, fields of one capital letter and a
// value, and a file name up to its ":2,". UIDs ascend. Lines of messages that
// are gone stay until the file is rewritten.
//
// It is read without a lock, since it only grows or is replaced by rename.
// Under the lock dovecot-uidlist.lock lines are appended, or a new file is
// renamed over it. A line that is none, as a torn last one, whose UID was told to
// nobody, has the file written anew.
const (
	uidlistName = "dovecot-uidlist"
	uidlistLock = "dovecot-uidlist.lock"
	uidlistTmp  = "dovecot-uidlist.tmp"
)

type uidlist struct {
	version     int // 1 or 3; 0: there is none yet
	uidvalidity uint32
	uidnext     uint32
	header      []string // other header fields of version 3, kept
	records     []uidRecord
	stamp       fileStamp
	torn        bool // a line is no record, or not whole: it must be rewritten, for Dovecot reads no further
}

type uidRecord struct {
	uid    uint32
	fields []byte // " W125 P0123uidl", kept
	key    []byte
}

var errUIDList = errors.New("unreadable header")

// readUIDList reads the uidlist of a folder; a missing one is empty.
func readUIDList(dir int) (*uidlist, error) { return readUIDListTo(dir, math.MaxInt64) }

// readUIDListHeader reads it without its records.
func readUIDListHeader(dir int) (*uidlist, error) { return readUIDListTo(dir, maxUIDListHeader) }

// maxUIDList is more than five million messages take.
const maxUIDList = 512 << 20

// maxUIDListHeader is as long as a header may be that is read alone.
const maxUIDListHeader = 4 << 10

// readUIDListTo reads no more than so many bytes, and then the header only.
func readUIDListTo(dir int, most int64) (*uidlist, error) {
	var st unix.Stat_t
	fd, err := openRegular(dir, uidlistName, unix.O_RDONLY, &st)
	if err == unix.ENOENT {
		return &uidlist{uidnext: 1}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", uidlistName, err)
	}
	f := os.NewFile(uintptr(fd), uidlistName)
	defer f.Close()
	if st.Size > maxUIDList {
		return nil, fmt.Errorf("%s: %d bytes: %w", uidlistName, st.Size, errUIDList)
	}
	text := pages.Room[byte](int(min(st.Size, most)))
	n, err := io.ReadFull(f, text[:cap(text)])
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return nil, fmt.Errorf("read %s: %w", uidlistName, err)
	}
	text = text[:n]
	if most == maxUIDListHeader {
		text, _, _ = bytes.Cut(text, []byte("\n"))
	}
	u, err := parseUIDList(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", uidlistName, err)
	}
	u.stamp = stampOf(&st)
	u.stamp.size = int64(n)
	return u, nil
}

func parseUIDList(text []byte) (*uidlist, error) {
	header, rest, _ := bytes.Cut(text, []byte("\n"))
	u := &uidlist{}
	if err := u.parseHeader(strings.Fields(string(header))); err != nil {
		return nil, err
	}
	crlf := bytes.HasSuffix(header, []byte("\r")) // else a CR is the file's name's
	u.torn = crlf || len(text) > 0 && text[len(text)-1] != '\n'
	u.records = pages.Room[uidRecord](bytes.Count(rest, []byte("\n")))
	last := uint32(0)
	for len(rest) > 0 {
		line, tail, whole := bytes.Cut(rest, []byte("\n"))
		rest = tail
		if crlf {
			line = bytes.TrimSuffix(line, []byte("\r"))
		}
		r, ok := parseUIDRecord(line, u.version)
		if !whole || !ok || r.uid <= last {
			u.torn = true
			continue
		}
		last = r.uid
		u.records = append(u.records, r)
	}
	u.uidnext = max(u.uidnext, last+1)
	return u, nil
}

func (u *uidlist) parseHeader(f []string) error {
	number := func(s string) uint32 {
		n, _ := strconv.ParseUint(s, 10, 32)
		return uint32(n)
	}
	switch {
	case len(f) == 3 && f[0] == "1":
		u.version, u.uidvalidity, u.uidnext = 1, number(f[1]), number(f[2])
	case len(f) > 1 && f[0] == "3":
		u.version = 3
		for _, field := range f[1:] {
			switch field[0] {
			case 'V':
				u.uidvalidity = number(field[1:])
			case 'N':
				u.uidnext = number(field[1:])
			default:
				u.header = append(u.header, field)
			}
		}
	}
	if u.version == 0 || u.uidvalidity == 0 || u.uidnext == 0 {
		return errUIDList
	}
	return nil
}

// parseUIDRecord reads "<uid>( <A-Z><value>)* :<key>", or version 1's "<uid> <key>".
func parseUIDRecord(line []byte, version int) (r uidRecord, ok bool) {
	uid, rest := leadingNumber(line)
	if uid == 0 || uid >= 1<<32-1 || len(rest) == 0 || rest[0] != ' ' {
		return r, false
	}
	r.uid, rest = uint32(uid), rest[1:]
	if len(rest) == 0 {
		return r, false
	}
	if version == 3 {
		if rest[0] != ':' { // a field's value may have colons
			i := bytes.Index(rest, []byte(" :"))
			if i < 0 {
				return r, false
			}
			r.fields, rest = bytes.TrimRight(rest[:i], " "), rest[i+1:]
		}
		rest = rest[1:]
	}
	r.key, _, _ = splitName(rest)
	return r, len(r.key) > 0 && bytes.IndexByte(r.key, '/') < 0
}

func (r uidRecord) append(b []byte) []byte {
	b = strconv.AppendUint(b, uint64(r.uid), 10)
	if len(r.fields) > 0 {
		b = append(append(b, ' '), r.fields...)
	}
	b = append(b, " :"...)
	b = append(b, r.key...)
	return append(b, '\n')
}

// field returns the number in a field, -1 if there is none.
func (r uidRecord) field(letter byte) int64 {
	for f := range bytes.FieldsSeq(r.fields) {
		if f[0] == letter {
			if n, rest := leadingNumber(f[1:]); len(rest) == 0 && len(f) > 1 {
				return int64(n)
			}
		}
	}
	return -1
}

// uidl returns the id that POP3 clients know a message by from the server
// before us, "" if there is none. A P of which nothing follows stands for the key.
func (r uidRecord) uidl() string {
	for f := range bytes.FieldsSeq(r.fields) {
		if len(f) == 1 && f[0] == 'P' {
			return string(r.key)
		}
	}
	return r.text('P')
}

// guid returns what a message has in common with its copies, "" if that is
// the key.
func (r uidRecord) guid() string { return r.text('G') }

// text returns the text in a field, "" if there is none.
func (r uidRecord) text(letter byte) string {
	for f := range bytes.FieldsSeq(r.fields) {
		if f[0] == letter && len(f) > 1 {
			return string(f[1:])
		}
	}
	return ""
}

// hasUIDLs says whether a server before us had ids of its own for POP3, or an
// order.
func (u *uidlist) hasUIDLs() bool {
	return slices.ContainsFunc(u.records, func(r uidRecord) bool {
		return len(r.fields) > 0 && (r.uidl() != "" || r.field('O') >= 0)
	})
}

// hasGUIDs says whether some messages have a GUID that is not their key.
func (u *uidlist) hasGUIDs() bool {
	return slices.ContainsFunc(u.records, func(r uidRecord) bool { return len(r.fields) > 0 && r.guid() != "" })
}

// uidlistStamp returns which version of the uidlist there is now.
func (f *Folder) uidlistStamp() (fileStamp, bool) {
	var st unix.Stat_t
	if unix.Fstatat(f.dir, uidlistName, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return fileStamp{}, false
	}
	return stampOf(&st), true
}

// uidlistNow reads the uidlist under the lock. One that cannot be read is
// begun anew, under a new UIDVALIDITY.
func (f *Folder) uidlistNow() (*uidlist, error) {
	u, err := readUIDList(f.dir)
	if err != nil && !errors.Is(err, errUIDList) {
		return nil, err
	}
	if err != nil {
		u = &uidlist{uidnext: 1}
	} else if u.version == 0 {
		if courier, ok := readCourier(f.dir); ok {
			if err := f.markImport(); err != nil {
				return nil, err
			}
			u, f.courier = courier, true
		}
	}
	if f.UIDValidity != 0 && u.uidvalidity != f.UIDValidity {
		return nil, fmt.Errorf("folder %s: UIDVALIDITY changed: %w", f.Name, ErrNoFolder)
	}
	u.uidnext = max(u.uidnext, f.ix.uidnext)
	return u, nil
}

// exhausted says that there are no UIDs for so many more messages: a line of
// rubbish is enough for that.
func (u *uidlist) exhausted(more int) bool {
	return more > 0 && uint64(u.uidnext)+uint64(more) >= 1<<32-1
}

// renumbered returns the list begun anew, under another UIDVALIDITY.
func (u *uidlist) renumbered() *uidlist {
	return &uidlist{uidnext: 1, header: u.header}
}

// knowUIDList notes in the index what the uidlist is now.
func (f *Folder) knowUIDList(fd int, u *uidlist) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("stat %s: %w", uidlistName, err)
	}
	f.ix.uidlist, f.ix.uidvalidity, f.ix.uidnext = stampOf(&st), u.uidvalidity, u.uidnext
	return nil
}

// rewriteUIDList replaces the file under the lock.
func (f *Folder) rewriteUIDList(u *uidlist) error {
	if u.uidvalidity == 0 {
		v, err := f.store.nextUIDValidity()
		if err != nil {
			return err
		}
		u.uidvalidity = v
	}
	if len(u.header) == 0 {
		guid := make([]byte, 16)
		rand.Read(guid)
		u.header = []string{fmt.Sprintf("G%x", guid)}
	}
	size := 1 << 10
	for _, r := range u.records {
		size += len(r.fields) + len(r.key) + len("4294967295  :\n")
	}
	b := pages.Room[byte](size)
	b = fmt.Appendf(b, "3 V%d N%d %s\n", u.uidvalidity, u.uidnext, strings.Join(u.header, " "))
	for _, r := range u.records {
		b = r.append(b)
	}
	fd, err := f.store.replace(f.dir, uidlistTmp, uidlistName, b)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	u.version, u.torn = 3, false
	return f.knowUIDList(fd, u)
}

// replace writes a new file and renames it over the old one: data first, then
// the name, then the folder, each on the disk before the next. It returns the
// new file, open.
func (s *Store) replace(dir int, tmp, name string, content []byte) (fd int, err error) {
	unix.Unlinkat(dir, tmp, 0) // left over by one that was killed; the lock is ours
	fd, err = unix.Openat(dir, tmp, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return -1, fmt.Errorf("create %s: %w", tmp, err)
	}
	err = writeAll(fd, content)
	if err == nil && s.fsync != Never {
		err = fsync(fd)
	}
	if err == nil {
		err = unix.Renameat(dir, tmp, dir, name)
	}
	if err == nil && s.fsync != Never {
		err = fsync(dir)
	}
	if err != nil {
		unix.Close(fd)
		unix.Unlinkat(dir, tmp, 0)
		return -1, fmt.Errorf("write %s: %w", name, err)
	}
	return fd, nil
}

func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}
