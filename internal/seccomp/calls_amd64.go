package seccomp

import "golang.org/x/sys/unix"

// olderCalls are those that newer architectures lack.
var olderCalls = []uint32{unix.SYS_DUP2}
