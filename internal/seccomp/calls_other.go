//go:build !amd64

package seccomp

var olderCalls []uint32
