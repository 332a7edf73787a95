package submitd

import (
	"strings"

	"github.com/emersion/go-smtp"
)

// own says whether an address is the user's: his name, with or without a
// +detail, at this host or at a login domain.
func (s *server) own(address string) bool {
	local, domain, ok := cutLast(address, '@')
	if !ok {
		return false
	}
	name, _, _ := strings.Cut(local, "+")
	if name != s.User {
		return false
	}
	for _, d := range append([]string{s.Config.Hostname}, s.Config.LoginDomains...) {
		if strings.EqualFold(d, domain) {
			return true
		}
	}
	return false
}

// sender decides on an envelope sender. Who sends without a password may be
// nobody but the user last seen at the address, whatever sender_check says.
func (s *server) sender(from string) (string, error) {
	if s.own(from) || from == "" && !s.Recent {
		return from, nil
	}
	switch {
	case s.Recent || s.Config.SenderCheck == "reject":
		return from, reply(553, smtp.EnhancedCode{5, 7, 1}, "Sender is not an address of %s", s.User)
	case s.Config.SenderCheck == "rewrite":
		return s.User + "@" + s.Config.Hostname, nil
	}
	return from, nil
}
