package front

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// harmless are the system calls that a front may make with any arguments: none
// takes a path, makes a descriptor of anything but the client's connection, or
// reaches another process.
var harmless = []uint32{
	// memory, threads and time of the runtime
	unix.SYS_FUTEX, unix.SYS_MADVISE, unix.SYS_MUNMAP, unix.SYS_SCHED_YIELD, unix.SYS_NANOSLEEP, unix.SYS_CLOCK_GETTIME,
	unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGRETURN,
	unix.SYS_SIGALTSTACK, unix.SYS_RESTART_SYSCALL, unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_GETRANDOM,
	// connections
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_CLOSE, unix.SYS_SHUTDOWN, unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_CTL,
	unix.SYS_RECVMSG, unix.SYS_GETSOCKOPT, unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME,
}

// A condition bounds one argument, of which the filter sees the lower half, with
// the upper half being zero: argument & mask must be one of values.
type condition struct {
	call     uint32
	argument int
	mask     uint32
	values   []uint32
}

// conditions are of those system calls that a front needs in one form only.
func conditions() []condition {
	const all = ^uint32(0)
	return []condition{
		{unix.SYS_CLONE, 0, unix.CLONE_THREAD, []uint32{unix.CLONE_THREAD}}, // threads, no processes
		{unix.SYS_MMAP, 2, unix.PROT_EXEC, []uint32{0}},                     // no code but what is there
		{unix.SYS_MPROTECT, 2, unix.PROT_EXEC, []uint32{0}},
		{unix.SYS_TGKILL, 0, all, []uint32{uint32(os.Getpid())}}, // the runtime's preemption
		{unix.SYS_FCNTL, 1, all, []uint32{unix.F_GETFL, unix.F_SETFL, unix.F_GETFD, unix.F_SETFD, unix.F_DUPFD_CLOEXEC}},
		{unix.SYS_SETSOCKOPT, 1, all, []uint32{unix.SOL_SOCKET, unix.SOL_TCP}},
		{unix.SYS_SENDTO, 4, all, []uint32{0}}, // to whom the socket is connected
	}
}

// Offsets in struct seccomp_data, seccomp(2).
const (
	offsetCall      = 0
	offsetArch      = 4
	offsetArguments = 16
)

// architectures are those that smail is built for: elsewhere a front does not start.
var architectures = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}

func statement(code uint16, k uint32) unix.SockFilter { return unix.SockFilter{Code: code, K: k} }

func jump(test uint16, k uint32, yes, no int) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | test | unix.BPF_K, Jt: uint8(yes), Jf: uint8(no), K: k}
}

// program is the filter: each call in turn, and death at the end.
func program(arch uint32) []unix.SockFilter {
	const load = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	allow, kill := statement(unix.BPF_RET, unix.SECCOMP_RET_ALLOW), statement(unix.BPF_RET, unix.SECCOMP_RET_KILL_PROCESS)
	p := []unix.SockFilter{
		statement(load, offsetArch), jump(unix.BPF_JEQ, arch, 1, 0), kill,
		statement(load, offsetCall),
	}
	for _, call := range harmless {
		p = append(p, jump(unix.BPF_JEQ, call, 0, 1), allow)
	}
	for _, c := range conditions() {
		n := len(c.values)
		low := uint32(offsetArguments + 8*c.argument)
		p = append(p, jump(unix.BPF_JEQ, c.call, 0, n+6), // not this call: past kill
			statement(load, low+4), jump(unix.BPF_JEQ, 0, 0, n+2), // to kill
			statement(load, low), statement(unix.BPF_ALU|unix.BPF_AND|unix.BPF_K, c.mask))
		for i, v := range c.values {
			p = append(p, jump(unix.BPF_JEQ, v, n-i, 0))
		}
		p = append(p, kill, allow)
	}
	return append(p, kill)
}

// filterCalls has every thread, and those to come, killed with the whole process
// at a system call that is not of the lists above. It is assembled here, for the
// library that would do it builds tables for every architecture at each start:
// a seventh of the front's.
func filterCalls() error {
	arch, known := architectures[runtime.GOARCH]
	if !known {
		return fmt.Errorf("no filter of system calls for %s", runtime.GOARCH)
	}
	p := program(arch)
	fprog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	runtime.LockOSThread() // of which no_new_privs is asked; the others get it with the filter
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&fprog)))
	if errno != 0 {
		return os.NewSyscallError("seccomp", errno)
	}
	return nil
}
