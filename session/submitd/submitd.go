// Package submitd is the submission session: RFC 6409 after login. go-smtp
// speaks the protocol; what is sent is checked, spooled whole and handed to
// the next one, who says when it is safe. There is no queue here. It runs as
// the user who sends.
package submitd

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"

	"smail/config"
	"smail/logline"
	"smail/sender"
)

// Options are what a session is told.
type Options struct {
	Config  *config.Config
	User    string
	Home    string
	Peer    string        // the client's address, for Received
	Greeted string        // its EHLO name
	TLS     string        // version and cipher
	Recent  bool          // nobody gave a password: see relay_window
	Since   time.Duration // then: the first login that this goes back to, since boot
	Vouched func() bool   // without a password: whether its recent login still stands for one
	Login   bool          // the client waits for the reply to its AUTH
	Counts  *os.File      // of what the user has sent; nil: nothing is counted

	RelayAuth *Credentials // for the next hop; nil: none

	Interrupted error         // what reading returns when the session is to end
	Ending      func() string // why it is; nil: it never is
}

// Credentials are a name and a password.
type Credentials struct{ Name, Password string }

// A server is one client's session.
type server struct {
	Options
	conn     *conn
	own      *sender.Addresses
	hop      *hop
	taking   sync.WaitGroup // go-smtp takes a message by BDAT on a goroutine of its own
	within   atomic.Int32   // messages that are being taken
	messages int
	refusals atomic.Int32 // since a message was sent
}

// maxRefusals bounds them, and what is logged of them.
const maxRefusals = 20

var errRefusals = errors.New("too many refusals")

// maxLineBytes bounds a line, commands and content alike. Content may have
// longer lines than RFC 5322 allows, as clients send them.
const maxLineBytes = 256 << 10

// Serve speaks with a client until it leaves, and returns what was done.
func Serve(c io.ReadWriter, o Options) (did []string, err error) {
	s := &server{Options: o}
	s.conn = newConn(s, c)
	s.hop = &hop{server: s}
	if s.own, err = sender.Of(o.User, o.Config.Hostname, o.Config.LoginDomains, o.Config.SendersFile); err != nil {
		logline.Error("senders file", "reason", err.Error())
	}
	if o.Login {
		s.conn.reply = "235 2.7.0 Logged in\r\n"
	}
	if o.Peer == "" { // by hand: nobody has greeted
		s.conn.reply = "220 " + o.Config.Hostname + " ESMTP smail\r\n"
	}
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &transaction{server: s}, nil
	}))
	srv.Domain = o.Config.Hostname
	srv.MaxMessageBytes = o.Config.MaxMessageSize
	srv.MaxRecipients = o.Config.MaxRecipients
	srv.MaxLineLength = maxLineBytes
	srv.EnableSMTPUTF8 = true
	srv.EnableDSN = true
	srv.ErrorLog = log.New(libraryLog{}, "", 0)
	srv.Serve(&oneConn{conn: s.conn})
	<-s.conn.closed
	s.taking.Wait()
	s.hop.quit()
	return []string{"messages", fmt.Sprint(s.messages)}, s.conn.ended
}

// libraryLog takes what go-smtp logs.
type libraryLog struct{}

func (libraryLog) Write(p []byte) (int, error) {
	logline.Warn("smtp", "reason", strings.TrimSpace(string(p)))
	return len(p), nil
}

// oneConn is a listener with one connection.
type oneConn struct {
	conn *conn
	used bool
}

func (l *oneConn) Accept() (net.Conn, error) {
	if l.used {
		return nil, net.ErrClosed
	}
	l.used = true
	return l.conn, nil
}

func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return addr{} }

// reply makes an error that becomes a reply as it is.
func reply(code int, enhanced smtp.EnhancedCode, format string, args ...any) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: fmt.Sprintf(format, args...)}
}
