package gate

import (
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What the bytes of the file of slots stand for. It has no content: only its
// locks count, which the kernel takes back from a process that dies.
const (
	next      = 0 // the one who gets the next place
	firstSlot = 1
	firstLine = 4096
	lines     = 1 << 16 // of networks; then those of processes
)

// retry is how often the next one looks for a free place.
const retry = 500 * time.Microsecond

// A Slot is a place among those who may have a password checked, and the head of its
// line.
type Slot struct {
	f     *os.File
	place int64
	since time.Time
}

// Enter waits for a place among n, which all processes with the same file share.
// Each line has one who waits for a place, so that a network with many connections
// gets no more than another with one. turn is called when this process is that one,
// and may say that the place is not wanted any more: then there is no Slot.
func Enter(path string, n int, line int64, turn func() bool) (*Slot, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	s := &Slot{f: f}
	if err := s.lock(firstLine+line, unix.F_OFD_SETLKW); err != nil {
		f.Close()
		return nil, err
	}
	if !turn() {
		f.Close()
		return nil, nil
	}
	if err := s.lock(next, unix.F_OFD_SETLKW); err != nil {
		f.Close()
		return nil, err
	}
	for ; ; time.Sleep(retry) {
		for i := range int64(n) {
			if s.lock(firstSlot+i, unix.F_OFD_SETLK) == nil {
				s.place, s.since = firstSlot+i, time.Now()
				return s, s.unlock(next)
			}
		}
	}
}

// AnyLine returns a line for who is to wait behind nobody.
func AnyLine(pid int) int64 { return lines + int64(pid) }

// Line returns the number of a network's line. Two may share one, but nobody can
// tell which.
func (p *Penalties) Line(addr netip.Addr) int64 {
	return int64(p.hash("line", []byte(Network(addr).String())) % lines)
}

func (s *Slot) lock(offset int64, how int) error { return s.set(offset, how, unix.F_WRLCK) }

func (s *Slot) unlock(offset int64) error { return s.set(offset, unix.F_OFD_SETLK, unix.F_UNLCK) }

func (s *Slot) set(offset int64, how int, kind int16) error {
	for {
		err := unix.FcntlFlock(s.f.Fd(), how, &unix.Flock_t{Type: kind, Start: offset, Len: 1})
		if err != unix.EINTR {
			return os.NewSyscallError("fcntl", err)
		}
	}
}

// Since says when the place was had: what follows must not tell how long others
// had theirs.
func (s *Slot) Since() time.Time { return s.since }

// Done gives the place back, but stays at the head of its line.
func (s *Slot) Done() {
	if s != nil {
		s.unlock(s.place)
	}
}

// Leave gives back all.
func (s *Slot) Leave() {
	if s != nil {
		s.f.Close()
	}
}
