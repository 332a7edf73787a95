package submitd

import (
	"fmt"
	"io"
	"time"

	"smail/logline"
	"smail/maildir"
	"smail/session/roles"
)

// A carrier brings one message to the next one. It is written with LF line
// ends; nothing of it is taken before commit, and nothing after abort, which may
// follow commit.
type carrier interface {
	io.Writer
	commit() (said string, err error)
	abort()
}

// carrier begins a message.
func (s *server) carrier(e *envelope) (carrier, error) {
	switch s.Config.Relay.Kind {
	case "sendmail":
		return newSendmail(s.Config.Relay.To, e)
	case "smtp", "smtps", "lmtp":
		return s.hop.begin(e)
	case "maildir":
		return s.toMaildir(e)
	}
	return nil, fmt.Errorf("relay %q is not known", s.Config.Relay.Kind)
}

// A filing puts a message into one folder or more of Maildirs, for trying smail
// out, and for a user's own copy.
type filing struct {
	stores     []*maildir.Store
	boxes      []*maildir.Folder
	deliveries []*maildir.Delivery
}

// add begins a message in a folder of a Maildir.
func (f *filing) add(store *maildir.Store, folder string) (*maildir.Delivery, error) {
	f.stores = append(f.stores, store)
	box, err := store.OpenTarget(folder)
	if err != nil {
		return nil, err
	}
	f.boxes = append(f.boxes, box)
	d, err := box.NewDelivery()
	if err == nil {
		f.deliveries = append(f.deliveries, d)
	}
	return d, err
}

func (f *filing) Write(p []byte) (int, error) {
	for _, d := range f.deliveries {
		if _, err := d.Write(p); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (f *filing) commit() (string, error) {
	for _, d := range f.deliveries { // all or none: the client sends to all again
		if err := d.Room(); err != nil {
			return "", err
		}
	}
	for _, d := range f.deliveries {
		if err := d.CommitNew(); err != nil {
			return "", err
		}
	}
	return "", nil
}

func (f *filing) abort() {
	for _, d := range f.deliveries {
		d.Abort()
	}
	for _, b := range f.boxes {
		b.Close()
	}
	for _, s := range f.stores {
		s.Close()
	}
	*f = filing{}
}

// toMaildir files a message for trying smail out: a copy for each recipient that
// is the user himself goes to his own Maildir, as an MTA's would.
func (s *server) toMaildir(e *envelope) (carrier, error) {
	f := &filing{}
	err := f.open(s.Config.Relay.To, "")
	for _, to := range e.addresses() {
		if err == nil && s.own.Own(to) {
			err = f.open(s.Config.MaildirOf(s.User, s.Home), e.from)
			break
		}
	}
	if err != nil {
		f.abort()
		return nil, err
	}
	return f, nil
}

func (f *filing) open(path, returnPath string) error {
	store, err := maildir.Open(path, maildir.Always)
	if err != nil {
		return err
	}
	d, err := f.add(store, maildir.Inbox)
	if err == nil && returnPath != "" {
		_, err = fmt.Fprintf(d, "Return-Path: <%s>\n", returnPath)
	}
	return err
}

// A copying is the user's own copy of what he sends. It costs nobody a message
// when it fails.
type copying struct {
	filing
	bcc   []byte
	begun bool // the header has passed
	err   error
}

// ownCopy begins the copy that save_sent wants; without it, one that goes nowhere.
func (s *server) ownCopy(m *text) *copying {
	c := &copying{bcc: m.bcc}
	if !s.Config.SaveSent {
		return c
	}
	c.err = func() error {
		store, err := maildir.Open(s.Config.MaildirOf(s.User, s.Home), maildir.ParseSyncMode(s.Config.Fsync))
		if err != nil {
			return err
		}
		folder, err := roles.Folder(store, `\Sent`)
		if err != nil {
			store.Close()
			return err
		}
		_, err = c.add(store, folder)
		return err
	}()
	return c
}

// Write takes the header first, which gets back what recipients may not see.
func (c *copying) Write(p []byte) (int, error) {
	if c.err != nil || len(c.deliveries) == 0 {
		return len(p), nil
	}
	if !c.begun {
		c.begun = true
		_, c.err = c.filing.Write(append(p[:len(p)-1:len(p)-1], append(c.bcc, '\n')...))
	} else {
		_, c.err = c.filing.Write(p)
	}
	return len(p), nil
}

func (c *copying) commit() {
	if c.err == nil && len(c.deliveries) > 0 {
		_, c.err = c.deliveries[0].Commit(maildir.Seen, time.Time{})
	}
	if c.err != nil {
		logline.Error("copy not saved", "reason", c.err.Error())
	}
}
