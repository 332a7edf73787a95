// Package imapd is the IMAP session: RFC 3501 in its authenticated and
// selected states, over the user's Maildir. It runs as that user.
package imapd

import (
	"bufio"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	goimap "github.com/emersion/go-imap/v2"

	"smail/imap"
	"smail/logline"
	"smail/maildir"
)

// A Conn is the client's side. Interrupt makes a Read that waits return
// ErrInterrupted's like; Calm takes it back. Ending says why the session is
// to end, of which a Read that waits is interrupted.
type Conn interface {
	io.ReadWriter
	Interrupt()
	Calm()
	Ending() string // empty: it is not
}

// Options are what a session is told.
type Options struct {
	Store          *maildir.Store
	Tag            string // of the LOGIN that waits for its OK; empty: greet with PREAUTH
	Hostname       string
	Prefix         string // of all folders but INBOX
	MaxMessageSize int64
	Interrupted    error         // what Conn.Read returns after Interrupt
	Progress       time.Duration // how often a long command is heard of; 0: progressInterval
}

// A session is one client's.
type session struct {
	Options
	conn      Conn
	in        io.Reader     // the connection, or what it inflates to
	deflate   *flate.Writer // nil: no compression
	packed    *bufio.Writer // what deflate writes to
	packing   bool          // deflate has something to flush
	d         *imap.Decoder
	w         *imap.Encoder
	box       *mailbox        // nil: none is selected
	target    *maildir.Folder // where the last message was put; nil: none, or the selected one
	tag       string          // of the command in hand
	client    string          // what ID said
	on        enabled
	saved     imap.NumSet // UIDs that SEARCH has saved: RFC 5182
	mem       memory
	aheadMem  []memory // of those who read ahead
	one       reading  // of the message in hand, when messages are sent
	calm      calm
	count     counters
	bad       int       // commands in a row that broke the grammar
	notifying *notifier // nil: NOTIFY is not on
	deaf      bool      // NOTIFY NONE: nothing is told that was not asked for
	noFlags   bool      // changed flags are not told now
	idling    bool      // within IDLE, where news may interrupt reading
	lost      error     // why the client cannot be heard or reached any more
}

// counters are what the log line at the end tells.
type counters struct {
	fetched                    int // messages of which content was sent
	appended, copied, expunged int
}

// done says what a session did, for its log line.
func (s *session) done() []string {
	var pairs []string
	for _, c := range []struct {
		name string
		n    int
	}{{"fetched", s.count.fetched}, {"appended", s.count.appended},
		{"copied", s.count.copied}, {"expunged", s.count.expunged}} {
		if c.n > 0 {
			pairs = append(pairs, c.name, fmt.Sprint(c.n))
		}
	}
	return append(pairs, "client", s.client)
}

// ended ends a session between commands, as it was told to by a signal.
func (s *session) ended() *goimap.Error {
	return &goimap.Error{Type: goimap.StatusResponseTypeBye, Text: s.conn.Ending()}
}

// errLogout ends a session as the client wished.
var errLogout = errors.New("logout")

// flushingReader writes what is gathered before it waits for the client.
type flushingReader struct{ s *session }

func (r flushingReader) Read(p []byte) (int, error) {
	if err := r.s.flush(); err != nil {
		r.s.lost = err
		return 0, err
	}
	for {
		n, err := r.s.in.Read(p)
		if n == 0 && err != nil && err == r.s.Interrupted && !r.s.idling {
			between := !r.s.d.Begun() // commands
			if between && r.s.conn.Ending() != "" {
				return 0, r.s.ended()
			}
			if between && r.s.notifying != nil {
				if err := r.s.tellNews(); err != nil {
					r.s.lost = err
					return 0, err
				}
			}
			continue // else it is too late for the IDLE that it was meant for
		}
		var ours *goimap.Error // of which the client can still hear
		if err != nil && err != r.s.Interrupted && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.As(err, &ours) {
			r.s.lost = err
		}
		return n, err
	}
}

