package pages

import (
	"fmt"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

type item struct {
	name []byte
	n    int
}

func TestRoom(t *testing.T) {
	for _, n := range []int{0, 1, 100, 1000, 4097, 100_000} {
		s := Room[item](n)
		if len(s) != 0 || cap(s) != n {
			t.Fatalf("room for %d has length %d and capacity %d", n, len(s), cap(s))
		}
		for i := range n {
			s = append(s, item{fmt.Append(nil, i), i})
		}
		for i := range s {
			if string(s[i].name) != fmt.Sprint(i) || s[i].n != i {
				t.Fatalf("item %d of %d is %q, %d", i, n, s[i].name, s[i].n)
			}
		}
	}
	if s := Room[byte](1 << 20); cap(s) != 1<<20 {
		t.Fatal(cap(s))
	}
}

// TestRoomIsThere: what is written into room costs no fault a page.
func TestRoomIsThere(t *testing.T) {
	const size = 64 << 20
	probe, err := unix.Mmap(-1, 0, 1, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(probe)
	if unix.Madvise(probe, unix.MADV_POPULATE_WRITE) == unix.EINVAL {
		t.Skip("Linux 5.14 brings what this shows")
	}
	s := Room[byte](size)[:size]
	before := faults(t)
	touch(s)
	if n := faults(t) - before; n > size/4096/10 {
		t.Errorf("%d faults for %d pages", n, size/4096)
	}
}

// touch writes to each page. What the race detector would note has pages of its own.
//
//go:norace
func touch(b []byte) {
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
}

func faults(t *testing.T) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return u.Minflt
}
