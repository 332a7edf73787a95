// Package pages makes room in memory for much at once. A page that is touched
// for the first time interrupts the program, on some virtual machines for as
// long as it takes to fill fifty of them.
package pages

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// least is how many bytes are worth a system call.
const least = 32 << 10

// Room returns an empty slice with room for n items, whose pages are there.
// It is for what will be filled: room that is not needed is memory all the same.
func Room[T any](n int) []T {
	s := make([]T, 0, n)
	if size := uintptr(n) * unsafe.Sizeof(*new(T)); size >= least {
		fill(unsafe.Pointer(unsafe.SliceData(s)), size)
	}
	return s
}

// fill asks for the whole pages of a piece of memory. Kernels before 5.14 refuse, and
// they come one by one.
func fill(p unsafe.Pointer, size uintptr) {
	page := uintptr(os.Getpagesize())
	skip := -uintptr(p) & (page - 1)
	if n := (size - min(skip, size)) &^ (page - 1); n > 0 {
		unix.Madvise(unsafe.Slice((*byte)(unsafe.Add(p, skip)), n), unix.MADV_POPULATE_WRITE)
	}
}
