package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"smail/config"
	"smail/sessionfile"
)

// errNobody is what kick and forget say of a name that nothing matches.
var errNobody = errors.New("no such session")

// oneArgument returns the argument of a command that wants one.
func oneArgument(command string, args []string) (string, error) {
	args, err := flags(command, args, func(*flag.FlagSet) {}, 1)
	if err == nil && len(args) != 1 {
		err = usageOf(command)
	}
	if err != nil {
		return "", err
	}
	return args[0], nil
}

// A kicked is a session that was told to end. The descriptor keeps its pid from
// becoming another process's.
type kicked struct {
	record sessionfile.Record
	pid    int
	pidfd  int
}

// kick ends the live sessions of a user, an address or a pid, and keeps their
// addresses from sending without a login.
func kick(args []string, out io.Writer) error {
	name, err := oneArgument("kick", args)
	if err != nil {
		return err
	}
	cfg, recs, err := readSessions()
	if err != nil {
		return err
	}
	var all []kicked
	for _, r := range recs {
		for _, p := range r.Sessions() {
			if !matches(r, name) && strconv.Itoa(p.PID) != name {
				continue
			}
			fd, err := tell(p)
			if errors.Is(err, unix.ESRCH) || err == errEnded { // it ends by itself
				continue
			}
			if err != nil {
				return fmt.Errorf("session %d of %s: %w", p.PID, r.User, err)
			}
			defer unix.Close(fd)
			all = append(all, kicked{r, p.PID, fd})
			_, err = sessionfile.Void(cfg.SessionFile, r.Addr)
			if err = errors.Join(err, withdraw(cfg, r.Addr)); err != nil {
				return err
			}
		}
	}
	if len(all) == 0 {
		return errNobody
	}
	seeOff(all, out)
	return nil
}

var errEnded = errors.New("it has just ended")

// tell sends the signal that a session explains to its client.
func tell(p sessionfile.Process) (pidfd int, err error) {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return -1, os.NewSyscallError("pidfd_open", err)
	}
	if !p.Runs() {
		err = errEnded
	} else {
		err = os.NewSyscallError("pidfd_send_signal", unix.PidfdSendSignal(fd, unix.SIGUSR1, nil, 0))
	}
	if err != nil {
		unix.Close(fd)
	}
	return fd, err
}

// seeOff waits a little for the end of each, and tells it again: who was just
// logging in has not heard.
func seeOff(all []kicked, out io.Writer) {
	deadline := time.Now().Add(3 * time.Second)
	for _, k := range all {
		fds := []unix.PollFd{{Fd: int32(k.pidfd), Events: unix.POLLIN}}
		note := ""
		for {
			if n, err := unix.Poll(fds, 100); n > 0 || err != nil && err != unix.EINTR {
				break
			}
			if time.Now().After(deadline) {
				note = ", which ends after the command in hand"
				break
			}
			unix.PidfdSendSignal(k.pidfd, unix.SIGUSR1, nil, 0)
		}
		fmt.Fprintf(out, "%s %s %s %d%s\n", k.record.User, k.record.Addr, k.record.Service, k.pid, note)
	}
}

// matches says whether a record is a user's or an address's.
func matches(r sessionfile.Record, name string) bool {
	addr, err := netip.ParseAddr(name)
	return r.User == name || err == nil && r.Addr == addr.Unmap().WithZone("")
}

func withdraw(cfg *config.Config, addr netip.Addr) error {
	if cfg.RelayFolder == "" {
		return nil
	}
	return sessionfile.Withdraw(cfg.RelayFolder, addr)
}

// forget drops what the session file has of a user or an address.
func forget(args []string, out io.Writer) error {
	name, err := oneArgument("forget", args)
	if err != nil {
		return err
	}
	cfg, recs, err := readSessions()
	if err != nil {
		return err
	}
	n, err := sessionfile.Forget(cfg.SessionFile, func(r sessionfile.Record) bool { return matches(r, name) })
	if err != nil {
		return err
	}
	for _, r := range recs {
		if matches(r, name) {
			if err := withdraw(cfg, r.Addr); err != nil {
				return err
			}
		}
	}
	if n == 0 {
		return errNobody
	}
	fmt.Fprintf(out, "%d records\n", n)
	return nil
}
