package submitd

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"

	"github.com/emersion/go-smtp"

	"smail/logline"
)

// An envelope is what the next one is told.
type envelope struct {
	id   string
	from string
	to   []recipient
	mail smtp.MailOptions

	beyondASCII bool // an address or the header needs SMTPUTF8, RFC 6531 section 3.4
}

type recipient struct {
	address string
	options smtp.RcptOptions
}

func (e *envelope) addresses() []string {
	list := make([]string, len(e.to))
	for i, r := range e.to {
		list[i] = r.address
	}
	return list
}

// A transaction is the state of go-smtp's session: one message at a time.
type transaction struct {
	*server
	mu sync.Mutex
	envelope
	begun bool // by MAIL
}

var _ smtp.Session = (*transaction)(nil)

// Mail: RFC 5321 section 4.1.1.2.
func (t *transaction) Mail(from string, opts *smtp.MailOptions) error {
	if t.conn.failed() != nil { // what go-smtp has read ahead is not looked at any more
		return reply(421, smtp.EnhancedCode{4, 7, 0}, "Connection ends")
	}
	if t.begun { // RFC 5321 section 4.1.4
		return reply(503, smtp.EnhancedCode{5, 5, 1}, "A message has begun already")
	}
	if t.Recent && t.Vouched != nil && !t.Vouched() {
		return errRecent
	}
	if from != "" {
		if err := checkAddress(from, opts.UTF8); err != nil {
			return err
		}
	}
	from, err := t.sender(from)
	if err != nil {
		logline.Warn("sender refused", "from", from)
		return t.refused(err)
	}
	if err := t.reserve(1, true); err != nil {
		return t.failed(&envelope{from: from}, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.envelope, t.begun = envelope{from: from, mail: *opts}, true
	return nil
}

// Rcpt: RFC 5321 section 4.1.1.3.
func (t *transaction) Rcpt(to string, opts *smtp.RcptOptions) error {
	if err := checkAddress(to, t.mail.UTF8); err != nil {
		return err
	}
	if err := t.reserve(len(t.to)+1, true); err != nil {
		return t.failed(&t.envelope, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.to = append(t.to, recipient{to, *opts})
	return nil
}

// Data takes a message, by DATA or BDAT, and answers when the next one has it.
func (t *transaction) Data(r io.Reader) error {
	t.taking.Add(1)
	t.within.Add(1)
	defer t.taking.Done()
	defer t.within.Add(-1)
	if _, chunked := r.(*io.PipeReader); !chunked { // it came by DATA
		c := t.conn.content(t.Config.MaxMessageSize)
		defer c.finish()
		r = c
	}
	t.mu.Lock()
	e := t.envelope
	t.mu.Unlock()
	e.id = newID()
	if err := t.reserve(len(e.to), false); err != nil {
		return t.failed(&e, err)
	}
	said, size, err := t.carry(&e, r)
	if err != nil {
		t.release(len(e.to))
		return t.failed(&e, err)
	}
	t.messages++
	t.refusals.Store(0)
	logline.Info("sent", "id", e.id, "from", "<"+e.from+">", "recipients", fmt.Sprint(len(e.to)),
		"size", fmt.Sprint(size), "relay", t.Config.Relay.Kind, "said", said)
	if enhanced, text := enhancedCode(said); enhanced[0] == 2 {
		return reply(250, enhanced, "%s", text)
	} else if said != "" {
		return reply(250, smtp.EnhancedCode{2, 0, 0}, "%s", said)
	}
	return reply(250, smtp.EnhancedCode{2, 0, 0}, "Handed over as %s", e.id)
}

// refused ends a session in which nothing but refusals come one after another.
func (t *transaction) refused(err error) error {
	if t.refusals.Add(1) <= maxRefusals {
		return err
	}
	t.conn.fail(errRefusals)
	return reply(421, smtp.EnhancedCode{4, 7, 0}, "Too many refusals")
}

// failed makes an error a reply. What is not one is ours, or the connection's
// end: then nothing more may be read from it.
func (t *transaction) failed(e *envelope, err error) error {
	if errors.Is(err, smtp.ErrTooLongLine) {
		t.conn.fail(err)
		err = reply(554, smtp.EnhancedCode{5, 6, 0}, "A line is longer than %d bytes", maxLineBytes)
	}
	var r *smtp.SMTPError
	if errors.As(err, &r) {
		logline.Warn("not sent", "id", e.id, "from", "<"+e.from+">", "reply", fmt.Sprint(r.Code), "reason", err.Error())
		return t.refused(r)
	}
	logline.Error("not sent", "id", e.id, "from", "<"+e.from+">", "reason", err.Error())
	var lost *readError
	if errors.As(err, &lost) && !errors.Is(lost.err, smtp.ErrDataReset) { // by RSET the client itself gave up
		t.conn.fail(lost.err)
	}
	return reply(451, smtp.EnhancedCode{4, 3, 0}, "Not handed over; try again later")
}

// Reset waits for a message that was given up to be forgotten: go-smtp would
// take its end for that of the next one.
func (t *transaction) Reset() {
	t.taking.Wait()
	runtime.Gosched()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.envelope, t.begun = envelope{}, false
}

func (t *transaction) Logout() error { return nil }

// checkAddress refuses what could mean something else to the next one: spaces
// and control characters, options, and quoted local parts, whose quotes
// go-smtp has taken off.
func checkAddress(a string, utf8 bool) error {
	bad := reply(553, smtp.EnhancedCode{5, 1, 3}, "Not an address that can be used here")
	local, domain, ok := cutLast(a, '@')
	if !ok || local == "" || domain == "" || len(local) > 64 || len(domain) > 255 || strings.HasPrefix(a, "-") {
		return bad
	}
	if local[0] == '.' || local[len(local)-1] == '.' || strings.Contains(local, "..") {
		return bad // but for quotes
	}
	for i := 0; i < len(a); i++ {
		c := a[i]
		if c <= ' ' || c == 0x7f || strings.IndexByte("()<>,;\\\"", c) >= 0 || i < len(local) && strings.IndexByte("@:[]", c) >= 0 {
			return bad
		}
		if c >= 0x80 && !utf8 {
			return reply(553, smtp.EnhancedCode{5, 6, 7}, "Address needs SMTPUTF8")
		}
	}
	return nil
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
