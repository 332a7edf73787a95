package submitd

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/emersion/go-smtp"

	"smail/logline"
	"smail/maildir"
)

// relayTimeout is how long the next one may take for a message.
const relayTimeout = 5 * time.Minute

// handOver gives a message to the next one. Without an error it is his.
func (s *server) handOver(e *envelope, m *spool) error {
	ctx, cancel := context.WithTimeout(context.Background(), relayTimeout)
	defer cancel()
	to := s.Config.Relay.To
	switch s.Config.Relay.Kind {
	case "sendmail":
		return sendmail(ctx, to, e, m)
	case "smtp", "smtps":
		return s.transmitTo(ctx, "tcp", to, e, m)
	case "lmtp":
		return s.transmitTo(ctx, "unix", to, e, m)
	case "maildir":
		return s.file(to, e, m)
	}
	return fmt.Errorf("relay %q is not known", s.Config.Relay.Kind)
}

// sendmail runs the MTA's program as the user. The message is its standard
// input, complete; addresses stand where they cannot be options.
func sendmail(ctx context.Context, path string, e *envelope, m *spool) error {
	args := []string{"-i", "-f", e.from}
	if e.from == "" {
		args = []string{"-i", "-f", "<>"}
	}
	args = append(args, dsnArgs(path, e)...)
	args = append(append(args, "--"), e.addresses()...)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin = m.File
	var said bytes.Buffer
	cmd.Stdout = &limitedWriter{w: &said, n: 1000}
	cmd.Stderr = cmd.Stdout
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if err == nil {
		return nil
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && permanent[exit.ExitCode()] {
		logline.Warn("sendmail refused", "id", e.id, "exit", fmt.Sprint(exit.ExitCode()), "said", said.String())
		return reply(554, smtp.EnhancedCode{5, 0, 0}, "The mail system refused the message")
	}
	return fmt.Errorf("%s: %w: %s", path, err, said.String())
}

// permanent are the exit codes of sysexits(3) after which trying again is in vain.
var permanent = map[int]bool{
	64: true, // EX_USAGE
	65: true, // EX_DATAERR
	66: true, // EX_NOINPUT
	67: true, // EX_NOUSER
	68: true, // EX_NOHOST
	69: true, // EX_UNAVAILABLE
	77: true, // EX_NOPERM
}

// dsnArgs asks for delivery status notifications as sendmail and Postfix
// understand it. To Exim -N means to throw the message away.
func dsnArgs(path string, e *envelope) (args []string) {
	if real, err := filepath.EvalSymlinks(path); err == nil && strings.HasPrefix(filepath.Base(real), "exim") {
		return nil
	}
	if len(e.to) > 0 && len(e.to[0].options.Notify) > 0 { // one for all, as the program takes it
		var notify []string
		for _, n := range e.to[0].options.Notify {
			notify = append(notify, strings.ToLower(string(n)))
		}
		args = append(args, "-N", strings.Join(notify, ","))
	}
	if e.mail.Return != "" {
		args = append(args, "-R", strings.ToLower(string(e.mail.Return)))
	}
	return args
}

type limitedWriter struct {
	w io.Writer
	n int
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	keep := p[:min(len(p), l.n)]
	l.n -= len(keep)
	l.w.Write(keep)
	return len(p), nil
}

// transmitTo connects to the next hop and sends a message. When time is up the
// connection is closed: go-smtp's own deadlines begin anew with each command.
func (s *server) transmitTo(ctx context.Context, network, to string, e *envelope, m *spool) error {
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, to)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	if s.Config.Relay.Kind == "lmtp" {
		return transmit(smtp.NewClientLMTP(nc), s.Config.Hostname, e, m)
	}
	if s.Config.Relay.Kind == "smtps" {
		host, _, _ := net.SplitHostPort(to)
		nc = tls.Client(nc, &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12})
	}
	return transmit(smtp.NewClient(nc), s.Config.Hostname, e, m)
}

// transmit sends a message to an SMTP or LMTP server: to all recipients, or to
// none but what an LMTP server has already taken.
func transmit(c *smtp.Client, hostname string, e *envelope, m *spool) error {
	defer c.Close()
	if err := c.Hello(hostname); err != nil {
		return nextHop(err)
	}
	opts := &smtp.MailOptions{UTF8: e.mail.UTF8}
	if ok, _ := c.Extension("SIZE"); ok {
		opts.Size = m.crlf
	}
	if ok, _ := c.Extension("8BITMIME"); ok {
		opts.Body = smtp.Body8BitMIME
	}
	dsn, _ := c.Extension("DSN")
	if dsn {
		opts.Return, opts.EnvelopeID = e.mail.Return, e.mail.EnvelopeID
	}
	if err := c.Mail(e.from, opts); err != nil {
		return nextHop(err)
	}
	for _, r := range e.to {
		ro := &smtp.RcptOptions{}
		if dsn {
			ro.Notify = r.options.Notify
			ro.OriginalRecipient, ro.OriginalRecipientType = r.options.OriginalRecipient, r.options.OriginalRecipientType
		}
		if err := c.Rcpt(r.address, ro); err != nil {
			return nextHop(err)
		}
	}
	w, err := c.Data()
	if err != nil {
		return nextHop(err)
	}
	if _, err := io.Copy(w, m.File); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return nextHop(err)
	}
	c.Quit()
	return nil
}

// nextHop passes a refusal of the next one on to the client.
func nextHop(err error) error {
	var r *smtp.SMTPError
	if errors.As(err, &r) && r.Code/100 == 5 {
		return reply(r.Code, r.EnhancedCode, "%s", oneLine(r.Message))
	}
	return fmt.Errorf("next hop: %v", err) // not wrapped: its text is not ours to send
}

// oneLine makes a foreign text safe to send on.
func oneLine(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c >= 0x7f {
			b[i] = ' '
		}
	}
	return string(b[:min(len(b), 300)])
}

// file puts a message into a Maildir, for trying smail out: a copy for each
// recipient that is the user himself goes to his own, as an MTA's would.
func (s *server) file(path string, e *envelope, m *spool) error {
	if err := deliver(path, "", m); err != nil {
		return err
	}
	for _, to := range e.addresses() {
		if s.own(to) {
			return deliver(s.Config.MaildirOf(s.User, s.Home), e.from, m)
		}
	}
	return nil
}

func deliver(path, returnPath string, m *spool) error {
	store, err := maildir.Open(path, maildir.Always)
	if err != nil {
		return err
	}
	defer store.Close()
	inbox, err := store.OpenTarget(maildir.Inbox)
	if err != nil {
		return err
	}
	defer inbox.Close()
	d, err := inbox.NewDelivery()
	if err != nil {
		return err
	}
	defer d.Abort()
	if returnPath != "" {
		fmt.Fprintf(d, "Return-Path: <%s>\n", returnPath)
	}
	if _, err := io.Copy(d, io.NewSectionReader(m.File, 0, m.size)); err != nil {
		return err
	}
	return d.CommitNew()
}
