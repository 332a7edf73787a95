package imapd

import (
	"fmt"
	"io"
	"time"

	goimap "github.com/emersion/go-imap/v2"

	"smail/imap"
	"smail/maildir"
)

// append: RFC 3501 section 6.3.11, APPENDUID: RFC 4315 section 3. The message
// streams into tmp/; it is in the mailbox when all of it has come.
func (s *session) append(bool) error {
	var name string
	var flags []goimap.Flag
	var date time.Time
	if !s.d.SP() || !s.d.Mailbox(&name) || !s.d.SP() {
		return s.d.Err()
	}
	if s.d.Next('(') && (!s.d.Flags(&flags) || !s.d.SP()) {
		return s.d.Err()
	}
	if s.d.Next('"') && (!s.d.DateTime(&date) || !s.d.SP()) {
		return s.d.Err()
	}
	var l imap.Literal
	if !s.d.LiteralHeader(&l) {
		return s.d.Err()
	}
	folder, err := s.open(name)
	if err != nil {
		s.d.Refuse(l, err)
		return s.d.Err()
	}
	d, err := s.receive(folder, l)
	if err != nil {
		return err
	}
	defer d.Abort()
	if !s.d.CRLF() {
		return s.d.Err()
	}
	keywords, err := folder.AddKeywords(keywordsOf(flags))
	if err != nil && err != maildir.ErrKeywords { // what there is no room for is left out
		return err
	}
	uid, err := d.Commit(bitsOf(flags)|keywords, date)
	if err != nil {
		return err
	}
	s.count.appended++
	return s.finish(true, fmt.Sprintf("APPENDUID %d %d", folder.UIDValidity, uid), "APPEND done")
}

// receive takes a literal as a message. Whatever goes wrong, all its bytes are
// read or never sent.
func (s *session) receive(folder *maildir.Folder, l imap.Literal) (*maildir.Delivery, error) {
	refuse := func(err error) (*maildir.Delivery, error) {
		s.d.Refuse(l, err)
		return nil, s.d.Err()
	}
	switch {
	case l.Size > s.MaxMessageSize:
		return refuse(imap.No(goimap.ResponseCodeTooBig, "Message is larger than %d bytes", s.MaxMessageSize))
	case l.Size == 0: // RFC 3502 section 6.3.11: cancelled
		return refuse(imap.No("", "An empty message is none"))
	}
	d, err := folder.NewDelivery()
	if err != nil {
		return refuse(err)
	}
	if err := s.d.GoAhead(l); err != nil {
		d.Abort()
		return nil, err
	}
	body := &io.LimitedReader{R: s.d.Body(l), N: l.Size}
	// A failure of ours must not leave the rest of the message unread.
	_, err = io.CopyBuffer(onlyWriter{d}, body, make([]byte, copyBuffer))
	if _, rerr := io.Copy(io.Discard, body); rerr != nil {
		err = rerr
	} else if body.N > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		d.Abort()
		return nil, err
	}
	return d, nil
}

// copyBuffer is how much of a message is written at once.
const copyBuffer = 64 << 10

// onlyWriter hides everything but Write from io.Copy.
type onlyWriter struct{ io.Writer }
