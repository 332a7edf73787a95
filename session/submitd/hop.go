package submitd

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"smail/logline"
)

// hopTimeout is how long the next hop may take for a reply, and for taking a
// part of a message; finalTimeout, for the reply to its end, after which nobody
// could tell whether it has it: RFC 5321 sections 4.5.3.2.1 to 4.5.3.2.6.
var (
	hopTimeout   = 5 * time.Minute
	finalTimeout = 10 * time.Minute
)

// LastWords is what a session may take for its last reply: as long as whoever takes the
// message, for a client that hears nothing sends it again.
const LastWords = 15 * time.Minute

// A hop is the next one by SMTP (RFC 5321) or LMTP (RFC 2033). Its connection is
// kept for the session's next message. A message is passed on as it comes: one
// that breaks off, or is found bad, breaks the connection, and the next one has
// nothing.
type hop struct {
	*server
	conn    net.Conn // nil: not connected
	r       *bufio.Reader
	w       *bufio.Writer
	ext     map[string]string // what EHLO said, by keyword in capitals
	trusted bool              // nobody can be between: TLS of a certificate that was verified, or the loopback
}

func (h *hop) lmtp() bool { return h.Config.Relay.Kind == "lmtp" }

// connect speaks up to the first MAIL.
func (h *hop) connect() error {
	network, to := "tcp", h.Config.Relay.To
	if h.lmtp() {
		network = "unix"
	}
	conn, err := net.DialTimeout(network, to, time.Minute)
	if err != nil {
		return err
	}
	tcp, isTCP := conn.RemoteAddr().(*net.TCPAddr)
	h.trusted = !isTCP || tcp.IP.IsLoopback()
	h.use(conn)
	host, _, _ := net.SplitHostPort(to)
	if h.Config.Relay.Kind == "smtps" {
		err = h.startTLS(host, true)
	}
	if err == nil {
		_, err = h.expect(220)
	}
	if err == nil {
		err = h.hello()
	}
	if _, offered := h.ext["STARTTLS"]; err == nil && offered && !h.trusted {
		err = h.upgrade(host)
	}
	if offered, ok := h.ext["XCLIENT"]; err == nil && ok && h.Peer != "" {
		err = h.xclient(offered)
	}
	if err == nil && h.RelayAuth != nil {
		err = h.auth()
	}
	if err != nil {
		h.close()
	}
	return err
}

func (h *hop) use(conn net.Conn) {
	h.conn, h.r, h.w = conn, bufio.NewReaderSize(conn, maxReplyLine), bufio.NewWriterSize(conn, 64<<10)
}

// startTLS goes on over TLS. verify wants a certificate of the host's; who goes
// on without is safe from listeners, at least (RFC 7435).
func (h *hop) startTLS(host string, verify bool) error {
	t := tls.Client(h.conn, &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, InsecureSkipVerify: !verify})
	t.SetDeadline(time.Now().Add(hopTimeout))
	if err := t.Handshake(); err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	h.trusted = h.trusted || verify
	h.use(t)
	return nil
}

// upgrade is STARTTLS, RFC 3207. A password goes to a verified host only.
func (h *hop) upgrade(host string) error {
	if _, err := h.command(220, "STARTTLS"); err != nil {
		return err
	}
	if h.r.Buffered() > 0 {
		return errors.New("clear text after STARTTLS")
	}
	if err := h.startTLS(host, h.RelayAuth != nil); err != nil {
		return err
	}
	return h.hello()
}

// hello says EHLO or LHLO, and notes what is offered.
func (h *hop) hello() error {
	verb := "EHLO "
	if h.lmtp() {
		verb = "LHLO "
	}
	a, err := h.command(250, verb+h.Config.Hostname)
	var refused *answer
	if errors.As(err, &refused) && refused.code/10 == 50 && !h.lmtp() { // RFC 5321 section 3.2
		a, err = h.command(250, "HELO "+h.Config.Hostname)
	}
	if err != nil {
		return err
	}
	h.ext = map[string]string{}
	for _, line := range a.lines[1:] {
		name, rest, _ := strings.Cut(line, " ")
		h.ext[strings.ToUpper(name)] = rest
	}
	return nil
}

// xclient tells a next hop that trusts us, such as a Postfix with
// smtpd_authorized_xclient_hosts, whose mail it is and where it came from. It
// greets anew, by 220; one that does not want to know takes the mail all the same.
func (h *hop) xclient(offered string) error {
	values := map[string]string{"LOGIN": xtext(h.User), "PROTO": "ESMTP"}
	if !h.Config.HideClientAddress {
		values["ADDR"], values["HELO"], values["NAME"] = h.Peer, xtext(h.Greeted), "[UNAVAILABLE]"
		if strings.Contains(h.Peer, ":") {
			values["ADDR"] = "IPV6:" + h.Peer
		}
	}
	line := "XCLIENT"
	for name := range strings.FieldsSeq(strings.ToUpper(offered)) {
		if v := values[name]; v != "" {
			line += " " + name + "=" + v
		}
	}
	if line == "XCLIENT" {
		return nil
	}
	var other *answer
	if _, err := h.command(220, line); err != nil && !errors.As(err, &other) {
		return err
	}
	return h.hello()
}

var errNoTLS = errors.New("the next hop has no TLS, without which relay_auth sends no password")

