// Package monitor is the part of smail that runs as root. For one connection it
//
//   - starts smail-front, which speaks with the client as an unprivileged user,
//   - makes the one signature of the TLS handshake, so that the front never
//     holds the private key,
//   - asks PAM about a name and a password, three times at most,
//   - looks into and writes the session file,
//   - and becomes the user, executing the session program in its own place.
//
// It reads nothing from strangers but bounded login frames (one to sign, three
// passwords, three questions for a recent login), opens no path
// below a home, and ends at the first frame it did not expect.
package monitor

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"smail/config"
	"smail/gate"
	"smail/login"
	"smail/logline"
	"smail/pam"
	"smail/sessionfile"
)

// Services are the names smaild can be started with, and their session programs.
var Services = map[string]string{
	"imaps": "smail-imap", "imap": "smail-imap",
	"pop3s": "smail-pop3", "pop3": "smail-pop3",
	"submissions": "smail-submit", "submission": "smail-submit",
}

// A Monitor serves one service.
type Monitor struct {
	Config     *config.Config
	ConfigPath string
	Service    string
	keys       []keyPair
	read       []stamp // of the files that all this comes from
}

// New reads the configuration and checks what a login will need, but for the
// keys, which CheckKeys and Serve load: what is missing is said at the start and
// not to a client.
func New(path, service string) (*Monitor, error) {
	m := &Monitor{ConfigPath: path, Service: service, read: []stamp{stampOf(path)}}
	cfg, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	m.Config = cfg
	if Services[service] == "" {
		return nil, fmt.Errorf("unknown service %q: expected imaps, imap, pop3s, pop3, submissions or submission", service)
	}
	if err := m.service().Check(); err != nil {
		return nil, err
	}
	if len(cfg.TLSCertificates) == 0 {
		return nil, fmt.Errorf("%s: no tls_certificate: smail serves nothing without TLS", path)
	}
	if len(cfg.TLSCertificates) > login.MaxChains {
		return nil, fmt.Errorf("%s: more than %d certificates", path, login.MaxChains)
	}
	for _, program := range []string{"smail-front", Services[service]} {
		if err := executable(cfg.LibexecDir + "/" + program); err != nil {
			return nil, err
		}
	}
	_, err = m.frontRights()
	return m, err
}

func (m *Monitor) service() pam.Service {
	return pam.Service{Name: m.Config.PAMService, ConfDir: m.Config.PAMConfDir}
}

// Serve serves the connection on descriptor conn: the whole way of a login.
// After one it does not return, for the process has become the session.
func (m *Monitor) Serve(conn int) error {
	c, err := m.prepare()
	if err != nil {
		return err
	}
	return c.serve(conn)
}

// prepare does what can be done before there is a client: it starts the front
// and loads the keys.
func (m *Monitor) prepare() (*connection, error) {
	c := &connection{Monitor: m}
	m.sayLandlock()
	if err := dropInheritable(); err != nil {
		return nil, err
	}
	if Services[m.Service] != "smail-submit" {
		if err := noNewPrivileges(); err != nil {
			return nil, err
		}
	}
	if err := c.startFront(); err != nil {
		return nil, err
	}
	if err := c.loadKeys(); err != nil { // while the front starts
		c.endFront()
		return nil, err
	}
	return c, nil
}

// serve is the way of one client to its login.
func (c *connection) serve(conn int) (err error) {
	if c.peer, err = gate.Peer(conn); err != nil {
		c.endFront()
		if errors.Is(err, syscall.ENOTCONN) { // the client left at once
			return nil
		}
		return fmt.Errorf("peer of the connection: %w", err)
	}
	// A session that hands mail to sendmail, which is setgid, must be able to gain
	// rights. It is settled only now: a spare that begins anew could not take it back.
	if Services[c.Service] == "smail-submit" && c.Config.Relay.Kind != "sendmail" {
		if err := noNewPrivileges(); err != nil {
			c.endFront()
			return err
		}
	}
	logline.Always("service", c.Service, "peer", c.peer.Addr().String())
	c.deadline = time.Now().Add(c.Config.LoginTimeout - c.waited)
	c.timer = time.AfterFunc(time.Until(c.deadline)+overtime, func() { os.Exit(1) }) // the front goes with it
	if err := c.sendSetup(conn); err != nil {
		c.endFront()
		return err
	}
	for {
		req, err := c.readRequest()
		switch {
		case errors.Is(err, login.ErrEOF): // the client left before it logged in
			c.endFront() // an honest one closes this channel only by ending
			return nil
		case err != nil: // time is up, or the front is not what we started
			c.endFront()
			return fmt.Errorf("read from smail-front: %w", err)
		}
		if err := c.answer(req); err != nil {
			c.endFront()
			if errors.Is(err, login.ErrEOF) {
				return nil
			}
			return err
		}
	}
}

