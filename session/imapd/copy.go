package imapd

import (
	"fmt"

	goimap "github.com/emersion/go-imap/v2"

	"smail/imap"
	"smail/maildir"
)

// copy: RFC 3501 section 6.4.7, UID COPY: section 6.4.8, COPYUID: RFC 4315
// section 3.
func (s *session) copy(uid bool) error {
	places, gone, dest, err := s.copyArgs(uid) // of some that are left, COPYUID tells which
	if err != nil {
		return err
	}
	work := s.begin(len(places))
	from, to, err := s.box.Copy(places, dest, work.step)
	work.finish()
	if err != nil {
		return err
	}
	s.count.copied += len(to)
	if len(to) > 0 {
		s.ownMessages(dest.Name, to[0], to[len(to)-1])
	}
	if len(to) == 0 && gone && !uid {
		return s.finishGone()
	}
	return s.finish(uid, copyUID(dest, from, to), "COPY done")
}

// move: RFC 6851 section 3.
func (s *session) move(uid bool) error {
	places, gone, dest, err := s.copyArgs(uid)
	if err != nil {
		return err
	}
	if err := s.writable(); err != nil {
		return err
	}
	work := s.begin(len(places))
	from, to, err := s.box.Move(places, dest, work.step)
	work.finish()
	if len(to) > 0 {
		// Before the EXPUNGE responses: RFC 6851 section 4.3.
		s.w.Status("*", goimap.StatusResponseTypeOK, copyUID(dest, from, to), "Moved")
	}
	s.count.copied += len(to)
	if len(to) > 0 {
		s.ownMessages(dest.Name, to[0], to[len(to)-1])
	}
	if err != nil {
		return err
	}
	if len(to) == 0 && gone && !uid {
		return s.finishGone()
	}
	return s.finish(true, "", "MOVE done")
}

func (s *session) copyArgs(uid bool) (places []int, gone bool, dest *maildir.Folder, err error) {
	set, err := s.set()
	if err != nil {
		return nil, false, nil, err
	}
	var name string
	if !s.d.SP() || !s.d.Mailbox(&name) || !s.d.CRLF() {
		return nil, false, nil, s.d.Err()
	}
	if places, gone, err = s.pick(set, uid); err != nil {
		return nil, false, nil, err
	}
	if dest, err = s.open(name); err != nil {
		return nil, false, nil, err
	}
	return places, gone, dest, nil
}

func copyUID(dest *maildir.Folder, from, to []uint32) string {
	if len(to) == 0 {
		return ""
	}
	var a, b imap.NumSet
	for i := range to {
		a.Add(from[i])
		b.Add(to[i])
	}
	return fmt.Sprintf("COPYUID %d %s %s", dest.UIDValidity, a, b)
}