// auth logs in as relay_auth says: RFC 4954, with PLAIN.
func (h *hop) auth() error {
	if !h.trusted {
		return errNoTLS
	}
	response := "\x00" + h.RelayAuth.Name + "\x00" + h.RelayAuth.Password
	_, err := h.command(235, "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte(response)))
	if err != nil {
		return fmt.Errorf("relay_auth: %v", err) // not the client's password: its reply is not for him
	}
	return nil
}

// quit ends the connection when no message is under way.
func (h *hop) quit() {
	if h.conn != nil {
		h.w.WriteString("QUIT\r\n")
		h.expectWithin(5*time.Second, 221) // RFC 5321 section 4.1.1.10
		h.close()
	}
}

func (h *hop) close() {
	if h.conn != nil {
		h.conn.Close()
	}
	h.conn, h.ext = nil, nil
}

// begin sends the envelope. A connection that was kept may have been closed
// meanwhile: then one more is tried.
func (h *hop) begin(e *envelope) (carrier, error) {
	for {
		kept := h.conn != nil
		if !kept {
			if err := h.connect(); err != nil {
				return nil, nextHop(err)
			}
		}
		err := h.envelope(e)
		if err == nil {
			return &passing{hop: h, e: e, begins: true}, nil
		}
		var refused *answer
		if !errors.As(err, &refused) || refused.code == 421 || h.conn == nil {
			h.close()
			if kept {
				continue
			}
		} else if _, err := h.command(250, "RSET"); err != nil {
			h.close()
		}
		return nil, nextHop(err)
	}
}

// envelope speaks from MAIL to DATA, in two goes where PIPELINING allows.
func (h *hop) envelope(e *envelope) error {
	mail, err := h.mailCommand(e)
	if err != nil {
		return err
	}
	commands := []string{mail}
	for _, r := range e.to {
		commands = append(commands, h.rcptCommand(r))
	}
	_, pipelining := h.ext["PIPELINING"]
	var refused error
	for i, c := range commands {
		h.w.WriteString(c + "\r\n")
		if !pipelining {
			if _, err := h.expect(250); err != nil {
				return about(e, i, err)
			}
		} else if i == len(commands)-1 {
			for n := range commands {
				_, err := h.expect(250)
				var a *answer
				if refused == nil {
					refused = about(e, n, err)
				}
				if err != nil && !errors.As(err, &a) {
					return refused
				}
			}
		}
	}
	if refused != nil {
		return refused
	}
	_, err = h.command(354, "DATA")
	return err
}

// about says in a refusal which of several recipients it is about: the n-th command of
// the envelope was refused, of which the first is MAIL.
func about(e *envelope, n int, err error) error {
	var a *answer
	if errors.As(err, &a) && n > 0 && len(e.to) > 1 {
		a.about = e.to[n-1].address
	}
	return err
}

// passing is a message on its way to the next hop.
type passing struct {
	*hop
	e      *envelope
	begins bool // a line
	done   bool
}

// Write sends lines with CRLF, and dots doubled: RFC 5321 section 4.5.2.
func (p *passing) Write(b []byte) (n int, err error) {
	p.conn.SetDeadline(time.Now().Add(hopTimeout))
	n = len(b)
	for len(b) > 0 && err == nil {
		if p.begins && b[0] == '.' {
			p.w.WriteByte('.')
		}
		line, rest, found := cutLine(b)
		_, err = p.w.Write(line)
		if b, p.begins = rest, found; found {
			_, err = p.w.WriteString("\r\n")
		}
	}
	if err != nil {
		return 0, nextHop(p.lastWord(err))
	}
	return n, nil
}

// commit ends the message and waits for the word of the next hop.
func (p *passing) commit() (string, error) {
	p.done = true
	if !p.begins {
		p.w.WriteString("\r\n")
	}
	p.w.WriteString(".\r\n")
	said, err := p.verdict()
	var refused *answer
	if err != nil && (!errors.As(err, &refused) || refused.code == 421) {
		p.close()
	}
	return said, nextHop(err)
}

// verdict reads the reply, of which LMTP has one for each recipient. What some
// of them do not get the user is told of by mail: to refuse the message would
// make the client send it to the others again.
func (p *passing) verdict() (string, error) {
	if !p.lmtp() {
		a, err := p.expectWithin(finalTimeout, 250)
		return a.text(), err
	}
	var failed []failure
	for i, r := range p.e.to {
		_, err := p.expectWithin(finalTimeout, 250)
		var refused *answer
		if err != nil && (!errors.As(err, &refused) || p.conn == nil) { // its connection is of no more use
			p.close()
			for _, r := range p.e.to[i:] {
				failed = append(failed, failure{r, err})
			}
			break
		}
		if err != nil {
			failed = append(failed, failure{r, err})
		}
	}
	if len(failed) == len(p.e.to) {
		return "", failed[max(0, slices.IndexFunc(failed, failure.temporary))].err
	}
	return p.inPart(failed), nil
}

// inPart tells the user of recipients that did not get what others got, but of
// those that he wants to hear nothing of (RFC 3461 section 4.1). Where that fails
// it is all in the reply.
func (p *passing) inPart(failed []failure) (said string) {
	failed = slices.DeleteFunc(failed, func(f failure) bool {
		return len(f.options.Notify) > 0 && !slices.Contains(f.options.Notify, smtp.DSNNotifyFailure)
	})
	if len(failed) == 0 {
		return ""
	}
	err := p.tell(p.e, failed)
	if err == nil {
		return ""
	}
	logline.Error("sender not told of failed recipients", "id", p.e.id, "reason", err.Error())
	said = "Handed over as " + p.e.id + ", but not for"
	for _, f := range failed {
		said += " " + f.address
	}
	return oneLine(said)
}

// abort gives up a message that was not committed: the next hop sees the
// connection end in the middle of it.
func (p *passing) abort() {
	if !p.done {
		p.close()
	}
}
