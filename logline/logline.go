// Package logline writes the log of every smail program: one line an event,
// "event key=value key=value", in one write(2).
//
// The log is file descriptor 2. What it is decides the frame around a line:
//
//	datagram socket   syslog: "<22>smail-imap[123]: login user=alice"
//	stream socket     the journal: "<6>login user=alice"
//	anything else     "smail-imap[123]: login user=alice"
//
// Values may come from strangers: they are quoted where they hold anything
// but plain characters, and cut at maxValueBytes.
package logline

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// maxValueBytes bounds one value, so that a stranger cannot fill the log.
const maxValueBytes = 256

// facilityMail is syslog's facility "mail", shifted as RFC 3164 section 4.1.1 packs it.
const facilityMail = 2 << 3

const (
	severityError   = 3
	severityWarning = 4
	severityInfo    = 6
)

const fd = 2

var (
	ident    = filepath.Base(os.Args[0])
	sockType = socketType(fd)
	base     []byte // key=value pairs that every line carries
)

// Always adds key=value pairs to every later line, as a session's user and peer.
func Always(pairs ...string) { base = appendPairs(base, pairs) }

// Info logs what is expected to happen: logins and ends.
func Info(event string, pairs ...string) { write(severityInfo, event, pairs) }

// Warn logs what the administrator may want to look at: refusals.
func Warn(event string, pairs ...string) { write(severityWarning, event, pairs) }

// Error logs what the administrator must mend.
func Error(event string, pairs ...string) { write(severityError, event, pairs) }

func write(severity int, event string, pairs []string) {
	line := appendFrame(nil, severity)
	line = append(line, event...)
	line = append(line, base...)
	line = appendPairs(line, pairs)
	if sockType != syscall.SOCK_DGRAM {
		line = append(line, '\n')
	}
	syscall.Write(fd, line) // nowhere is left to report a failure
}

func appendFrame(b []byte, severity int) []byte {
	switch sockType {
	case syscall.SOCK_DGRAM:
		b = append(b, '<')
		b = strconv.AppendInt(b, int64(facilityMail|severity), 10)
		b = append(b, '>')
	case syscall.SOCK_STREAM:
		b = append(b, '<')
		b = strconv.AppendInt(b, int64(severity), 10)
		return append(b, '>')
	}
	b = append(b, ident...)
	b = append(b, '[')
	b = strconv.AppendInt(b, int64(os.Getpid()), 10)
	return append(b, "]: "...)
}

// appendPairs appends " key=value" for each pair; empty values are left out.
func appendPairs(b []byte, pairs []string) []byte {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			continue
		}
		b = append(b, ' ')
		b = append(b, pairs[i]...)
		b = append(b, '=')
		b = appendValue(b, pairs[i+1])
	}
	return b
}

func appendValue(b []byte, v string) []byte {
	if len(v) > maxValueBytes {
		v = v[:maxValueBytes] + "..."
	}
	for i := 0; i < len(v); i++ {
		if c := v[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\' {
			return strconv.AppendQuoteToASCII(b, v)
		}
	}
	return append(b, v...)
}

// socketType returns SOCK_DGRAM or SOCK_STREAM, or 0 if fd is no socket.
func socketType(fd int) int {
	t, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TYPE)
	if err != nil {
		return 0
	}
	return t
}

// ToSyslog makes fd 2 a socket to the system's log, or /dev/null where there
// is none. Under inetd fd 2 is the client's connection, which must never see
// a line of the log.
func ToSyslog() {
	s, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err == nil {
		err = syscall.Connect(s, &syscall.SockaddrUnix{Name: "/dev/log"})
	}
	if err != nil {
		s, err = syscall.Open("/dev/null", syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
	}
	if err != nil {
		os.Exit(1) // no safe place for a log: nothing may be written at all
	}
	if err := syscall.Dup3(s, fd, 0); err != nil {
		os.Exit(1)
	}
	syscall.Close(s)
	sockType = socketType(fd)
}
