package maildir

import (
	"fmt"
	"io"
	"sort"

	"golang.org/x/sys/unix"
)

// dirOf returns the directory that a message is in.
func (f *Folder) dirOf(r *record) int {
	if r.state&stateNew != 0 {
		return f.new
	}
	return f.cur
}

// find runs fn on a record, and once more after reading the folder anew if its
// file was not where it had been: another program may have renamed it. ErrGone
// means that it is no longer there.
func (f *Folder) find(n int, fn func(n int, r *record) error) error {
	r := f.record(n)
	if r.state&stateExpunged != 0 {
		return ErrGone
	}
	err := fn(n, &r)
	if err != unix.ENOENT {
		return err
	}
	uid := r.uid
	f.ix.batch = 0 // what others did is no part of this session's own change
	err = f.catchUp()
	f.ix.batch = 0
	if err != nil {
		return err
	}
	if n = f.numberOf(uid); n < 0 {
		return ErrGone
	}
	if r = f.record(n); r.state&stateExpunged != 0 {
		return ErrGone
	}
	if err = fn(n, &r); err == unix.ENOENT {
		return ErrGone
	}
	return err
}

// A File is a message's file, open for reading. It is less than an os.File,
// which asks the kernel three times whether it is more.
type File struct {
	fd    int
	off   int64
	ended bool // Read has seen the end
}

// Read reads on from where the last Read ended.
func (f *File) Read(p []byte) (int, error) {
	if f.ended {
		return 0, io.EOF
	}
	n, err := f.ReadAt(p[:min(len(p), 1<<30)], f.off)
	f.ended = err == io.EOF
	if f.off += int64(n); n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// ReadAt reads as io.ReaderAt has it.
func (f *File) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		k, err := unix.Pread(f.fd, p[n:], off+int64(n))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return n, fmt.Errorf("read message: %w", err)
		case k == 0:
			return n, io.EOF
		}
		n += max(k, 0)
	}
	return n, nil
}

// Prefetch has the system read the file's first n bytes meanwhile.
func (f *File) Prefetch(n int64) { unix.Fadvise(f.fd, 0, n, unix.FADV_WILLNEED) }

// Close closes the file.
func (f *File) Close() error { return unix.Close(f.fd) }

// OpenMessage opens a message's file for reading, and returns its size.
func (f *Folder) OpenMessage(place int) (*File, int64, error) {
	n := f.number(place)
	var fd int
	var st unix.Stat_t
	var name string
	err := f.find(n, func(_ int, r *record) (err error) {
		name = f.ix.fileName(r)
		fd, err = openRegular(f.dirOf(r), name, unix.O_RDONLY, &st)
		return err
	})
	if err == ErrGone {
		return nil, 0, err
	}
	if err != nil {
		return nil, 0, fmt.Errorf("open message %s: %w", name, err)
	}
	f.learn(f.number(place), fact{size: st.Size, crlf: -1, date: st.Mtim.Sec})
	return &File{fd: fd}, st.Size, nil
}

// A Ticket opens a message's file on another goroutine. It fails if the file
// has got another name since it was issued.
type Ticket struct {
	dir  int
	name string
}

// Ticket issues a ticket for the message at a place. It is good for as long as
// the folder is not used otherwise.
func (f *Folder) Ticket(place int) Ticket {
	r := f.record(f.number(place))
	return Ticket{f.dirOf(&r), f.ix.fileName(&r)}
}

// Open opens the message's file.
func (t Ticket) Open() (*File, int64, error) {
	var st unix.Stat_t
	fd, err := openRegular(t.dir, t.name, unix.O_RDONLY, &st)
	if err != nil {
		return nil, 0, fmt.Errorf("open message %s: %w", t.name, err)
	}
	return &File{fd: fd}, st.Size, nil
}

// statMessage looks at a message's file.
func (f *Folder) statMessage(n int) (st unix.Stat_t, err error) {
	var name string
	err = f.find(n, func(_ int, r *record) error {
		name = f.ix.fileName(r)
		return unix.Fstatat(f.dirOf(r), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	})
	if err != nil && err != ErrGone {
		err = fmt.Errorf("stat message %s: %w", name, err)
	}
	return st, err
}

// numberOf returns the record of a UID, -1 if there is none.
func (f *Folder) numberOf(uid uint32) int {
	count := int(f.ix.count)
	n := sort.Search(count, func(i int) bool { return f.ix.record(i).uid >= uid })
	if n == count || f.ix.record(n).uid != uid {
		return -1
	}
	return n
}
