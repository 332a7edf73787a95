package message

import "bytes"

// A scanner takes tokens off the front of an unfolded header value.
type scanner struct{ b []byte }

// maxComment bounds the nesting of comments.
const maxComment = 32

// space passes over white space and comments.
func (s *scanner) space() {
	for len(s.b) > 0 {
		switch s.b[0] {
		case ' ', '\t':
			s.b = s.b[1:]
		case '(':
			s.comment()
		default:
			return
		}
	}
}

// comment takes a comment and returns what is in it.
func (s *scanner) comment() []byte {
	depth := 0
	for i := 0; i < len(s.b); i++ {
		switch s.b[i] {
		case '\\':
			i++
		case '(':
			if depth++; depth > maxComment {
				s.b = nil
				return nil
			}
		case ')':
			if depth--; depth == 0 {
				text := s.b[1:i]
				s.b = s.b[i+1:]
				return text
			}
		}
	}
	text := s.b[1:]
	s.b = nil
	return text
}

func (s *scanner) skip(c byte) bool {
	s.space()
	if len(s.b) == 0 || s.b[0] != c {
		return false
	}
	s.b = s.b[1:]
	return true
}

// until takes everything before c, quoted strings and comments whole.
func (s *scanner) until(c byte) []byte {
	for i := 0; i < len(s.b); i++ {
		switch s.b[i] {
		case c:
			v := s.b[:i]
			s.b = s.b[i:]
			return v
		case '"':
			q := scanner{s.b[i:]}
			q.quoted()
			i = len(s.b) - len(q.b) - 1
		case '(':
			q := scanner{s.b[i:]}
			q.comment()
			i = len(s.b) - len(q.b) - 1
		}
	}
	v := s.b
	s.b = nil
	return v
}

// token takes bytes up to white space, or one of stop.
func (s *scanner) token(stop string) []byte {
	i := 0
	for i < len(s.b) && s.b[i] != ' ' && s.b[i] != '\t' && bytes.IndexByte([]byte(stop), s.b[i]) < 0 {
		i++
	}
	v := s.b[:i]
	s.b = s.b[i:]
	return v
}

// quoted takes a quoted string and returns what it means.
func (s *scanner) quoted() []byte {
	var v []byte
	for i := 1; i < len(s.b); i++ {
		switch c := s.b[i]; c {
		case '"':
			s.b = s.b[i+1:]
			return v
		case '\\':
			if i++; i < len(s.b) {
				v = append(v, s.b[i])
			}
		default:
			v = append(v, c)
		}
	}
	s.b = nil
	return v
}
