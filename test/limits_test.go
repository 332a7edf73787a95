package test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestConnectionLimits: one address has no more than its share, and gets it
// back when a connection ends.
func TestConnectionLimits(t *testing.T) {
	for _, setting := range []string{"max_connections", "max_connections_per_address"} {
		t.Run(setting, func(t *testing.T) {
			h := newHost(t, setting, "2")
			h.serve("imaps")
			first, second := h.login(), h.dial("imaps")
			conn, err := net.Dial("tcp", h.addr["imaps"])
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(20 * time.Second))
			if n, err := conn.Read(make([]byte, 1)); err == nil || n > 0 {
				t.Error("a third connection was served")
			}
			h.waitLog("too many connections", "peer=127.0.0.1")
			for range 30 { // a flood does not drown the log
				if more, err := net.Dial("tcp", h.addr["imaps"]); err == nil {
					more.SetDeadline(time.Now().Add(20 * time.Second))
					more.Read(make([]byte, 1))
					more.Close()
				}
			}
			if n := strings.Count(h.log.String(), "too many connections"); n > 5 {
				t.Errorf("%d lines for 31 connections", n)
			}
			first.until("b NOOP", "b OK") // and the others go on
			second.until("b NOOP", "b OK")
			second.until("c LOGOUT", "c OK")
			second.closed()
			time.Sleep(200 * time.Millisecond) // for the process to end
			h.dial("imaps")
		})
	}
}

// TestSessionsPerUser are limited too.
func TestSessionsPerUser(t *testing.T) {
	h := newHost(t, "max_sessions_per_user", "1")
	h.serve("imaps")
	h.login()
	d := h.dial("imaps")
	d.expect("a LOGIN "+h.alice.Username+" "+quote(h.password), "a NO [LIMIT]")
	h.waitLog("login unavailable", "too many sessions")
}

// TestRefusedSession: what PAM's session of one user has done to the process is no
// other user's: after one that was refused the connection is good for no login.
func TestRefusedSession(t *testing.T) {
	needRoot(t)
	h := newHost(t, "max_sessions_per_user", "1")
	limits := filepath.Join(h.Dir, "limits.conf")
	if err := os.WriteFile(limits, []byte(h.alice.Username+" - nofile 77\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	h.pam("auth required pam_unix.so nodelay", "account required pam_unix.so", "session required pam_limits.so conf="+limits)
	h.serve("imaps", "pop3s", "submissions")
	h.login()
	d := h.dial("imaps")
	d.expect("a LOGIN "+h.alice.Username+" "+quote(h.password), "a NO [LIMIT]")
	d.expect("b LOGIN "+h.bob.Username+" "+quote(h.password), "b NO [UNAVAILABLE]")
	d = h.dial("imaps")
	d.until("b LOGIN "+h.bob.Username+" "+quote(h.password), "b OK")
	p := h.dial("pop3s")
	p.expect("USER "+h.alice.Username, "+OK")
	p.expect("PASS "+h.password, "-ERR [SYS/TEMP] You are logged in too many times")
	s := h.dial("submissions")
	s.until("EHLO x", "250 ")
	s.expect("AUTH PLAIN "+plain(h.alice.Username, h.password), "454 4.7.0 You are logged in too many times")
}

// TestSubmissionDialogues are what clients may do between messages.
func TestSubmissionDialogues(t *testing.T) {
	h := newHost(t)
	h.serve("submissions")
	d := h.smtpLogin()
	envelope := func() {
		t.Helper()
		d.expect("MAIL FROM:<"+h.alice.Username+"@localhost>", "250")
		d.expect("RCPT TO:<b@example.net>", "250")
	}
	envelope() // given up after a chunk
	d.send("BDAT 6\r\nA: b\r\n")
	d.line()
	d.expect("RSET", "250")
	envelope() // in chunks, with a line's end split between two
	for _, chunk := range []string{"BDAT 12\r\nSubject: c\r\n", "BDAT 8\r\n\r\nsplit\r", "BDAT 4 LAST\r\n\nx\r\n"} {
		d.send(chunk)
		if got := d.line(); !strings.HasPrefix(got, "250") {
			t.Fatalf("%q: got %q", chunk, got)
		}
	}
	envelope() // a command behind the message that comes in two pieces
	d.expect("DATA", "354")
	d.send("Subject: one\r\n\r\nx\r\n.\r\nNOOP\r")
	time.Sleep(200 * time.Millisecond)
	d.send("\n")
	d.line()
	d.line()
	envelope() // a text without a header
	d.expect("DATA", "354")
	if got := d.expect("Hello there\r\nBcc: is part of the text\r\n.", "250"); got == "" {
		t.Error("not sent")
	}
	var all strings.Builder
	for _, m := range h.outbox() {
		all.WriteString(m)
	}
	for _, want := range []string{"\n\nsplit\nx\n", "Subject: one\n", "\n\nHello there\nBcc: is part of the text\n"} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("no %q in what was sent:\n%s", want, all.String())
		}
	}
	envelope() // a chunk whose size makes no sense
	d.send("BDAT 999999999999 LAST\r\nNOOP\r\n")
	d.line()
	if !d.closed() {
		t.Error("the bytes of a chunk may be taken for commands")
	}
}

// TestOutOfDescriptors: a listener that has none left says so, goes on with what it
// has, does not spin, and serves again when connections have ended.
func TestOutOfDescriptors(t *testing.T) {
	needRoot(t)
	need(t, "prlimit", "util-linux")
	h := newHost(t)
	h.serve("imaps")
	h.login().until("z LOGOUT", "z OK")
	pid := h.listener()
	open, _ := filepath.Glob("/proc/" + pid + "/fd/*")
	run(t, "prlimit", "--pid", pid, fmt.Sprintf("--nofile=%d:%[1]d", len(open)+8))
	var conns []net.Conn
	for range 60 {
		c, err := net.Dial("tcp", h.addr["imaps"])
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	h.waitLog("accept", "too many open files")
	before := ticks(t, pid)
	time.Sleep(2 * time.Second)
	if spent := ticks(t, pid) - before; spent > 100 { // of 200
		t.Errorf("%d ticks in two seconds", spent)
	}
	for _, c := range conns {
		c.Close()
	}
	time.Sleep(2 * time.Second) // until those that were served have ended
	h.login().until("b NOOP", "b OK")
}

// ticks returns the processor time of a process in ticks, a hundredth of a second.
func ticks(t *testing.T, pid string) int {
	t.Helper()
	_, rest, _ := strings.Cut(readFile(t, "/proc/"+pid+"/stat"), ") ")
	f := strings.Fields(rest)
	return atoi(t, f[11]) + atoi(t, f[12])
}

// TestKeepAlive: a client that has gone is found, and one that is there is not asked
// every few seconds.
func TestKeepAlive(t *testing.T) {
	needRoot(t)
	h := newHost(t)
	h.serve("imaps")
	front, _ := h.login().processes()
	pidfd, err := unix.PidfdOpen(front, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	sockets := 0
	for fd := range 20 {
		its, err := unix.PidfdGetfd(pidfd, fd, 0)
		if err != nil {
			continue
		}
		defer unix.Close(its)
		if idle, err := unix.GetsockoptInt(its, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE); err == nil {
			on, _ := unix.GetsockoptInt(its, unix.SOL_SOCKET, unix.SO_KEEPALIVE)
			if sockets++; on != 1 || idle != 300 {
				t.Errorf("keepalive is %d, after %d seconds", on, idle)
			}
		}
	}
	if sockets != 1 {
		t.Errorf("%d TCP sockets", sockets)
	}
}