// Serve speaks with a client until it leaves, and returns what was done. A nil
// error means that the client logged out or hung up between commands.
func Serve(conn Conn, o Options) (did []string, err error) {
	s := &session{Options: o, conn: conn, in: conn, saved: imap.NumSet{}}
	s.w = imap.NewEncoder(s)
	o.Store.EncodeName = imap.EncodeMailbox
	goAhead := func() error {
		s.w.Raw("+ OK").CRLF()
		return s.flush()
	}
	s.d = imap.NewDecoder(bufio.NewReaderSize(flushingReader{s}, 4<<10), imap.AfterLogin, goAhead)
	if o.Tag == "" {
		s.w.Status("*", goimap.StatusResponseTypePreAuth, s.capabilities(), o.Hostname+" smail ready")
	} else {
		s.w.Status(o.Tag, goimap.StatusResponseTypeOK, s.capabilities(), "Logged in")
	}
	for err == nil {
		err = s.command()
	}
	s.flush()
	s.stopNotifying()
	if s.box != nil {
		s.box.Settle()
	}
	s.closeBox()
	if err == errLogout || errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return s.done(), err
}

// Refuse tells a client that has logged in that its mailbox cannot be opened.
func Refuse(w io.Writer, tag string) {
	e := imap.NewEncoder(w)
	if tag != "" {
		e.Status(tag, goimap.StatusResponseTypeNo, "UNAVAILABLE", "Your mailbox cannot be opened now")
	}
	e.Status("*", goimap.StatusResponseTypeBye, "UNAVAILABLE", "Your mailbox cannot be opened now")
	e.Flush()
}

// command reads and carries out one command. Its error ends the session.
func (s *session) command() error {
	s.tag = ""
	if s.conn.Ending() != "" {
		err := s.ended()
		s.w.Status("*", err.Type, "", err.Text)
		return err
	}
	if s.notifying != nil {
		if err := s.tellNews(); err != nil {
			return s.reply(err)
		}
	}
	s.d.Begin()
	if s.box != nil {
		s.box.vanished = false
	}
	var name string
	if !s.d.Tag(&s.tag) || !s.d.SP() || !s.d.Keyword(&name) {
		return s.reply(s.d.Err())
	}
	h, uid, err := s.find(name)
	if err == nil {
		s.bad = 0 // a client that is asked for too much is one all the same
		err = s.carryOut(h, uid)
	}
	return s.reply(err)
}

// carryOut ends the session in order where a file of the index was cut short.
func (s *session) carryOut(h handler, uid bool) error {
	err := maildir.Guard(func() error { return h(s, uid) })
	if err == maildir.ErrCutShort {
		s.lost, s.box = err, nil // half of an answer may be on its way
	}
	return err
}

// tellNews tells of what NOTIFY asks for, before the client is waited for. What
// cannot be told is not: RFC 5465 section 5.8.
func (s *session) tellNews() error {
	if err := s.news(); err != nil {
		if s.lost != nil {
			return s.lost
		}
		logline.Error("NOTIFY ends", "reason", err.Error())
		s.stopNotifying()
		s.w.Status("*", goimap.StatusResponseTypeOK, "NOTIFICATIONOVERFLOW", "You are told of nothing more")
	}
	return s.flush()
}

// find looks a command up, and UID's second word.
func (s *session) find(name string) (handler, bool, error) {
	uid := name == "UID"
	if uid && (!s.d.SP() || !s.d.Keyword(&name)) {
		return nil, false, s.d.Err()
	}
	c, ok := commands[name]
	switch {
	case !ok || uid && !c.uid:
		return nil, false, imap.Bad("Unknown command")
	case c.selected && s.box == nil:
		return nil, false, imap.Bad("No mailbox is selected")
	}
	return c.run, uid, nil
}

// maxBad bounds the lines in a row that are no commands.
const maxBad = 20

// reply is where the error of a command becomes a response. What it returns
// ends the session.
func (s *session) reply(err error) error {
	if derr := s.d.Discard(); derr != nil {
		err = derr
	}
	if err == nil {
		return s.w.Err()
	}
	s.closeTarget() // it may be what is wrong
	r, fatal := translate(err)
	if r == nil || s.lost != nil {
		return errors.Join(s.lost, err)
	}
	tag := s.tag
	if tag == "" || fatal {
		tag = "*"
	}
	s.w.Status(tag, r.Type, string(r.Code), r.Text)
	if fatal {
		return err
	}
	if r.Type == goimap.StatusResponseTypeBad {
		if s.bad++; s.bad > maxBad {
			s.w.Status("*", goimap.StatusResponseTypeBye, "CLIENTBUG", "Too many bad commands")
			return errors.New("too many bad commands")
		}
	}
	return nil
}

