// Command escape is a front, or a session, that has been taken over. It confines
// itself as smail-front does and then makes one system call that it must not, or
// with "work" what a front may; the tests run it once for each probe. With
// "session MAILDIR" it prints what a session could do and what not.
package main

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"smail/front"
)

func main() {
	if len(os.Args) == 1 { // the list, for the test
		for name := range probes {
			fmt.Println(name)
		}
		return
	}
	if os.Args[1] == "session" {
		trySession(os.Args[2])
		return
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	check(err)
	file := os.NewFile(uintptr(pair[0]), "mail")
	conn, err := net.FileConn(file) // starts the poller
	check(err)
	file.Close()
	check(front.Confine())
	if os.Args[1] == "work" {
		work(conn, pair[1])
		return
	}
	probe, known := probes[os.Args[1]]
	if !known {
		os.Exit(2)
	}
	_, _, errno := syscall.RawSyscall6(probe.call, probe.args[0], probe.args[1], probe.args[2], probe.args[3], probe.args[4], probe.args[5])
	fmt.Println(errno) // it lives
}

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(3)
	}
}

// work does what the runtime of a busy front does: threads, garbage, idleness.
func work(conn net.Conn, other int) {
	done := make(chan bool)
	for range 16 {
		go func() {
			runtime.LockOSThread() // a thread each
			for range 20 {
				_ = make([]byte, 1<<20)
				time.Sleep(time.Millisecond)
			}
			done <- true
		}()
	}
	for range 16 {
		<-done
	}
	runtime.GC()
	go syscall.Write(other, []byte("x"))
	_, err := conn.Read(make([]byte, 1))
	check(err)
	time.Sleep(3 * time.Second) // the runtime's background work
	fmt.Println("worked")
}

// A probe is a system call. Arguments that do not matter are 0.
type probe struct {
	call uintptr
	args [6]uintptr
}

func path(name string) uintptr {
	b := append([]byte(name), 0)
	kept = append(kept, b)
	return uintptr(unsafe.Pointer(&b[0]))
}

var kept [][]byte

var here = path("/etc/passwd")

// call is a probe with the arguments that matter.
func call(number uintptr, args ...uintptr) probe {
	p := probe{call: number}
	copy(p.args[:], args)
	return p
}

const at = ^uintptr(99) // AT_FDCWD

var address = func() uintptr {
	a := &syscall.RawSockaddrInet4{Family: syscall.AF_INET, Port: 0x1900, Addr: [4]byte{127, 0, 0, 1}}
	return uintptr(unsafe.Pointer(a))
}()

var parent = uintptr(os.Getppid())

const page = 1 << 12

var code = func() uintptr {
	b, err := unix.Mmap(-1, 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	check(err)
	return uintptr(unsafe.Pointer(&b[0]))
}()
