package imapd

import (
	"fmt"
	"io"
	"time"

	goimap "github.com/emersion/go-imap/v2"

	"smail/imap"
	"smail/maildir"
)

// maxAppended bounds the messages of one APPEND: each is an open file.
const maxAppended = 500

// An appended message is one that APPEND brings.
type appended struct {
	*maildir.Delivery
	flags []goimap.Flag
	date  time.Time
}

// append: RFC 3501 section 6.3.11, with several messages RFC 3502, APPENDUID:
// RFC 4315 section 3. Messages stream into tmp/; they are in the mailbox when
// all of them have come.
func (s *session) append(bool) error {
	var name string
	if !s.d.SP() || !s.d.Mailbox(&name) {
		return s.d.Err()
	}
	folder, uids, err := s.appendTo(name, maxAppended)
	if err != nil {
		return err
	}
	return s.finish(true, fmt.Sprintf("APPENDUID %d %s", folder.UIDValidity, uids), "APPEND done")
}

// replace: RFC 8508 section 3.
func (s *session) replace(uid bool) error {
	var message imap.NumSet
	var name string
	if !s.d.SP() || !s.d.SetNumber(&message) || !s.d.SP() || !s.d.Mailbox(&name) {
		return s.d.Err()
	}
	if err := s.writable(); err != nil {
		return err
	}
	places, gone, err := s.pick(message, uid)
	if err != nil {
		return err
	}
	if gone || len(places) == 0 {
		return imap.No("EXPUNGEISSUED", "The message is gone")
	}
	folder, uids, err := s.appendTo(name, 1)
	if err != nil {
		return err
	}
	s.w.Status("*", goimap.StatusResponseTypeOK, fmt.Sprintf("APPENDUID %d %s", folder.UIDValidity, uids), "Replacement")
	s.count.expunged++
	if err := s.box.Expunge(places, nil); err != nil {
		return err
	}
	return s.finish(true, "", "REPLACE done")
}

// appendTo takes what stands behind APPEND's mailbox, at most so many messages,
// and puts them there.
func (s *session) appendTo(name string, most int) (folder *maildir.Folder, uids imap.NumSet, err error) {
	var all []appended
	defer func() {
		for _, m := range all {
			m.Abort()
		}
	}()
	for s.d.Try(' ') {
		if len(all) == most {
			return nil, nil, imap.No(goimap.ResponseCodeLimit, "At most %d messages at once", most)
		}
		m, err := s.appendOne(name)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, m)
	}
	if len(all) == 0 && !s.d.SP() || !s.d.CRLF() {
		return nil, nil, s.d.Err()
	}
	if folder, err = s.open(name); err != nil {
		return nil, nil, err
	}
	ready := make([]maildir.Committed, len(all))
	for i, m := range all {
		keywords, err := folder.AddKeywords(keywordsOf(m.flags))
		if err != nil && err != maildir.ErrKeywords { // what there is no room for is left out
			return nil, nil, err
		}
		ready[i] = maildir.Committed{Delivery: m.Delivery, Flags: bitsOf(m.flags) | keywords, Date: m.date}
	}
	first, err := folder.Commit(ready)
	if err != nil {
		return nil, nil, err
	}
	s.count.appended += len(all)
	s.ownMessages(folder.Name, first, first+uint32(len(all))-1)
	return folder, imap.NumSet{{Start: first, Stop: first + uint32(len(all)) - 1}}, nil
}

// appendOne takes one message with its flags and date: a literal, a binary one
// (RFC 3516 section 4.4), one in UTF8 (...) (RFC 6855 section 4), or CATENATE.
func (s *session) appendOne(name string) (m appended, err error) {
	if s.d.Next('(') && (!s.d.Flags(&m.flags) || !s.d.SP()) {
		return m, s.d.Err()
	}
	if s.d.Next('"') && (!s.d.DateTime(&m.date) || !s.d.SP()) {
		return m, s.d.Err()
	}
	if s.d.Next('{') || s.d.Next('~') {
		m.Delivery, err = s.appendLiteral(name)
		return m, err
	}
	var word string
	if !s.d.Keyword(&word) || !s.d.SP() {
		return m, s.d.Err()
	}
	switch word {
	case "UTF8":
		if !s.d.Expect('(') {
			return m, s.d.Err()
		}
		if m.Delivery, err = s.appendLiteral(name); err == nil && !s.d.Expect(')') {
			err = s.d.Err()
		}
	case "CATENATE":
		m.Delivery, err = s.catenate(name)
	default:
		err = imap.Bad("Expected a message")
	}
	if err != nil && m.Delivery != nil {
		m.Abort()
	}
	return m, err
}

// appendLiteral takes a message that comes as one literal.
func (s *session) appendLiteral(name string) (*maildir.Delivery, error) {
	var l imap.Literal
	if !s.d.LiteralHeader(&l) {
		return nil, s.d.Err()
	}
	if l.Size == 0 { // RFC 3502 section 6.3.11: cancelled
		s.d.Refuse(l, imap.No("", "An empty message is none"))
		return nil, s.d.Err()
	}
	d, err := s.deliver(name)
	if err != nil {
		s.d.Refuse(l, err)
		return nil, s.d.Err()
	}
	err = s.receive(d, l, 0)
	if err == nil && l.Binary && d.BareLF() { // RFC 3516 section 4.4: no loss of data
		err = imap.No("UNKNOWN-CTE", "A binary message is kept with CRLF line ends only")
	}
	if err != nil {
		d.Abort()
		return nil, err
	}
	return d, nil
}

// deliver begins a message in a mailbox.
func (s *session) deliver(name string) (*maildir.Delivery, error) {
	folder, err := s.open(name)
	if err != nil {
		return nil, err
	}
	return folder.NewDelivery()
}

// receive takes a literal as part of a message that has so many bytes already.
// Whatever goes wrong, all its bytes are read or never sent.
func (s *session) receive(d *maildir.Delivery, l imap.Literal, before int64) error {
	if l.Size > s.MaxMessageSize-before {
		s.d.Refuse(l, s.tooBig())
		return s.d.Err()
	}
	if err := s.d.GoAhead(l); err != nil {
		return err
	}
	body := &io.LimitedReader{R: s.d.Body(l), N: l.Size}
	// A failure of ours must not leave the rest of the message unread.
	_, err := io.CopyBuffer(onlyWriter{d}, body, make([]byte, copyBuffer))
	if _, rerr := io.Copy(io.Discard, body); rerr != nil {
		err = rerr
	} else if body.N > 0 {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func (s *session) tooBig() error {
	return imap.No(goimap.ResponseCodeTooBig, "Message is larger than %d bytes", s.MaxMessageSize)
}

// copyBuffer is how much of a message is written at once.
const copyBuffer = 64 << 10

// onlyWriter hides everything but Write from io.Copy.
type onlyWriter struct{ io.Writer }
