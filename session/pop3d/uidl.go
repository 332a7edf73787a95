package pop3d

import (
	"fmt"
)

// uidl writes a message's unique id as the server did that the clients know.
func (s *session) uidl(i int) string {
	m := s.box.Message(s.places[i])
	if id := s.ids[m.UID]; id != "" {
		return printable(id)
	}
	switch s.UIDL {
	case "courier":
		return fmt.Sprintf("UID%d-%d", m.UID, s.box.UIDValidity)
	case "cyrus":
		return fmt.Sprintf("%d.%d", s.box.UIDValidity, m.UID)
	case "uw":
		return fmt.Sprintf("%08x%08x", s.box.UIDValidity, m.UID)
	case "qmail":
		return printable(s.box.Key(s.places[i]))
	}
	return fmt.Sprintf("%08x%08x", m.UID, s.box.UIDValidity)
}

// printable makes a file name a unique id. RFC 1939 section 7 allows 70 characters from
// ! to ~, but the servers before cut off none and sent others, and to clients it is
// another message that has another id.
func printable(key string) string {
	b := []byte(key)
	for i, c := range b {
		if c <= ' ' || c == 0x7f {
			b[i] = '_'
		}
	}
	return string(b)
}
