package imapd

import (
	goimap "github.com/emersion/go-imap/v2"

	"smail/imap"
	"smail/maildir"
)

// noop: RFC 3501 section 6.1.2, and CHECK, section 6.4.1.
func (s *session) noop(bool) error {
	if !s.d.CRLF() {
		return s.d.Err()
	}
	return s.finish(true, "", "Done")
}

// logout: RFC 3501 section 6.1.3.
func (s *session) logout(bool) error {
	if !s.d.CRLF() {
		return s.d.Err()
	}
	s.w.Status("*", goimap.StatusResponseTypeBye, "", "Goodbye")
	s.ok("", "LOGOUT done")
	return errLogout
}

// id: RFC 2971. The client's name goes into the log.
func (s *session) id(bool) error {
	fields := map[string]string{}
	if err := s.d.ID(fields); err != nil {
		return err
	}
	s.client = fields["name"]
	s.w.Raw(`* ID ("name" "smail")`).CRLF()
	return s.finish(true, "", "ID done")
}

// namespace: RFC 2342 section 5. Only the user's own.
func (s *session) namespace(bool) error {
	if !s.d.CRLF() {
		return s.d.Err()
	}
	s.w.Raw("* NAMESPACE ((").String(imap.EncodeMailbox(s.Prefix)).Raw(` "`).
		Raw(string(maildir.Separator)).Raw(`")) NIL NIL`).CRLF()
	return s.finish(true, "", "NAMESPACE done")
}
