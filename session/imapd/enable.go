package imapd

import (
	"fmt"
	"strings"

	"smail/imap"
)

// enabled is what the client has asked for by ENABLE, or by using it.
type enabled struct {
	condstore bool // RFC 7162 section 3.1
	qresync   bool // section 3.2
	utf8      bool // RFC 6855 section 3
	rev2      bool // RFC 9051
	uidonly   bool // RFC 9586 section 3
}

// capabilities are those after login.
func (s *session) capabilities() string {
	all := fmt.Sprintf("CAPABILITY %s APPENDLIMIT=%d", imap.Capabilities, s.MaxMessageSize)
	if s.deflate == nil {
		all += " COMPRESS=DEFLATE"
	}
	return all
}

// capability: RFC 3501 section 6.1.1.
func (s *session) capability(bool) error {
	if !s.d.CRLF() {
		return s.d.Err()
	}
	s.w.Raw("* ").Raw(s.capabilities()).CRLF()
	return s.ok("", "CAPABILITY done")
}

// enable: RFC 5161 section 3.1. What is not known is passed over.
func (s *session) enable(bool) error {
	var names []string
	for {
		var name string
		if !s.d.SP() || !s.d.Keyword(&name) {
			return s.d.Err()
		}
		names = append(names, name)
		if s.d.AtEnd() {
			break
		}
	}
	if !s.d.CRLF() {
		return s.d.Err()
	}
	var done []string
	for _, name := range names {
		switch name {
		case "CONDSTORE":
			s.enableCondStore()
		case "QRESYNC": // section 3.2.3 of RFC 7162: it implies the other
			s.enableCondStore()
			s.on.qresync = true
		case "UTF8=ACCEPT":
			s.on.utf8 = true
		case "IMAP4REV2":
			s.on.rev2, name = true, "IMAP4rev2"
		case "UIDONLY":
			s.on.uidonly = true
		default:
			continue
		}
		done = append(done, name)
	}
	s.d.UTF8 = s.on.utf8 || s.on.rev2
	s.w.UTF8 = s.d.UTF8
	s.w.Raw(strings.Join(append([]string{"* ENABLED"}, done...), " ")).CRLF()
	return s.ok("", "ENABLE done")
}
