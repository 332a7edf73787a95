package monitor

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCloseEachOnExec: as close_range does it where the kernel has that.
func TestCloseEachOnExec(t *testing.T) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	low, high := min(fds[0], fds[1]), max(fds[0], fds[1])
	if err := closeEachOnExec(high); err != nil {
		t.Fatal(err)
	}
	for fd, want := range map[int]int{low: 0, high: unix.FD_CLOEXEC} {
		if got, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); got != want || err != nil {
			t.Errorf("descriptor %d: flags %d, want %d; %v", fd, got, want, err)
		}
	}
	if _, err := os.Stdin.Stat(); err != nil {
		t.Error(err)
	}
}
