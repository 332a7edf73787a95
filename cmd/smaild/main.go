// Command smaild is the monitor: the one program of smail that runs as root.
//
//	smaild [-config FILE] [-idle DURATION] [-spare] imaps|imap|pop3s|pop3|submissions|submission
//
// It serves the connection on descriptor 0 (inetd, nowait) or on the one that
// systemd passed (Accept=yes). Where that is a listening socket, it accepts
// connections and starts itself for each, one ahead, with -spare; with -idle it
// ends when there has been none for so long, for systemd to start it again.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"

	"smail/config"
	"smail/listen"
	"smail/logline"
	"smail/monitor"
)

// timerSlack, in nanoseconds, is how much later than asked the kernel may wake a
// thread. The usual 50 microseconds would have the watcher thread of Go's runtime
// run ten thousand times a second in every process that works.
const timerSlack = 1_000_000

// PAM's modules must run on the process's first thread. What it starts takes its
// timer slack over.
func init() {
	runtime.LockOSThread()
	unix.Prctl(unix.PR_SET_TIMERSLACK, timerSlack, 0, 0, 0)
}

func main() {
	path := flag.String("config", config.DefaultPath, "configuration `file`")
	idle := flag.Duration("idle", 0, "on a listening socket: end after this `duration` without a connection; 0 is never")
	spare := flag.Bool("spare", false, "wait on descriptor 0 for a connection from the smaild that listens")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: smaild [-config FILE] [-idle DURATION] [-spare] imaps|imap|pop3s|pop3|submissions|submission")
		flag.PrintDefaults()
	}
	if isSocket(0) && sameFile(0, 2) { // inetd's: a client is no log
		logline.ToSyslog()
	}
	conn, err := inherited()
	flag.Parse()
	if flag.NArg() != 1 || monitor.Services[flag.Arg(0)] == "" {
		flag.Usage()
		os.Exit(2)
	}
	if err == nil {
		err = run(*path, flag.Arg(0), conn, *idle, *spare)
	}
	if err != nil {
		logline.Error("smaild ends", "reason", err.Error())
		os.Exit(1)
	}
}

func run(path, service string, conn int, idle time.Duration, spare bool) error {
	syscall.Umask(0o077)
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if spare {
		return monitor.Spare(path, service, conn)
	}
	listening, _ := syscall.GetsockoptInt(conn, syscall.SOL_SOCKET, unix.SO_ACCEPTCONN)
	m, err := monitor.New(path, service)
	if err == nil && listening == 0 {
		return m.Serve(conn)
	}
	if err == nil {
		err = m.CheckKeys()
	}
	if err == nil {
		if os.Getuid() != 0 {
			logline.Warn("not root: only the user of this smaild can log in", "uid", fmt.Sprint(os.Getuid()))
		}
		err = listen.Listener{Config: m.Config, ConfigPath: path, Service: service}.Serve(conn, idle)
	}
	if err != nil && listening == 1 {
		listen.TurnAway(conn)
	}
	return err
}

// inherited finds the socket that smaild was started with. Everything else
// that was left open goes no further than this process.
func inherited() (int, error) {
	conn := 0
	if files := activation.Files(true); len(files) == 1 {
		fd, err := syscall.Dup(int(files[0].Fd()))
		if err != nil {
			return 0, os.NewSyscallError("dup", err)
		}
		files[0].Close()
		conn = fd
	} else if len(files) > 1 {
		return 0, fmt.Errorf("%d sockets passed: smaild serves one", len(files))
	}
	if err := monitor.CloseOnExec(3); err != nil {
		return 0, err
	}
	if !isSocket(conn) {
		return 0, fmt.Errorf("no socket on descriptor %d: start smaild from systemd or inetd", conn)
	}
	return conn, nil
}

func isSocket(fd int) bool {
	_, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, unix.SO_TYPE)
	return err == nil
}

func sameFile(a, b int) bool {
	var x, y syscall.Stat_t
	return syscall.Fstat(a, &x) == nil && syscall.Fstat(b, &y) == nil && x.Dev == y.Dev && x.Ino == y.Ino
}
