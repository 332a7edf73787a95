// Package session is what the three session programs have in common: they run
// as the user whose mail it is, on descriptors 0 and 1, started by smaild
// after a login or by the user himself, as over ssh.
package session

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"os/user"
	"strconv"
	"sync"
	"syscall"
	"time"

	"smail/config"
	"smail/login"
	"smail/logline"
)

// A Session is one run of a session program.
type Session struct {
	Config  *config.Config
	Conn    *Conn
	Hello   *login.Hello // nil if no front was before us
	User    string
	Home    string
	Peer    string // the client's address; empty without a front
	Service string
	Recent  bool   // no password was given: see relay_window
	Since   string // then: the first login that this goes back to
	start   time.Time
}

// Begin reads the arguments and the environment that smaild set, and makes
// sure that this process is not root and never will be.
func Begin() (*Session, error) {
	path := flag.String("config", config.DefaultPath, "configuration `file`")
	afterLogin := flag.Bool("login", false, "continue where smail-front has stopped")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := checkRights(); err != nil {
		return nil, err
	}
	if err := noCore(); err != nil {
		return nil, err
	}
	s := &Session{start: time.Now(), User: os.Getenv("USER"), Home: os.Getenv("HOME"),
		Peer: os.Getenv("SMAIL_PEER"), Service: os.Getenv("SMAIL_SERVICE"), Recent: os.Getenv("SMAIL_BY") == "recent", Since: os.Getenv("SMAIL_SINCE")}
	if !*afterLogin {
		*s = Session{start: s.start, User: s.User, Home: s.Home}
	}
	if s.User == "" || s.Home == "" {
		u, err := user.Current()
		if err != nil {
			return nil, err
		}
		s.User, s.Home = u.Username, u.HomeDir
	}
	logline.Always("user", s.User, "service", s.Service, "peer", s.Peer)
	syscall.Umask(0o077)
	var err error
	if s.Config, err = config.Load(*path); err != nil {
		// By hand it works on a machine where smail was never set up.
		if *afterLogin || !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		s.Config = config.Default()
	}
	if s.Conn, err = openConn(s.Config.IdleTimeout); err != nil {
		return nil, err
	}
	if *afterLogin {
		if s.Hello, err = login.ReadHello(s.Conn); err != nil {
			return nil, fmt.Errorf("hello of smail-front: %w", err)
		}
	}
	return s, nil
}

// End logs the session's one line: what it did, and why it ended.
func (s *Session) End(reason error, did ...string) {
	pairs := []string{"seconds", fmt.Sprintf("%.1f", time.Since(s.start).Seconds()),
		"in", strconv.FormatInt(s.Conn.In, 10), "out", strconv.FormatInt(s.Conn.Out, 10)}
	if s.Hello != nil {
		pairs = append(pairs, "tls", s.Hello.TLS, "cipher", s.Hello.Cipher)
	}
	pairs = append(pairs, did...)
	if reason != nil {
		pairs = append(pairs, "reason", reason.Error())
	}
	logline.Info("end", pairs...)
}

// Fail logs why a session could not begin. The client hears of it from
// whoever was to be told; nothing of the reason is for him.
func Fail(err error) {
	logline.Error("session ends", "reason", err.Error())
}

// A Conn is the client's side: what the front pumps, or plain pipes.
type Conn struct {
	In, Out     int64 // bytes, as the session sees them
	in, out     *os.File
	timeout     time.Duration
	mu          sync.Mutex // an interrupt and its deadline go together
	interrupted bool
	ending      string
	hung        bool // nothing is read any more
}

func openConn(timeout time.Duration) (*Conn, error) {
	var st syscall.Stat_t
	if err := syscall.Fstat(0, &st); err != nil {
		return nil, os.NewSyscallError("stat", err)
	}
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFSOCK:
		if err := syscall.SetNonblock(0, true); err != nil {
			return nil, os.NewSyscallError("fcntl", err)
		}
		f := os.NewFile(0, "client")
		return &Conn{in: f, out: f, timeout: timeout}, nil
	case syscall.S_IFIFO: // so that reading can be interrupted
		if err := syscall.SetNonblock(0, true); err != nil {
			return nil, os.NewSyscallError("fcntl", err)
		}
	}
	return &Conn{in: os.NewFile(0, "client"), out: os.NewFile(1, "client"), timeout: timeout}, nil
}

// ErrInterrupted is what Read returns after Interrupt.
var ErrInterrupted = errors.New("interrupted")

// Read waits for the client, for no longer than the idle timeout.
func (c *Conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	if c.hung {
		defer c.mu.Unlock()
		return 0, c.errHung()
	}
	c.in.SetReadDeadline(time.Now().Add(c.timeout)) // a terminal has none
	interrupted := c.interrupted
	c.interrupted = false
	c.mu.Unlock()
	if interrupted {
		return 0, ErrInterrupted
	}
	n, err := c.in.Read(p)
	c.In += int64(n)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hung && errors.Is(err, os.ErrDeadlineExceeded) {
		return n, c.errHung()
	}
	if c.interrupted && errors.Is(err, os.ErrDeadlineExceeded) {
		c.interrupted = false
		return n, ErrInterrupted
	}
	return n, err
}

// Interrupt ends a Read that waits, or the next one, from another goroutine.
func (c *Conn) Interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interrupted = true
	c.in.SetReadDeadline(time.Unix(1, 0))
}

// HeedSignals makes SIGTERM, and SIGUSR1 of smailctl kick, an Interrupt; Ending
// says which it was. Without it SIGTERM ends the process at once, and SIGUSR1 does
// nothing. lastWords is what an answer may take that comes when nothing is read any more.
func (c *Conn) HeedSignals(lastWords time.Duration) {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGUSR1)
	go func() {
		reason := "The server is going down"
		if <-end == syscall.SIGUSR1 {
			reason = "The administrator has ended this session"
		}
		c.mu.Lock()
		c.ending = reason
		c.mu.Unlock()
		c.Interrupt()
		time.AfterFunc(LastWait, func() { c.hangUp(lastWords) })
	}()
}

// LastWait is how long the client may take over the command in hand once the session is
// to end, and then over an answer: else it would decide itself, with a command that it
// never ends, or an answer that it does not take.
const LastWait = 30 * time.Second

func (c *Conn) hangUp(lastWords time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hung = true
	c.in.SetReadDeadline(time.Unix(1, 0))
	c.out.SetWriteDeadline(time.Now().Add(lastWords))
}

// errHung is why a session ends that did not end by itself when it was to.
func (c *Conn) errHung() error { return errors.New(c.ending + ", and the client did not wait for it") }

// Ending says why the process is to end; it is empty while it is not.
func (c *Conn) Ending() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ending
}

// Calm takes back an Interrupt that no Read has seen.
func (c *Conn) Calm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interrupted = false
}

// SetTimeout sets how long a Read may wait.
func (c *Conn) SetTimeout(d time.Duration) { c.timeout = d }

func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.out.Write(p)
	c.Out += int64(n)
	return n, err
}
