// Command smail-policyd tells the MTA who may send without a login, from the
// session file alone.
//
//	smail-policyd [-config FILE] [-idle DURATION]
//
// It serves the socket that systemd or inetd gives it: one connection, or one
// that listens. It must not be root, and asks nobody anything.
package main

import (
	"errors"
	"flag"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"

	"smail/config"
	"smail/logline"
)

// maxClients bounds the connections at once, of which Postfix keeps one for each
// of its processes.
const maxClients = 500

func main() {
	path := flag.String("config", config.DefaultPath, "configuration `file`")
	idle := flag.Duration("idle", 0, "on a listening socket: end after this `duration` without a connection; 0 is never")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	var err error
	switch {
	case os.Geteuid() == 0:
		err = errors.New("smail-policyd must not be root")
	default:
		err = run(*path, *idle)
	}
	if err != nil {
		logline.Error("smail-policyd ends", "reason", err.Error())
		os.Exit(1)
	}
}

func run(path string, idle time.Duration) error {
	f := os.Stdin
	if files := activation.Files(true); len(files) == 1 {
		f = files[0]
	} else if len(files) > 1 {
		return errors.New("more than one socket passed")
	}
	s := &server{configPath: path}
	if _, err := config.Load(path); err != nil {
		return err
	}
	accepts, err := unix.GetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return errors.New("no socket: start smail-policyd from systemd or inetd")
	}
	if accepts == 1 {
		l, err := net.FileListener(f)
		if err != nil {
			return err
		}
		return s.listen(l, idle)
	}
	conn, err := net.FileConn(f)
	if err != nil {
		return err
	}
	s.serve(conn)
	return nil
}

// listen serves connections until none was there for idle.
func (s *server) listen(l net.Listener, idle time.Duration) error {
	open := &clients{since: map[net.Conn]time.Time{}}
	for {
		if d, ok := l.(interface{ SetDeadline(time.Time) error }); ok && idle > 0 {
			d.SetDeadline(time.Now().Add(idle))
		}
		conn, err := l.Accept()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if open.count() == 0 {
				return nil
			}
			continue
		}
		if outOfSomething(err) { // others will leave
			time.Sleep(100 * time.Millisecond)
			continue
		}
		if err != nil {
			return err
		}
		open.add(conn)
		go func() {
			defer open.remove(conn)
			s.serve(heard{conn, open})
		}()
	}
}

// outOfSomething says whether an error of accept(2) is one that passes.
func outOfSomething(err error) bool {
	for _, passing := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}

// clients are the connections that are open, and since when each is silent.
type clients struct {
	mu    sync.Mutex
	since map[net.Conn]time.Time
}

// add makes room by ending the one that has been silent for longest: an MTA connects
// anew, and nobody can keep it out by saying nothing.
func (c *clients) add(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.since) >= maxClients {
		oldest := conn
		for other, since := range c.since {
			if oldest == conn || since.Before(c.since[oldest]) {
				oldest = other
			}
		}
		oldest.Close()
		delete(c.since, oldest)
	}
	c.since[conn] = time.Now()
}

func (c *clients) remove(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.since, conn)
}

func (c *clients) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.since)
}

// A heard connection notes when its client has said something.
type heard struct {
	net.Conn
	among *clients
}

func (h heard) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	h.among.mu.Lock()
	defer h.among.mu.Unlock()
	if _, there := h.among.since[h.Conn]; there && n > 0 {
		h.among.since[h.Conn] = time.Now()
	}
	return n, err
}
