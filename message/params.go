package message

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Field returns a MIME field's value and its parameters, such as
// Content-Disposition's; nil if it is not there.
func (h Header) Field(name string) (value []byte, params []Param) {
	v := h.Get(name)
	if v == nil {
		return nil, nil
	}
	return ParseParams(v)
}

// ParseParams takes "value; name=value; name="value"" apart: RFC 2045 section
// 5.1, with comments passed over. Names come in lower case.
func ParseParams(b []byte) (value []byte, params []Param) {
	s := scanner{b: b}
	value = uncommented(s.until(';'))
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
	return value, joinParams(params)
}

// joinParams puts the pieces of parameters together: "name*0", "name*1" as "name", and,
// where some are encoded ("name*0*"), as "name*", encoded: RFC 2231 sections 3 and 4.1.
func joinParams(params []Param) []Param {
	if !slices.ContainsFunc(params, func(p Param) bool { return strings.HasSuffix(strings.TrimSuffix(p.Name, "*"), "*0") }) {
		return params
	}
	pieces, joined := map[string]Param{}, make([]Param, 0, len(params))
	for _, p := range params { // the first of a name counts
		if name := strings.TrimSuffix(p.Name, "*"); pieces[name].Name == "" {
			pieces[name] = p
		}
	}
	done := map[string]bool{}
	for _, p := range params {
		name, number, ok := strings.Cut(strings.TrimSuffix(p.Name, "*"), "*")
		_, begun := pieces[name+"*0"]
		if _, err := strconv.Atoi(number); !ok || !begun || err != nil {
			joined = append(joined, p)
			continue
		}
		if number != "0" || done[name] {
			continue // it goes with the first, or is of no use
		}
		done[name] = true
		var values []string
		var encoded []bool
		for i := 0; ; i++ {
			piece, there := pieces[fmt.Sprintf("%s*%d", name, i)]
			if !there {
				break
			}
			values, encoded = append(values, piece.Value), append(encoded, strings.HasSuffix(piece.Name, "*"))
		}
		if slices.Contains(encoded, true) {
			name += "*"
			if !encoded[0] {
				values[0], encoded[0] = "''"+percentEncoded(values[0]), true // of no charset
			}
			for i := range values {
				if !encoded[i] {
					values[i] = percentEncoded(values[i])
				}
			}
		}
		joined = append(joined, Param{name, strings.Join(values, "")})
	}
	return joined
}

// percentEncoded writes a value as RFC 2231 section 7 has it.
func percentEncoded(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; isToken([]byte{c}) && strings.IndexByte("*'%", c) < 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// uncommented returns a value without comments: RFC 5322 section 3.2.2.
func uncommented(b []byte) []byte {
	if bytes.IndexByte(b, '(') < 0 {
		return bytes.TrimSpace(b)
	}
	var out []byte
	depth := 0
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == '\\' && depth > 0:
			i++
		case depth == 0:
			out = append(out, c)
		}
	}
	return bytes.TrimSpace(out)
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