// endFront kills the front. One that may not be killed, for want of CAP_KILL,
// ends with this process.
func (c *connection) endFront() {
	if !c.frontGone() && syscall.Kill(c.front, syscall.SIGKILL) == nil {
		syscall.Wait4(c.front, nil, 0, nil)
	}
}

// noNewPrivileges keeps this thread, all that it starts and what it becomes from
// gaining rights by executing a program.
func noNewPrivileges() error {
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
}

// frontGone says whether the front has ended.
func (c *connection) frontGone() bool {
	pid, err := syscall.Wait4(c.front, nil, syscall.WNOHANG, nil)
	return pid == c.front || err == syscall.ECHILD
}

// A connection is one client's way to its login.
type connection struct {
	*Monitor
	peer     netip.AddrPort
	waited   time.Duration // by the client, for its turn
	deadline time.Time     // for the login in all
	timer    *time.Timer
	front    int // pid
	login    int // SOCK_SEQPACKET to the front
	mail     int // SOCK_STREAM that becomes the session's 0 and 1
	setup    int // SOCK_STREAM to the front
	listener int // SOCK_STREAM to the listener, or 0: there is none
	pam      *pam.Prepared
	signed   bool
	tries    int  // of password
	asked    int  // of recent
	entered  bool // PAM's session of a user was opened: what it left on this process is his
}

// overtime is what a login may take once PAM, or the wait for it, is slow; the
// front has left by then.
const overtime = 5 * time.Second

func (c *connection) readRequest() (*login.Request, error) {
	// The front's own clock runs out first; a second more tells a slow front
	// from one that ignores its clock.
	left := time.Until(c.deadline) + time.Second
	tv := syscall.NsecToTimeval(max(left, time.Millisecond).Nanoseconds())
	if err := syscall.SetsockoptTimeval(c.login, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &tv); err != nil {
		return nil, err
	}
	return login.ReadRequest(c.login)
}

// answer carries out one request. Its error ends the connection.
func (c *connection) answer(req *login.Request) error {
	switch req.Kind {
	case login.KindSign:
		if c.signed {
			return errors.New("smail-front asked for a second signature")
		}
		c.signed = true
		sig, err := c.sign(req)
		if err != nil {
			return fmt.Errorf("sign for smail-front: %w", err)
		}
		if err := login.WriteAnswer(c.login, login.Answer{Status: login.Signed, Data: sig}); err != nil {
			return err
		}
		if c.pam == nil {
			c.pam = c.service().Prepare() // while the client finishes the handshake
		}
		return nil
	case login.KindPassword:
		if c.tries++; c.tries > login.MaxTries {
			return errors.New("smail-front asked for too many logins")
		}
		if c.entered {
			return login.WriteAnswer(c.login, login.Answer{Status: login.Unavailable})
		}
		return c.password(req)
	case login.KindRecent:
		if c.asked++; c.asked > login.MaxTries || !c.relays() {
			return errors.New("smail-front asked for what its service has not")
		}
		if c.entered {
			return login.WriteAnswer(c.login, login.Answer{Status: login.Unavailable})
		}
		return c.recent()
	}
	return errors.New("smail-front sent an unexpected frame")
}

// Refusals of a password come at one moment, whatever the reason was: the time
// must tell neither names that exist nor passwords that are right but of no use
// here. It is counted from the password's turn, which the one before has not shifted.
// PAM's own delay would be one more, and random; package pam leaves it out.
const refusalDelay = 2 * time.Second

func (c *connection) password(req *login.Request) error {
	start := time.Now()
	var who *account
	var slot *gate.Slot
	err := checkPassword(req.Password)
	if err == nil {
		who, slot, err = c.check(req.Name, req.Password)
	}
	defer slot.Leave()
	if slot != nil {
		start = slot.Since()
	}
	if errors.Is(err, login.ErrEOF) {
		return err
	}
	if errors.Is(err, pam.ErrRefused) {
		c.failed(req.Name, req.Password)
	}
	clear(req.Password)
	if err == nil {
		slot.Leave() // for this process does not return
		return c.become(who, entry{by: "password"})
	}
	name := c.loggable(req.Name) // before the wait: a look-up takes its time too
	// Where PAM took longer still, at the next multiple.
	time.Sleep(refusalDelay - time.Since(start)%refusalDelay)
	return c.refuse(err, name)
}

