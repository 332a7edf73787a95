package monitor

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"smail/gate"
	"smail/internal/boottime"
	"smail/login"
	"smail/logline"
	"smail/sessionfile"
)

// check asks about a name and a password when it is their turn: after what the
// network and the name have against them, and with no more passwords being checked
// at once than there are cores. Until the slot is left, no other of the network's is
// checked: an answer must not tell how long the one before took.
func (c *connection) check(name string, password []byte) (*account, *gate.Slot, error) {
	local := c.localName(name)
	known := c.known(local)
	turn := func() bool {
		if wait := c.wait(local); wait > 0 && !known {
			time.Sleep(wait)
		}
		return !c.frontLeft()
	}
	slot, err := gate.Enter(c.inRun("checking"), runtime.NumCPU(), c.line(known), turn)
	if err != nil { // /run is full: passwords are still checked
		logline.Error("no turn for a password", "reason", err.Error())
	} else if slot == nil {
		return nil, nil, login.ErrEOF
	}
	who, err := c.authenticate(name, password)
	slot.Done()
	return who, slot, err
}

// line returns the line in which a password waits: its network's, but a line of its own
// for who is known here, since strangers may be in the other.
func (c *connection) line(known bool) int64 {
	own := gate.AnyLine(os.Getpid())
	if known || c.Config.PenaltyExempt(c.peer.Addr()) {
		return own
	}
	p, err := gate.OpenPenalties(c.inRun("penalties"))
	if err != nil {
		logline.Error("penalties", "reason", err.Error())
		return own
	}
	defer p.Close()
	return p.Line(c.peer.Addr())
}

// knownFor is how long a user is known at an address after a login and without a
// session: it may be another's by then.
const knownFor = time.Hour

// known says whether the user has logged in from the peer's address of late: then
// what others try costs him nothing.
func (c *connection) known(name string) bool {
	recs, err := sessionfile.At(c.Config.SessionFile, c.peer.Addr())
	return err == nil && slices.ContainsFunc(recs, func(r sessionfile.Record) bool {
		return r.User == name && !r.Visit && (boottime.Now()-r.Last < knownFor || len(r.Sessions()) > 0)
	})
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
