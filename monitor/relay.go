package monitor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"smail/login"
	"smail/logline"
	"smail/pam"
	"smail/sender"
	"smail/sessionfile"
)

// rule says who may send without a login of his own.
func (m *Monitor) rule() sessionfile.Rule {
	return sessionfile.Rule{Window: m.Config.RelayWindow, LiveOnly: m.Config.RelayLiveOnly, Deny: m.Config.RelayDenyNetworks}
}

// relays says whether the service takes mail without a login of its own.
func (c *connection) relays() bool {
	return Services[c.Service] == "smail-submit" && c.Config.RelayWindow > 0
}

// recent lets the user in who was last seen at the peer's address.
func (c *connection) recent() error {
	r, ok, err := sessionfile.Grant(c.Config.SessionFile, c.peer.Addr(), c.rule())
	if err != nil {
		return c.refuse(err, "")
	}
	if !ok { // nobody has failed to log in: a client that has not tried gets here
		return login.WriteAnswer(c.login, login.Answer{Status: login.Refused})
	}
	who, err := c.authenticate(r.User, nil)
	if err == nil && who.uid != r.UID {
		err = fmt.Errorf("%s has another uid than at the login: %w", r.User, pam.ErrRefused)
	}
	if err != nil {
		return c.refuse(err, r.User)
	}
	return c.become(who, entry{by: "recent", since: r.First.String()})
}

// record enters a login in the session file. One by a recent login makes nobody
// recent: sending must not prolong itself.
func (c *connection) record(who *account, recent bool) error {
	r := sessionfile.New(who.uid, who.name, c.peer.Addr(), c.Service)
	if recent {
		r = sessionfile.NewVisit(who.uid, who.name, c.peer.Addr(), c.Service)
	}
	err := sessionfile.Add(c.Config.SessionFile, r, c.Config.RelayWindow, c.Config.MaxSessionsPerUser)
	if errors.Is(err, sessionfile.ErrTooMany) {
		return err
	}
	if err == nil && !recent && c.Config.RelayFolder != "" && !c.Config.RelayLiveOnly { // the MTA cannot see who is live
		err = sessionfile.Announce(c.Config.SessionFile, c.Config.RelayFolder, c.peer.Addr(), c.rule(), c.addresses)
	}
	if err != nil { // costs the user nothing but sending without a login
		logline.Error("session file not written", "reason", err.Error())
	}
	return nil
}

// addresses returns those that are a user's.
func (c *connection) addresses(user string) []string {
	own, err := sender.Of(user, c.Config.Hostname, c.Config.LoginDomains, c.Config.SendersFile)
	if err != nil {
		logline.Warn("senders file", "reason", err.Error())
	}
	return own.List()
}

// void keeps an address with a wrong password from sending without one.
func (c *connection) void() {
	_, err := sessionfile.Void(c.Config.SessionFile, c.peer.Addr())
	if err == nil && c.Config.RelayFolder != "" {
		err = sessionfile.Withdraw(c.Config.RelayFolder, c.peer.Addr())
	}
	if err != nil {
		logline.Error("session file not written", "reason", err.Error())
	}
}

// openCounts opens the file in which a user's submission sessions count what
// they send: root's, for a user could fill /run with one of his own.
func (c *connection) openCounts(who *account) (int, error) {
	dir := c.inRun("counts")
	if err := sessionfile.MakeFolder(dir); err != nil {
		return -1, err
	}
	path := filepath.Join(dir, strconv.Itoa(who.uid))
	open := func() (int, error) {
		return syscall.Open(path, syscall.O_CREAT|syscall.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0o600)
	}
	fd, err := open()
	var st syscall.Stat_t
	if err == nil {
		err = syscall.Fstat(fd, &st)
	}
	if err == nil && int(st.Uid) != os.Geteuid() { // of a version that made it the user's
		syscall.Close(fd)
		err = syscall.EACCES
	}
	if err == syscall.EACCES {
		if err := os.Remove(path); err != nil {
			return -1, err
		}
		fd, err = open()
	}
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", path, err)
	}
	return fd, nil
}

// relayAuth opens the file with the name and the password for the next hop,
// which nobody but root can read, for the session to read once. Without one it
// returns -1.
func (c *connection) relayAuth() (int, error) {
	path := c.Config.RelayAuth
	if path == "" || Services[c.Service] != "smail-submit" || c.Config.Relay.Kind != "smtp" && c.Config.Relay.Kind != "smtps" {
		return -1, nil
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", path, err)
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		syscall.Close(fd)
		return -1, fmt.Errorf("stat %s: %w", path, err)
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFREG || int(st.Uid) != os.Getuid() || st.Mode&0o077 != 0 {
		syscall.Close(fd)
		return -1, fmt.Errorf("%s must be a file of root's that nobody else can read", path)
	}
	return fd, nil
}
