package monitor

import (
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"smail/logline"
)

// Listen accepts connections and starts this program once for each, until
// SIGTERM or SIGINT. Sessions that run then go on.
func (m *Monitor) Listen(listener int) error {
	l := &listening{Monitor: m, fd: listener, children: map[int]netip.Addr{}, perAddr: map[netip.Addr]int{}}
	// Fronts outlive their monitors by an instant: they come to us to be reaped.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	if err := syscall.SetNonblock(listener, true); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	events := make(chan os.Signal, 8)
	signal.Notify(events, syscall.SIGCHLD, syscall.SIGTERM, syscall.SIGINT)
	accepted := make(chan int)
	go l.accept(accepted)
	logline.Info("listening", "service", m.Service)
	for {
		select {
		case s := <-events:
			if s != syscall.SIGCHLD {
				return nil
			}
			l.reap()
		case conn := <-accepted:
			l.start(conn)
		}
	}
}

type listening struct {
	*Monitor
	fd       int
	children map[int]netip.Addr
	perAddr  map[netip.Addr]int
}

func (l *listening) accept(accepted chan<- int) {
	for {
		conn, _, err := syscall.Accept4(l.fd, syscall.SOCK_CLOEXEC)
		switch err {
		case nil:
			accepted <- conn
		case syscall.EAGAIN:
			p := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}
			unix.Poll(p, -1)
		case syscall.EINTR, syscall.ECONNABORTED:
		default: // out of descriptors or memory: let connections end
			logline.Error("accept", "reason", err.Error())
			time.Sleep(100 * time.Millisecond)
		}
	}
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
		logline.Warn("too many connections", "service", l.Service, "peer", addr.String(),
			"in_all", fmt.Sprint(len(l.children)), "from_address", fmt.Sprint(l.perAddr[addr]))
		return
	}
	env := append(os.Environ(), "GOMAXPROCS=1")
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"smaild", "-config", l.ConfigPath, l.Service},
		&syscall.ProcAttr{Dir: "/", Env: env, Files: []uintptr{uintptr(conn), uintptr(conn), 2}})
	if err != nil {
		logline.Error("start smaild", "reason", err.Error())
		return
	}
	l.children[pid] = addr
	l.perAddr[addr]++
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
		if addr, ours := l.children[pid]; ours {
			delete(l.children, pid)
			if l.perAddr[addr]--; l.perAddr[addr] == 0 {
				delete(l.perAddr, addr)
			}
		}
	}
}
