// Package listen accepts connections on a listening socket, within limits, and has
// smaild started once for each: it runs as root, but reads nothing of what comes.
package listen

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"smail/config"
	"smail/gate"
	"smail/login"
	"smail/logline"
)

const (
	reapInterval   = 2 * time.Second        // how long a process that has ended may wait to be reaped
	expiryInterval = 100 * time.Millisecond // how late a connection that has waited too long is closed
)

// maxPreparing is how many processes get ready at once: more would only take the
// processors from those who are at work.
var maxPreparing = 2 * runtime.NumCPU()

// A Listener is what serves one service's port.
type Listener struct {
	Config     *config.Config
	ConfigPath string
	Service    string
}

// Serve accepts connections and has this program started once for each, until it
// is ended by a signal, or has had no connection for the duration idle unless
// that is 0. Sessions that run when a signal comes go on.
func (s Listener) Serve(listener int, idle time.Duration) (err error) {
	l := &listening{Listener: s, last: time.Now(), children: map[int]child{}, perAddr: map[netip.Addr]int{}}
	limit := s.Config.MaxStartups
	l.startups = gate.Startups{Exempt: s.Config.PenaltyExempt,
		Limit: gate.Limit{Begin: limit.Begin, Percent: limit.Percent, Full: limit.Full, PerNetwork: s.Config.MaxStartupsPerNetwork}}
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	l.queue.most = int(min(maxWaiting, files.Cur/4))
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
	logline.Info("listening", "service", s.Service)
	for {
		conn, _, err := syscall.Accept4(listener, syscall.SOCK_CLOEXEC)
		l.reap()
		switch err {
		case nil:
			l.come(conn)
			if l.queue.len() > 0 {
				l.hear(-1, 0) // who is ready meanwhile
			}
		case syscall.EAGAIN:
			wait := l.wait(idle)
			if wait == 0 {
				logline.Info("idle", "service", s.Service)
				return nil
			}
			l.hear(listener, wait)
			l.serveWaiting()
		case syscall.EINTR, syscall.ECONNABORTED:
		default: // out of descriptors or memory: let connections end
			logline.Error("accept", "reason", err.Error())
			l.hear(-1, 100)
			l.serveWaiting()
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
	Listener
	self     string // path of this program
	spare    spare
	queue    queue
	startups gate.Startups
	children map[int]child
	perAddr  map[netip.Addr]int
	last     time.Time // when there was a connection
	logged   time.Time // when one was turned away and that was logged
	unlogged int       // how many were since, without a line
}

// wait returns for how many milliseconds to wait for a connection: -1 is
// until there is one, 0 not at all, for there has been none for long enough.
func (l *listening) wait(idle time.Duration) int {
	switch {
	case l.queue.len() > 0:
		l.last = time.Now()
		return int(expiryInterval.Milliseconds())
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

// A child serves a connection: a monitor that has become a session, or will.
type child struct {
	addr  netip.Addr
	sock  int // until its login, of which it says so; or it just ends
	ready bool
	began time.Time
}

// hear waits for a connection, or for a process that has got ready, has logged in
// or has ended.
func (l *listening) hear(listener, milliseconds int) {
	fds := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}, {Fd: -1, Events: unix.POLLIN}}
	if l.spare.pid != 0 && !l.spare.ready {
		fds[1].Fd = int32(l.spare.sock)
	}
	var pids []int
	for pid, c := range l.children {
		if c.sock >= 0 {
			fds, pids = append(fds, unix.PollFd{Fd: int32(c.sock), Events: unix.POLLIN}), append(pids, pid)
		}
	}
	if n, err := unix.Poll(fds, milliseconds); err != nil || n == 0 {
		return
	}
	if fds[1].Revents != 0 {
		l.spare.ready = true // or it has ended, which shows when it is used
		syscall.Read(l.spare.sock, make([]byte, 1))
	}
	for i, pid := range pids {
		if fds[i+2].Revents != 0 {
			c := l.children[pid]
			l.heard(pid, &c)
			l.children[pid] = c
		}
	}
}

// heard reads what a child says: that it is ready, that somebody has logged in, or
// the end.
func (l *listening) heard(pid int, c *child) {
	word := []byte{0}
	n, _ := syscall.Read(c.sock, word)
	c.ready = true
	if n == 1 && word[0] == login.Ready {
		return
	}
	if n == 1 {
		l.queue.loggedIn(gate.Network(c.addr))
	}
	l.startups.Ended(pid, n == 1)
	syscall.Close(c.sock)
	c.sock = -1
}

// A spare is a process that waits for the next connection.
type spare struct {
	pid   int // 0: there is none
	sock  int // to send it on
	ready bool
	began time.Time
}

// preparingMost is after how long a process that is not ready waits for something
// else than a processor: it holds nobody up.
const preparingMost = 5 * time.Second

// preparing counts the processes that are getting ready.
func (l *listening) preparing() (n int) {
	at := func(ready bool, began time.Time) {
		if !ready && time.Since(began) < preparingMost {
			n++
		}
	}
	for _, c := range l.children {
		at(c.ready, c.began)
	}
	if l.spare.pid != 0 {
		at(l.spare.ready, l.spare.began)
	}
	return n
}

// come takes a connection, within the limits, and has it served when it is its turn.
func (l *listening) come(conn int) {
	peer, err := gate.Peer(conn)
	if err != nil { // it left already
		syscall.Close(conn)
		return
	}
	gone, full := l.queue.push(waiting{conn, peer.Addr(), time.Now()})
	if full {
		l.turnedAway(gone.addr)
		syscall.Close(gone.conn)
	}
	l.serveWaiting()
}

// serveWaiting gives connections processes while such can be started.
func (l *listening) serveWaiting() {
	for w, any := l.queue.expired(l.Config.LoginTimeout); any; w, any = l.queue.expired(l.Config.LoginTimeout) {
		syscall.Close(w.conn)
	}
	for l.queue.len() > 0 && l.preparing() < maxPreparing {
		w := l.queue.pop()
		if !left(w.conn) {
			l.start(w)
		}
		syscall.Close(w.conn)
	}
}

// left says whether a client has gone while it waited.
func left(conn int) bool {
	fds := []unix.PollFd{{Fd: int32(conn), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n == 1
}

// start gives a connection its own process, within the limits.
func (l *listening) start(w waiting) {
	if !l.admit(w.addr) {
		l.turnedAway(w.addr)
		return
	}
	pid, c, err := l.handOver(w)
	if err != nil {
		logline.Error("start smaild", "reason", err.Error())
		return
	}
	l.children[pid] = c
	l.perAddr[w.addr]++
	l.startups.Began(pid, w.addr)
	if err := l.startSpare(); err != nil { // then the next connection tries again
		logline.Error("start smaild", "reason", err.Error())
	}
}

// admit says whether a connection is within the limits. At the last of them it
// ends another that has not logged in.
func (l *listening) admit(addr netip.Addr) bool {
	if len(l.children) >= l.Config.MaxConnections || l.perAddr[addr] >= l.Config.MaxConnectionsPerAddress {
		return false
	}
	if l.startups.Len() >= l.Config.MaxStartups.Begin {
		l.hear(-1, 0) // who has logged in meanwhile
	}
	ok, pid := l.startups.Admit(addr)
	if pid != 0 { // its front goes with it
		syscall.Kill(pid, syscall.SIGKILL)
		l.startups.Ended(pid, false)
	}
	return ok
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
		"from_address", fmt.Sprint(l.perAddr[addr]),
		"starting", fmt.Sprint(l.startups.Len()), "from_network", fmt.Sprint(l.startups.From(addr)), "not_logged", fmt.Sprint(l.unlogged))
	l.logged, l.unlogged = time.Now(), 0
}

// handOver sends a connection to the spare, or to a new one if that has died, and how
// long it has waited.
func (l *listening) handOver(w waiting) (pid int, c child, err error) {
	waited := binary.BigEndian.AppendUint32(nil, uint32(time.Since(w.since).Milliseconds()))
	for range 2 {
		if err := l.startSpare(); err != nil {
			return 0, child{}, err
		}
		given := l.spare
		l.spare = spare{}
		err = login.SendConn(given.sock, w.conn, waited)
		if err == nil {
			err = syscall.Shutdown(given.sock, syscall.SHUT_WR) // it reads to the end
		}
		if err == nil {
			return given.pid, child{w.addr, given.sock, given.ready, given.began}, nil
		}
		syscall.Close(given.sock)
	}
	return 0, child{}, err
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
	l.spare = spare{pid: pid, sock: pair[0], began: time.Now()}
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
		if c, ours := l.children[pid]; ours {
			l.ended(pid, c)
		}
	}
}

// ended takes a child out of the count.
func (l *listening) ended(pid int, c child) {
	delete(l.children, pid)
	if l.perAddr[c.addr]--; l.perAddr[c.addr] == 0 {
		delete(l.perAddr, c.addr)
	}
	for c.sock >= 0 { // a session that was short
		l.heard(pid, &c)
	}
}
