package front

import (
	"os"

	"golang.org/x/sys/unix"

	"smail/internal/seccomp"
	"smail/login"
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

// program is the filter: each call in turn, and death at the end.
func program() (seccomp.Program, error) {
	p, err := seccomp.Begin()
	if err != nil {
		return nil, err
	}
	p = p.Spare(login.FDLog, seccomp.Kill)
	for _, call := range harmless {
		p = append(p, seccomp.Jump(unix.BPF_JEQ, call, 0, 1), seccomp.Allow)
	}
	for _, c := range conditions() {
		n := len(c.values)
		low := uint32(seccomp.OffsetArguments + 8*c.argument)
		p = append(p, seccomp.Jump(unix.BPF_JEQ, c.call, 0, n+6), // not this call: past Kill
			seccomp.Load(low+4), seccomp.Jump(unix.BPF_JEQ, 0, 0, n+2), // to Kill
			seccomp.Load(low), seccomp.Statement(unix.BPF_ALU|unix.BPF_AND|unix.BPF_K, c.mask))
		for i, v := range c.values {
			p = append(p, seccomp.Jump(unix.BPF_JEQ, v, n-i, 0))
		}
		p = append(p, seccomp.Kill, seccomp.Allow)
	}
	return append(p, seccomp.Kill), nil
}

// filterCalls has the process killed at a system call that is not of the lists above.
func filterCalls() error {
	p, err := program()
	if err != nil {
		return err
	}
	return p.Install()
}
