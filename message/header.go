package message

import (
	"bytes"
	"io"
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
			if name := fieldName(lines); name != nil && !yield(name, lines) {
				return
			}
		}
	}
}

// fieldName returns the name of a field; nil if the lines are none.
func fieldName(lines []byte) []byte {
	colon := bytes.IndexByte(lines, ':')
	if colon <= 0 {
		return nil
	}
	name := lines[:colon]
	if c := name[colon-1]; c == ' ' || c == '\t' {
		name = bytes.TrimRight(name, " \t")
	}
	if !isName(name) {
		return nil
	}
	return name
}

// isName says whether a field can have this name.
func isName(name []byte) bool {
	for _, c := range name {
		if c == ' ' || c == '\t' || c == '\r' || c == '\n' {
			return false
		}
	}
	return len(name) > 0
}

// isNamed compares names of fields, which have no case.
func isNamed(n []byte, name string) bool {
	return len(n) == len(name) && strings.EqualFold(string(n), name)
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

// named passes the values of the fields of a name, folded as they are.
func (h Header) named(name string) iter.Seq[[]byte] {
	return func(yield func(value []byte) bool) {
		for rest := []byte(h); len(rest) > 0; {
			if len(rest) > len(name) && lowerASCII(rest[0]) == lowerASCII(name[0]) && isNamed(rest[:len(name)], name) {
				value := bytes.TrimLeft(rest[len(name):], " \t")
				if len(value) > 0 && value[0] == ':' {
					end := fieldEnd(value)
					if !yield(value[1:end]) {
						return
					}
					rest = value[end:]
					continue
				}
			}
			i := bytes.IndexByte(rest, '\n')
			if i < 0 {
				return
			}
			rest = rest[i+1:]
		}
	}
}

// Get returns the first field of a name, unfolded and without its name; nil if
// there is none.
func (h Header) Get(name string) []byte {
	for value := range h.named(name) {
		return unfold(value)
	}
	return nil
}

// GetAll is Get for several names in one pass.
func (h Header) GetAll(names []string, values [][]byte) { h.GetLists(names, values, 0, 0) }

// maxLists bounds the fields of one name that GetLists puts together.
const maxLists = 100

// GetLists is GetAll, but those of the names from first on and before behind are of
// lists: what further fields of such a name have is added, though there should be none.
func (h Header) GetLists(names []string, values [][]byte, first, behind int) {
	left := len(names)
	var more map[int][][]byte
	for n, lines := range h.Fields() {
		for i, name := range names {
			again := values[i] != nil
			if again && (i < first || i >= behind || len(more[i]) >= maxLists) || !isNamed(n, name) {
				continue
			}
			value := unfold(lines[len(n)+bytes.IndexByte(lines[len(n):], ':')+1:])
			switch {
			case !again:
				values[i] = value
				left--
			case more == nil:
				more = map[int][][]byte{}
				fallthrough
			default:
				more[i] = append(more[i], value)
			}
		}
		if left == 0 && first == behind {
			return
		}
	}
	for i, others := range more {
		values[i] = bytes.Join(append([][]byte{values[i]}, others...), []byte(", "))
	}
}

// unfold removes line ends and what surrounds a value (RFC 5322 section 2.2.3). A tab at
// a fold becomes the space that people look for. NUL, which no string may hold, goes too.
func unfold(b []byte) []byte {
	b = bytes.Trim(b, " \t\r\n")
	if bytes.IndexByte(b, '\n') < 0 && bytes.IndexByte(b, 0) < 0 && bytes.IndexByte(b, '\r') < 0 {
		if b == nil {
			b = []byte{}
		}
		return b
	}
	out := make([]byte, 0, len(b))
	for i, c := range b {
		switch {
		case c == '\r', c == '\n', c == 0:
		case c == '\t' && i > 0 && b[i-1] == '\n':
			out = append(out, ' ')
		default:
			out = append(out, c)
		}
	}
	return out
}

// Select returns the fields that are named (or, with not, all others) with
// CRLF and the empty line: BODY[HEADER.FIELDS (...)].
func (h Header) Select(names []string, not bool) []byte { return h.AppendSelect(nil, names, not) }

// AppendSelect appends what Select returns.
func (h Header) AppendSelect(b []byte, names []string, not bool) []byte {
	var firsts [256]bool // letters that the names begin with: most fields are passed over by theirs
	for _, want := range names {
		if want != "" {
			firsts[lowerASCII(want[0])], firsts[upperASCII(lowerASCII(want[0]))] = true, true
		}
	}
	for rest := []byte(h); len(rest) > 0; {
		lines := rest[:fieldEnd(rest)]
		rest = rest[len(lines):]
		named := false
		if not || firsts[lines[0]] {
			n := fieldName(lines)
			if n == nil {
				continue
			}
			for _, want := range names {
				named = named || isNamed(n, want)
			}
		}
		if named != not {
			end := len(lines)
			for end > 0 && (lines[end-1] == '\n' || lines[end-1] == '\r') {
				end--
			}
			b = append(AppendCRLF(b, lines[:end]), '\r', '\n')
		}
	}
	return append(b, '\r', '\n')
}

// Without returns the header without the named fields, and otherwise byte for
// byte, lines that are no fields included.
func (h Header) Without(names []string) Header {
	var out Header
	rest := []byte(h)
	for len(rest) > 0 {
		end := fieldEnd(rest)
		lines := rest[:end]
		rest = rest[end:]
		name, _, _ := bytes.Cut(lines, []byte(":"))
		drop := false
		for _, n := range names {
			drop = drop || isNamed(bytes.TrimRight(name, " \t"), n)
		}
		if !drop {
			out = append(out, lines...)
		}
	}
	return out
}

// CRLF returns the header with CRLF line ends.
func (h Header) CRLF() []byte { return AppendCRLF(make([]byte, 0, len(h)+len(h)/20), h) }

// ReadHeader reads a message as far as the empty line that ends its header, into
// buf if that is large enough.
func ReadHeader(r io.Reader, buf []byte) (Header, error) {
	h := Header(buf[:0])
	for {
		if len(h) == cap(h) {
			h = append(make(Header, 0, max(8<<10, 2*cap(h))), h...)
		}
		n, err := r.Read(h[len(h):cap(h)])
		from := max(0, len(h)-3)
		h = h[:len(h)+n]
		if end := headerEnd(h, from); end >= 0 {
			return h[:end], nil
		}
		if len(h) >= maxHeaderBytes || err == io.EOF {
			return h[:min(len(h), maxHeaderBytes)], nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// headerEnd finds the end of the first empty line, looking from an offset on.
func headerEnd(b []byte, from int) int {
	if from == 0 {
		if bytes.HasPrefix(b, []byte("\n")) {
			return 1
		}
		if bytes.HasPrefix(b, []byte("\r\n")) {
			return 2
		}
	}
	for i := from; i < len(b); i++ {
		j := bytes.IndexByte(b[i:], '\n')
		if j < 0 {
			return -1
		}
		i += j
		rest := b[i+1:]
		if bytes.HasPrefix(rest, []byte("\n")) {
			return i + 2
		}
		if bytes.HasPrefix(rest, []byte("\r\n")) {
			return i + 3
		}
	}
	return -1
}

// AppendCRLF appends b with CR before each LF that has none.
func AppendCRLF(out, b []byte) []byte {
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			return append(out, b...)
		}
		out = append(out, b[:i]...)
		if len(out) == 0 || out[len(out)-1] != '\r' {
			out = append(out, '\r')
		}
		out = append(out, '\n')
		b = b[i+1:]
	}
	return out
}
