package monitor

import (
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"smail/login"
	"smail/logline"
)

// reapInterval is how long a process that has ended may wait to be reaped.
const reapInterval = 2 * time.Second

// Listen accepts connections and has this program started once for each, until it
// is ended by a signal, or has had no connection for the duration idle unless
// that is 0. Sessions that run when a signal comes go on.
func (m *Monitor) Listen(listener int, idle time.Duration) error {
	l := &listening{Monitor: m, last: time.Now(), children: map[int]netip.Addr{}, perAddr: map[netip.Addr]int{}}
	err := m.loadKeys() // only to see whether each connection's own process can
	m.keys = nil
	if err != nil {
		return err
	}
	if l.self, err = os.Executable(); err != nil {
		return err
	}
	// Fronts outlive their monitors by an instant: they come to us to be reaped.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	if err := syscall.SetNonblock(listener, true); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	logline.Info("listening", "service", m.Service)
	for {
		conn, _, err := syscall.Accept4(listener, syscall.SOCK_CLOEXEC)
		l.reap()
		switch err {
		case nil:
			l.start(conn)
		case syscall.EAGAIN:
			wait := l.wait(idle)
			if wait == 0 {
				logline.Info("idle", "service", m.Service)
				return nil
			}
			unix.Poll([]unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}, wait)
		case syscall.EINTR, syscall.ECONNABORTED:
		default: // out of descriptors or memory: let connections end
			logline.Error("accept", "reason", err.Error())
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// turnAwayDelay bounds how often systemd starts a listener that cannot serve.
const turnAwayDelay = 2 * time.Second

// TurnAway closes the connections that wait on a listening socket, for a
// listener that cannot serve them: systemd would start it again for them at
// once, and without end.
func TurnAway(listener int) {
	time.Sleep(turnAwayDelay)
	syscall.SetNonblock(listener, true)
	for {
		conn, _, err := syscall.Accept4(listener, syscall.SOCK_CLOEXEC)
		if err == syscall.EINTR || err == syscall.ECONNABORTED {
			continue
		}
		if err != nil {
			return
		}
		syscall.Close(conn)
	}
}

type listening struct {
	*Monitor
	self     string // path of this program
	spare    spare
	children map[int]netip.Addr
	perAddr  map[netip.Addr]int
	last     time.Time // when there was a connection
	logged   time.Time // when one was turned away and that was logged
	unlogged int       // how many were since, without a line
}

// wait returns for how many milliseconds to wait for a connection: -1 is
// until there is one, 0 not at all, for there has been none for long enough.
func (l *listening) wait(idle time.Duration) int {
	switch {
	case len(l.children) > 0:
		l.last = time.Now()
		return int(reapInterval.Milliseconds())
	case time.Since(l.last) < 2*reapInterval: // fronts end after their monitors
		return int(reapInterval.Milliseconds())
	case idle == 0:
		return -1
	}
	return int(max(0, idle-time.Since(l.last)).Milliseconds())
}

// A spare is a process that waits for the next connection.
type spare struct {
	pid  int // 0: there is none
	sock int // to send it on
}

// start gives a connection its own process, within the limits.
func (l *listening) start(conn int) {
	defer syscall.Close(conn)
	peer, err := peerAddr(conn)
	if err != nil {
		return // it left already
	}
	addr := peer.Addr()
	if len(l.children) >= l.Config.MaxConnections || l.perAddr[addr] >= l.Config.MaxConnectionsPerAddress {
		l.turnedAway(addr)
		return
	}
	pid, err := l.handOver(conn)
	if err != nil {
		logline.Error("start smaild", "reason", err.Error())
		return
	}
	l.children[pid] = addr
	l.perAddr[addr]++
	if err := l.startSpare(); err != nil { // then the next connection tries again
		logline.Error("start smaild", "reason", err.Error())
	}
}

// refusalInterval bounds the log: a flood must not drown what else is in it.
const refusalInterval = time.Second

// turnedAway logs a connection beyond the limits, and how many more there were
// since the last that was logged.
func (l *listening) turnedAway(addr netip.Addr) {
	if time.Since(l.logged) < refusalInterval {
		l.unlogged++
		return
	}
	logline.Warn("too many connections", "service", l.Service, "peer", addr.String(), "in_all", fmt.Sprint(len(l.children)),
		"from_address", fmt.Sprint(l.perAddr[addr]), "not_logged", fmt.Sprint(l.unlogged))
	l.logged, l.unlogged = time.Now(), 0
}

// handOver sends a connection to the spare, or to a new one if that has died.
func (l *listening) handOver(conn int) (pid int, err error) {
	for range 2 {
		if err := l.startSpare(); err != nil {
			return 0, err
		}
		pid, err = l.spare.pid, login.SendConn(l.spare.sock, conn, []byte{0})
		syscall.Close(l.spare.sock)
		l.spare = spare{}
		if err == nil {
			return pid, nil
		}
	}
	return 0, err
}

// startSpare makes sure that there is one.
func (l *listening) startSpare() error {
	if l.spare.pid != 0 {
		return nil
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	defer syscall.Close(pair[1])
	pid, err := syscall.ForkExec(l.self, []string{"smaild", "-config", l.ConfigPath, "-spare", l.Service},
		&syscall.ProcAttr{Dir: "/", Env: append(os.Environ(), "GOMAXPROCS=1"), Files: []uintptr{uintptr(pair[1]), uintptr(pair[1]), 2}})
	if err != nil {
		syscall.Close(pair[0])
		return err
	}
	l.spare = spare{pid, pair[0]}
	return nil
}

func (l *listening) reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if pid == l.spare.pid {
			syscall.Close(l.spare.sock)
			l.spare = spare{}
		}
		if addr, ours := l.children[pid]; ours {
			delete(l.children, pid)
			if l.perAddr[addr]--; l.perAddr[addr] == 0 {
				delete(l.perAddr, addr)
			}
		}
	}
}
