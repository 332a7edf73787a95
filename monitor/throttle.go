package monitor

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"smail/gate"
	"smail/login"
	"smail/logline"
	"smail/sessionfile"
)

// check asks about a name and a password when it is their turn: after what the
// network and the name have against them, and with no more passwords being checked
// at once than there are cores.
func (c *connection) check(name string, password []byte) (*account, error) {
	local := c.localName(name)
	turn := func() bool {
		if wait := c.wait(local); wait > 0 && !c.known(local) {
			time.Sleep(wait)
		}
		return !c.frontLeft()
	}
	line := gate.Line(c.peer.Addr())
	if c.Config.PenaltyExempt(c.peer.Addr()) {
		line = gate.AnyLine(os.Getpid())
	}
	slot, err := gate.Enter(c.inRun("checking"), runtime.NumCPU(), line, turn)
	if err != nil { // /run is full: passwords are still checked
		logline.Error("no turn for a password", "reason", err.Error())
	} else if slot == nil {
		return nil, login.ErrEOF
	}
	defer slot.Leave()
	return c.authenticate(name, password)
}

// known says whether the user has logged in from the peer's address of late: then
// what others try costs him nothing.
func (c *connection) known(name string) bool {
	recs, err := sessionfile.At(c.Config.SessionFile, c.peer.Addr())
	return err == nil && slices.ContainsFunc(recs, func(r sessionfile.Record) bool { return r.User == name })
}

// wait returns how long the password waits.
func (c *connection) wait(name string) time.Duration {
	p, err := gate.OpenPenalties(c.inRun("penalties"))
	if err != nil {
		logline.Error("penalties", "reason", err.Error())
		return 0
	}
	defer p.Close()
	network, ofName, err := p.Wait(c.peer.Addr(), name)
	if err != nil {
		logline.Error("penalties", "reason", err.Error())
	}
	if c.Config.PenaltyExempt(c.peer.Addr()) {
		network = 0
	}
	return max(network, ofName)
}

// failed enters a wrong password: the address sends nothing without a login of
// its own, and waits for the next.
func (c *connection) failed(name string, password []byte) {
	c.void()
	p, err := gate.OpenPenalties(c.inRun("penalties"))
	if err == nil {
		err = p.Failed(c.peer.Addr(), c.localName(name), password)
		p.Close()
	}
	if err != nil {
		logline.Error("penalties", "reason", err.Error())
	}
}

// frontLeft says whether nobody waits for the answer any more.
func (c *connection) frontLeft() bool {
	fds := []unix.PollFd{{Fd: int32(c.login)}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n == 1 && fds[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
}

// inRun is a file beside the session file.
func (m *Monitor) inRun(name string) string {
	return filepath.Join(filepath.Dir(m.Config.SessionFile), name)
}
