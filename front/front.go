// Package front speaks with the client until it has logged in, and pumps bytes
// from then on.
//
// It runs as user smail in a process of its own, opens no file, and holds
// nothing but its own connection's TLS state: not even the private key, with
// which the monitor signs for it. All that it reads is hostile.
package front

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"smail/login"
	"smail/logline"
)

// A front is one client before its login.
type front struct {
	setup *login.Setup
	conn  net.Conn // TCP, then TLS
	tls   *tls.Conn
	r     *bufio.Reader
	mail  *net.UnixConn
	state tls.ConnectionState
	tries int    // failed logins
	early string // a command that was read but is the session's to answer
	ask   func(*login.Request) (login.Status, error)
}

// A dialogue speaks one protocol until the monitor has let the client in; it
// returns what the session is told first. With a nil Hello the client left or
// was sent away.
type dialogue interface {
	run() (*login.Hello, error)
	// gone is said when the session ended without a word to the client.
	gone() string
	// late is said when login_timeout is over.
	late() string
}

// errBye ends a connection about which all has been said to the client.
var errBye = errors.New("sent away")

// errForeign ends a connection on which another protocol is spoken, without a
// word: a browser that was sent here must get nothing that it could take for an answer.
var errForeign = errors.New("HTTP, or a proxy's header")

// foreign says whether a line's first word begins a request of HTTP (RFC 9110
// section 9.3, RFC 5789, RFC 9113 section 3.4) or a proxy's header.
func foreign(word string) bool {
	switch word {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PRI", "PROXY":
		return true
	}
	return false
}

const tooMany = "You are logged in too many times"

// errStartTLS makes the dialogue start anew over TLS.
var errStartTLS = errors.New("starttls")

// Run serves the connection that the monitor left on the descriptors of
// package login, and returns when it has ended.
func Run() error {
	if err := closeStrangers(); err != nil {
		return err
	}
	mail, err := connOf(login.FDMail, "mail") // the first: it starts the runtime's poller
	if err != nil {
		return fmt.Errorf("%w; smail-front is started by smaild", err)
	}
	if err := Confine(); err != nil {
		return err
	}
	f := &front{mail: mail.(*net.UnixConn), ask: askMonitor}
	if err := f.receive(); err != nil {
		if err == io.EOF { // there will be no connection
			return nil
		}
		return err
	}
	start := time.Now()
	f.conn.SetDeadline(start.Add(f.setup.LoginTimeout))
	hello, d, err := f.login()
	if hello == nil {
		if d != nil && errors.Is(err, os.ErrDeadlineExceeded) {
			f.conn.SetDeadline(time.Now().Add(time.Second))
			f.write(d.late())
		}
		f.logEnd(err, time.Since(start))
		f.conn.Close()
		return nil
	}
	f.conn.SetDeadline(time.Time{})
	return f.pump(hello, d)
}

// login speaks until the client is in.
func (f *front) login() (*login.Hello, dialogue, error) {
	if strings.HasSuffix(f.setup.Service, "s") {
		if err := f.startTLS(); err != nil {
			return nil, nil, err
		}
	}
	for {
		d := f.dialogue()
		hello, err := d.run()
		if err == errStartTLS {
			if err = f.upgrade(); err == nil {
				continue
			}
			d = nil // nothing can be said within a handshake
		}
		if hello != nil {
			hello.TLS, hello.Cipher = tls.VersionName(f.state.Version), tls.CipherSuiteName(f.state.CipherSuite)
			hello.TLS = strings.ReplaceAll(hello.TLS, " ", "")
		}
		return hello, d, err
	}
}

func (f *front) dialogue() dialogue {
	f.r = bufio.NewReaderSize(f.conn, 4<<10)
	switch f.setup.Service {
	case "imaps", "imap":
		return newIMAP(f)
	case "pop3s", "pop3":
		return &pop3Dialogue{front: f}
	default:
		return &smtpDialogue{front: f}
	}
}

// upgrade follows STARTTLS or STLS. Bytes that came with the command in clear
// text may be anybody's: they end the connection, RFC 8314 section 7.
func (f *front) upgrade() error {
	if f.r.Buffered() > 0 {
		return errors.New("clear text after STARTTLS")
	}
	return f.startTLS()
}

// secure says whether a password may be asked for.
func (f *front) secure() bool { return f.tls != nil }

// askMonitor sends one request and waits for its answer.
func askMonitor(r *login.Request) (login.Status, error) {
	if err := login.WriteRequest(login.FDLogin, r); err != nil {
		return 0, fmt.Errorf("ask smaild: %w", err)
	}
	a, err := login.ReadAnswer(login.FDLogin)
	if err != nil {
		return 0, fmt.Errorf("answer of smaild: %w", err)
	}
	return a.Status, nil
}

// password asks the monitor about a name and a password.
func (f *front) password(name string, password []byte) (login.Status, error) {
	if name == "" || len(name) > login.MaxName || len(password) == 0 || len(password) > login.MaxPassword {
		// The monitor answers these too, and after the same time as any other.
		name, password = "-", []byte("-")
	}
	status, err := f.ask(&login.Request{Kind: login.KindPassword, Name: name, Password: password})
	if status != login.OK {
		f.tries++
	}
	return status, err
}

// spent says whether the client has had all its tries.
func (f *front) spent() bool { return f.tries >= login.MaxTries }

func (f *front) write(s string) error {
	_, err := io.WriteString(f.conn, s)
	return err
}

// receive waits for the client's connection, which comes with the Setup.
func (f *front) receive() error {
	fd, text, err := login.ReceiveConn(login.FDSetup, login.MaxSetup)
	if err == io.EOF {
		return err
	}
	if err != nil {
		return fmt.Errorf("setup: %w; smail-front is started by smaild", err)
	}
	syscall.Close(login.FDSetup)
	if f.setup, err = login.UnmarshalSetup(text); err != nil {
		return err
	}
	logline.Always("service", f.setup.Service, "peer", f.setup.Peer)
	if f.conn, err = connOf(fd, "client"); err != nil {
		return err
	}
	if tcp, ok := f.conn.(*net.TCPConn); ok {
		err = tcp.SetKeepAliveConfig(keepAlive)
	}
	return err
}

// keepAlive finds clients that are gone, and keeps routers from forgetting those that
// are there, but does not wake a phone every 15 seconds, as is the library's habit.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 5 * time.Minute, Interval: time.Minute, Count: 9}

// connOf makes a descriptor a connection.
func connOf(fd int, name string) (net.Conn, error) {
	file := os.NewFile(uintptr(fd), name)
	defer file.Close() // FileConn copies
	return net.FileConn(file)
}

// logEnd logs a connection that ended without a login.
func (f *front) logEnd(err error, after time.Duration) {
	reason := "client left"
	if errors.Is(err, os.ErrDeadlineExceeded) {
		reason = "login_timeout"
	} else if err != nil && err != errBye && err != io.EOF {
		reason = err.Error()
	}
	version := ""
	if f.secure() {
		version = strings.ReplaceAll(tls.VersionName(f.state.Version), " ", "")
	}
	logline.Info("no login", "reason", reason, "tls", version, "seconds", fmt.Sprintf("%.1f", after.Seconds()))
}
