package maildir

import (
	"errors"
	"fmt"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"smail/internal/pages"
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

// ErrCutShort is what Guard returns: the next who opens the folder makes its index anew.
var ErrCutShort = errors.New("the index was cut short")

// Guard calls a function that reads a folder, and returns ErrCutShort where a file
// of the index was cut short while it was mapped. The folder is then to be left.
func Guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		failure := recover()
		if _, fault := failure.(interface{ Addr() uintptr }); fault {
			err = ErrCutShort
		} else if failure != nil {
			panic(failure)
		}
	}()
	return f()
}

// hold gathers what is written until release: many small changes of a large
// batch become one write. size is how much of the file counts.
func (m *mapping) hold(size uint64) {
	if m.fd >= 0 && !m.held && size <= uint64(len(m.b)) {
		m.mapped, m.b, m.held, m.lo, m.hi = m.b, append(pages.Room[byte](int(size)), m.b[:size]...), true, size, 0
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