// translate finds the response to an error; nil if the connection is of no
// more use. Errors of ours are logged in full, and the client hears of none.
func translate(err error) (r *goimap.Error, fatal bool) {
	no := func(code goimap.ResponseCode, text string) *goimap.Error {
		return &goimap.Error{Type: goimap.StatusResponseTypeNo, Code: code, Text: text}
	}
	switch {
	case errors.As(err, &r):
		return r, r.Type == goimap.StatusResponseTypeBye
	case err == errLogout, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
		return nil, true
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &goimap.Error{Type: goimap.StatusResponseTypeBye, Text: "Idle for too long"}, true
	case errors.Is(err, maildir.ErrNoFolder):
		return no(goimap.ResponseCodeNonExistent, "No such mailbox"), false
	case errors.Is(err, maildir.ErrExists):
		return no(goimap.ResponseCodeAlreadyExists, "Mailbox exists already"), false
	case errors.Is(err, maildir.ErrName):
		return no(goimap.ResponseCodeCannot, "Not a name for a mailbox"), false
	case errors.Is(err, maildir.ErrGone):
		return no("EXPUNGEISSUED", "Message is gone"), false
	case errors.Is(err, maildir.ErrLocked):
		logline.Warn("locked", "reason", err.Error())
		return no(goimap.ResponseCodeInUse, "Mailbox is locked by another program"), false
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		logline.Warn("no space", "reason", err.Error())
		return no(goimap.ResponseCodeOverQuota, "No space left"), false
	case errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		logline.Error("no permission", "reason", err.Error())
		return no(goimap.ResponseCodeNoPerm, "The mailbox cannot be written"), false
	}
	logline.Error("command failed", "reason", err.Error())
	return no(goimap.ResponseCodeServerBug, "Internal error"), false
}

// ok ends a command that was carried out.
func (s *session) ok(code, text string) error {
	s.w.Status(s.tag, goimap.StatusResponseTypeOK, code, text)
	return nil
}

// A handler carries out one command, whose name has been read; uid says
// whether it was behind UID.
type handler func(s *session, uid bool) error

type command struct {
	run      handler
	selected bool // needs a selected mailbox
	uid      bool // may stand behind UID
}

var commands map[string]command

func init() { // handlers refer to the table
	commands = map[string]command{
		"CAPABILITY":   {run: (*session).capability},
		"NOOP":         {run: (*session).noop},
		"LOGOUT":       {run: (*session).logout},
		"ID":           {run: (*session).id},
		"ENABLE":       {run: (*session).enable},
		"COMPRESS":     {run: (*session).compress},
		"NOTIFY":       {run: (*session).notify},
		"NAMESPACE":    {run: (*session).namespace},
		"SELECT":       {run: (*session).selectBox},
		"EXAMINE":      {run: (*session).examine},
		"CREATE":       {run: (*session).create},
		"DELETE":       {run: (*session).delete},
		"RENAME":       {run: (*session).rename},
		"SUBSCRIBE":    {run: (*session).subscribe},
		"UNSUBSCRIBE":  {run: (*session).unsubscribe},
		"LIST":         {run: (*session).list},
		"LSUB":         {run: (*session).lsub},
		"STATUS":       {run: (*session).status},
		"GETQUOTA":     {run: (*session).getQuota},
		"GETQUOTAROOT": {run: (*session).getQuotaRoot},
		"GETMETADATA":  {run: (*session).getMetadata},
		"SETMETADATA":  {run: (*session).setMetadata},
		"APPEND":       {run: (*session).append},
		"IDLE":         {run: (*session).idle},
		"CHECK":        {run: (*session).noop, selected: true},
		"CLOSE":        {run: (*session).close, selected: true},
		"UNSELECT":     {run: (*session).unselect, selected: true},
		"EXPUNGE":      {run: (*session).expunge, selected: true, uid: true},
		"SEARCH":       {run: (*session).search, selected: true, uid: true},
		"FETCH":        {run: (*session).fetch, selected: true, uid: true},
		"STORE":        {run: (*session).store, selected: true, uid: true},
		"ESEARCH":      {run: (*session).esearch},
		"CANCELUPDATE": {run: (*session).cancelUpdate, selected: true},
		"SORT":         {run: (*session).sort, selected: true, uid: true},
		"THREAD":       {run: (*session).thread, selected: true, uid: true},
		"REPLACE":      {run: (*session).replace, selected: true, uid: true},
		"COPY":         {run: (*session).copy, selected: true, uid: true},
		"MOVE":         {run: (*session).move, selected: true, uid: true},
	}
}
