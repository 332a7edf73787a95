// Package seccomp assembles and installs filters of system calls. It is our own,
// for the library that would do it builds tables for every architecture at each
// start of a process: a seventh of what a front's costs.
package seccomp

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Program is a filter, begun by Begin; its last statement must return.
type Program []unix.SockFilter

// Offsets in struct seccomp_data, seccomp(2).
const (
	offsetCall      = 0
	offsetArch      = 4
	OffsetArguments = 16
)

// architectures are those that smail is built for: elsewhere there is no filter.
var architectures = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}

// Statement and Jump are the instructions of bpf(4) in struct sock_filter.
func Statement(code uint16, k uint32) unix.SockFilter { return unix.SockFilter{Code: code, K: k} }

func Jump(test uint16, k uint32, yes, no int) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | test | unix.BPF_K, Jt: uint8(yes), Jf: uint8(no), K: k}
}

// Load loads 32 bits of struct seccomp_data.
func Load(offset uint32) unix.SockFilter {
	return Statement(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offset)
}

// Allow, Kill and Refuse are the ends of a filter.
var (
	Allow  = Statement(unix.BPF_RET, unix.SECCOMP_RET_ALLOW)
	Kill   = Statement(unix.BPF_RET, unix.SECCOMP_RET_KILL_PROCESS)
	Refuse = Statement(unix.BPF_RET, unix.SECCOMP_RET_ERRNO|uint32(unix.EPERM))
)

// Begin kills what calls by another architecture's numbers, and loads the number
// of the call.
func Begin() (Program, error) {
	arch, known := architectures[runtime.GOARCH]
	if !known {
		return nil, fmt.Errorf("no filter of system calls for %s", runtime.GOARCH)
	}
	return Program{Load(offsetArch), Jump(unix.BPF_JEQ, arch, 1, 0), Kill, Load(offsetCall)}, nil
}

// ofDescription are the calls that change what all who have an open file see of it.
// The copies of its descriptor are made by some of them.
var ofDescription = append([]uint32{unix.SYS_SHUTDOWN, unix.SYS_SETSOCKOPT, unix.SYS_FCNTL, unix.SYS_IOCTL, unix.SYS_DUP, unix.SYS_DUP3}, olderCalls...)

// Spare ends calls that would change an open file which others have, too, as the log's:
// of the descriptor, the kernel looks at the lower half only.
func (p Program) Spare(fd uint32, end unix.SockFilter) Program {
	for _, call := range ofDescription {
		p = append(p, Jump(unix.BPF_JEQ, call, 0, 4), Load(OffsetArguments), Jump(unix.BPF_JEQ, fd, 0, 1), end, Load(offsetCall))
	}
	return p
}

// Install has every thread, and those to come, go through the filter. It sets
// no_new_privs.
func (p Program) Install() error {
	fprog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	runtime.LockOSThread() // of which no_new_privs is asked; the others get it with the filter
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&fprog)))
	if errno != 0 {
		return os.NewSyscallError("seccomp", errno)
	}
	if thread != 0 {
		return fmt.Errorf("seccomp: thread %d has a filter of its own", thread)
	}
	return nil
}
