package imapd

import (
	"errors"
	"runtime/debug"

	"smail/imap"
)

// idle: RFC 2177. The client hears of every change until it says DONE.
func (s *session) idle(bool) error {
	if !s.d.CRLF() {
		return s.d.Err()
	}
	s.w.Raw("+ idling").CRLF()
	s.idling = true
	defer func() { s.idling = false }()
	if s.box != nil {
		w := s.box.Watch(s.conn.Interrupt)
		defer s.conn.Calm()
		defer w.Stop()
	}
	// What changed before the watch began was not seen by it.
	if err := s.update(true); err != nil {
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	s.closeTarget()
	s.mem = memory{}
	if s.box != nil {
		s.box.Rest()
	}
	debug.FreeOSMemory() // a session spends most of its life here
	for {
		line, err := s.d.Line()
		switch {
		case errors.Is(err, s.Interrupted) && s.conn.Terminated():
			return errTerminated
		case errors.Is(err, s.Interrupted):
			if err := s.update(true); err != nil {
				return err
			}
			if s.notifying != nil {
				if err := s.news(); err != nil {
					return err
				}
			}
		case err != nil:
			return err
		case !equalFold(line, "DONE"):
			return imap.Bad("DONE ends IDLE")
		default:
			return s.finish(true, "", "IDLE done")
		}
	}
}
