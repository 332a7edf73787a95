package message

import (
	"bytes"
	"iter"
	"strings"
)

// A Header is the raw header of a message or a part.
type Header []byte

// Fields returns each field: its name, and the raw lines, folded as they are.
// Lines that are no fields (mbox's "From ", leftovers) are passed over.
func (h Header) Fields() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, lines []byte) bool) {
		rest := []byte(h)
		for len(rest) > 0 {
			end := fieldEnd(rest)
			lines := rest[:end]
			rest = rest[end:]
			colon := bytes.IndexByte(lines, ':')
			if colon <= 0 {
				continue
			}
			name := bytes.TrimRight(lines[:colon], " \t")
			if bytes.ContainsAny(name, " \t\r\n") || len(name) == 0 {
				continue
			}
			if !yield(name, lines) {
				return
			}
		}
	}
}

// fieldEnd returns where the first field ends: at the first line end that no
// space or tab follows.
func fieldEnd(b []byte) int {
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return len(b)
		}
		at += i + 1
		if at == len(b) || b[at] != ' ' && b[at] != '\t' {
			return at
		}
	}
}

// Get returns the first field of a name, unfolded and without its name; nil if
// there is none.
func (h Header) Get(name string) []byte {
	for n, lines := range h.Fields() {
		if len(n) == len(name) && strings.EqualFold(string(n), name) {
			return unfold(lines[bytes.IndexByte(lines, ':')+1:])
		}
	}
	return nil
}

// All returns every field of a name, unfolded.
func (h Header) All(name string) (values [][]byte) {
	for n, lines := range h.Fields() {
		if strings.EqualFold(string(n), name) {
			values = append(values, unfold(lines[bytes.IndexByte(lines, ':')+1:]))
		}
	}
	return values
}

// unfold removes line ends and what surrounds a value (RFC 5322 section 2.2.3).
// NUL, which no string may hold, goes with them.
func unfold(b []byte) []byte {
	b = bytes.Trim(b, " \t\r\n")
	if bytes.IndexByte(b, '\n') < 0 && bytes.IndexByte(b, 0) < 0 && bytes.IndexByte(b, '\r') < 0 {
		if b == nil {
			b = []byte{}
		}
		return b
	}
	out := make([]byte, 0, len(b))
	for _, c := range b {
		if c != '\r' && c != '\n' && c != 0 {
			out = append(out, c)
		}
	}
	return out
}

// Select returns the fields that are named (or, with not, all others) with
// CRLF and the empty line: BODY[HEADER.FIELDS (...)].
func (h Header) Select(names []string, not bool) []byte {
	var out []byte
	for n, lines := range h.Fields() {
		named := false
		for _, want := range names {
			named = named || strings.EqualFold(string(n), want)
		}
		if named != not {
			out = appendCRLF(out, lines)
		}
	}
	return append(out, '\r', '\n')
}

// appendCRLF appends lines with CRLF for LF.
func appendCRLF(out, b []byte) []byte {
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			return append(append(out, b...), '\r', '\n') // the last line of a message without a body
		}
		line := b[:i]
		if i > 0 && line[i-1] == '\r' {
			line = line[:i-1]
		}
		out = append(append(out, line...), '\r', '\n')
		b = b[i+1:]
	}
	return out
}

// Field returns a MIME field's value and its parameters, such as
// Content-Disposition's; nil if it is not there.
func (h Header) Field(name string) (value []byte, params []Param) {
	v := h.Get(name)
	if v == nil {
		return nil, nil
	}
	return parseParams(v)
}

// parseParams takes "value; name=value; name="value"" apart: RFC 2045 section
// 5.1, with comments passed over. Names come in lower case.
func parseParams(b []byte) (value []byte, params []Param) {
	s := scanner{b: b}
	value = bytes.TrimSpace(s.until(';'))
	for len(params) < maxParams && s.skip(';') {
		s.space()
		name := s.token("=;")
		s.space()
		if !s.skip('=') {
			if s.until(';'); len(s.b) == 0 {
				break
			}
			continue
		}
		s.space()
		var v string
		if len(s.b) > 0 && s.b[0] == '"' {
			v = string(s.quoted())
		} else {
			v = string(bytes.TrimSpace(s.token(";")))
		}
		if len(name) > 0 {
			params = append(params, Param{lower(name), v})
		}
		s.until(';')
	}
	return value, params
}

func lower(b []byte) string { return strings.ToLower(string(b)) }

func isToken(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?=`, c) >= 0 {
			return false
		}
	}
	return len(b) > 0
}
