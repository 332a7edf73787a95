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

// A Slot is a place among those who may have a password checked.
type Slot struct{ f *os.File }

// Enter waits for a place among n, which all processes with the same file share.
// Each line has one who waits for a place, so that a network with many connections
// gets no more than another with one. turn is called when this process is that one,
// and may say that the place is not wanted any more: then there is no Slot.
func Enter(path string, n int, line int64, turn func() bool) (*Slot, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	s := &Slot{f}
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
				return s, s.unlock(next)
			}
		}
	}
}

// AnyLine returns a line for who is to wait behind nobody.
func AnyLine(pid int) int64 { return lines + int64(pid) }

// Line returns the number of a network's line. Two may share one.
func Line(addr netip.Addr) int64 {
	b, _ := Network(addr).MarshalBinary()
	h := uint64(14695981039346656037) // FNV-1a
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return int64(h % lines)
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

// Leave gives the place back.
func (s *Slot) Leave() {
	if s != nil {
		s.f.Close()
	}
}