// checkPassword refuses what PAM would not see as it is: it reads up to a NUL, and
// a module may take nothing for a question unasked.
func checkPassword(password []byte) error {
	switch {
	case len(password) == 0:
		return fmt.Errorf("empty password: %w", pam.ErrRefused)
	case bytes.IndexByte(password, 0) >= 0:
		return fmt.Errorf("NUL in the password: %w", pam.ErrRefused)
	}
	return nil
}

// authenticate finds the account that name and password open. A nil password
// only looks whether the account is good.
func (c *connection) authenticate(name string, password []byte) (*account, error) {
	name = c.localName(name)
	if err := checkName(name); err != nil {
		return nil, err
	}
	prepared := c.pam
	c.pam = nil // for one transaction
	tx, err := c.service().Start(prepared, name, password, c.peer.Addr().String())
	if err != nil {
		return nil, err
	}
	who, err := c.lookup(tx.User)
	if err != nil {
		tx.Close()
		return nil, err
	}
	who.tx = tx
	return who, nil
}

// loggable returns a name that is an account's. One that is not may be a
// password typed into the wrong field.
func (c *connection) loggable(name string) string {
	name = c.localName(name)
	if checkName(name) != nil {
		return ""
	}
	if _, err := lookupUser(name); err != nil {
		return ""
	}
	return name
}

// refuse logs why, and tells the front only whether the client is to blame.
func (c *connection) refuse(err error, name string) error {
	if errors.Is(err, sessionfile.ErrTooMany) {
		logline.Warn("login unavailable", "user", name, "reason", err.Error())
		return login.WriteAnswer(c.login, login.Answer{Status: login.Full})
	}
	if !errors.Is(err, pam.ErrRefused) {
		logline.Error("login unavailable", "user", name, "reason", err.Error())
		return login.WriteAnswer(c.login, login.Answer{Status: login.Unavailable})
	}
	logline.Warn("login refused", "user", name, "reason", err.Error())
	return login.WriteAnswer(c.login, login.Answer{Status: login.Refused})
}

// An entry is how a client got in, which the session is told.
type entry struct {
	by     string // "password" or "recent"
	since  string // recent: the first login that it goes back to, since boot
	counts int    // the descriptor of the file in which submission counts, or -1
	auth   int    // that of relay_auth, or -1
}

// become opens and closes PAM's session, writes the session file, tells the
// front, and turns this process into the user's session.
func (c *connection) become(who *account, e entry) error {
	if err := c.enter(who, &e); err != nil {
		who.tx.Close()
		return c.refuse(err, who.name)
	}
	logline.Info("login", "user", who.name, "by", e.by)
	if c.listener != 0 {
		syscall.Sendto(c.listener, []byte{login.LoggedIn}, syscall.MSG_NOSIGNAL|syscall.MSG_DONTWAIT, nil)
	}
	if c.Config.PAMSession == "held" {
		return c.holdSession(who, e)
	}
	if err := who.tx.Close(); err != nil {
		logline.Warn("PAM session not closed", "user", who.name, "reason", err.Error())
	}
	if err := login.WriteAnswer(c.login, login.Answer{Status: login.OK}); err != nil {
		return fmt.Errorf("answer smail-front: %w", err)
	}
	return c.execSession(who, e)
}

// enter does what root must do for a user's session before it starts.
func (c *connection) enter(who *account, e *entry) (err error) {
	if err := who.setGroups(); err != nil {
		return err
	}
	c.entered = true
	if err := who.tx.OpenSession(); err != nil {
		return err
	}
	e.counts = -1
	if Services[c.Service] == "smail-submit" && (e.by == "recent" || c.Config.RateLimit != config.RateLimit{}) {
		if e.counts, err = c.openCounts(who); err != nil {
			return fmt.Errorf("file of counts: %w", err)
		}
	}
	if e.auth, err = c.relayAuth(); err != nil {
		return err
	}
	return c.record(who, e.by == "recent") // last: a login that fails lets nobody send
}
