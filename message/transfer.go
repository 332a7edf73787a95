package message

import (
	"bytes"
	"encoding/base64"
	"io"
)

// lenientBase64 decodes base64 as mail has it: letters that are none are passed
// over, and what follows padding is decoded too, for texts are glued together.
type lenientBase64 struct {
	r       io.Reader
	pending []byte // letters that do not make up three bytes yet
	out     []byte
	err     error
	in      [3 << 10]byte
}

func (l *lenientBase64) Read(p []byte) (int, error) {
	for len(l.out) == 0 {
		if l.err != nil {
			return 0, l.err
		}
		n, err := l.r.Read(l.in[:])
		for _, c := range l.in[:n] {
			switch {
			case c == '=':
				l.flush()
			case isBase64(c):
				if l.pending = append(l.pending, c); len(l.pending) == 4 {
					l.flush()
				}
			}
		}
		if l.err = err; err != nil {
			l.flush()
		}
	}
	n := copy(p, l.out)
	l.out = l.out[n:]
	return n, nil
}

// flush decodes the letters that are there; a single one says nothing.
func (l *lenientBase64) flush() {
	var b [3]byte
	if len(l.pending) > 1 {
		n, _ := base64.RawStdEncoding.Decode(b[:], l.pending)
		l.out = append(l.out, b[:n]...)
	}
	l.pending = l.pending[:0]
}

func isBase64(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '/'
}

// lenientQP decodes quoted-printable (RFC 2045 section 6.7) as mail has it: what
// breaks the rules stands for itself, and lines may be as long as they like.
type lenientQP struct {
	r      io.Reader
	spaces []byte // which are dropped if the line ends
	held   []byte // "=" and what has come of the rest
	out    []byte
	err    error
	in     [3 << 10]byte
}

// maxHeld bounds the spaces that are waited with.
const maxHeld = 1000

func (q *lenientQP) Read(p []byte) (int, error) {
	for len(q.out) == 0 {
		if q.err != nil {
			return 0, q.err
		}
		n, err := q.r.Read(q.in[:])
		q.out = q.out[:0]
		q.feed(q.in[:n])
		if q.err = err; err != nil {
			q.finish()
		}
	}
	n := copy(p, q.out)
	q.out = q.out[n:]
	return n, nil
}

// feed takes some bytes.
func (q *lenientQP) feed(in []byte) {
	for len(in) > 0 {
		n := bytes.IndexByte(in, '\n') + 1
		if n == 0 {
			n = len(in)
		}
		q.feedLine(in[:n])
		in = in[n:]
	}
}

// feedLine takes a line with its end, or a piece of one.
func (q *lenientQP) feedLine(in []byte) {
	for len(in) > 0 {
		if len(q.held) == 0 && len(q.spaces) == 0 { // most bytes stand for themselves
			plain := plainQP(in)
			q.out = append(q.out, in[:plain]...)
			if in = in[plain:]; len(in) == 0 {
				return
			}
			if len(in) > 2 && in[0] == '=' && isHex(in[1]) && isHex(in[2]) {
				q.out = append(q.out, hexValue(in[1])<<4|hexValue(in[2]))
				in = in[3:]
				continue
			}
		}
		q.take(in[0])
		in = in[1:]
	}
}

// finish takes the end.
func (q *lenientQP) finish() {
	if len(q.held) > 1 {
		q.emit(q.held...)
	}
}

// plainQP returns how many bytes of a line stand for themselves: up to an "=",
// or to what may be the spaces at its end.
func plainQP(line []byte) int {
	plain := line
	if i := bytes.IndexByte(plain, '='); i >= 0 {
		plain = plain[:i]
	}
	if i := bytes.IndexByte(plain, '\r'); i >= 0 {
		plain = plain[:i]
	}
	n := len(plain)
	if n > 0 && plain[n-1] == '\n' {
		n--
	}
	end := n
	for n > 0 && (plain[n-1] == ' ' || plain[n-1] == '\t') {
		n--
	}
	if n == end {
		return len(plain)
	}
	return n
}

func (q *lenientQP) emit(b ...byte) {
	q.out = append(append(q.out, q.spaces...), b...)
	q.spaces = q.spaces[:0]
}

// take takes one byte.
func (q *lenientQP) take(c byte) {
	if len(q.held) > 0 {
		if q.takeHeld(c) {
			return
		}
		q.emit(q.held...)
		q.held = q.held[:0]
	}
	switch {
	case c == '=':
		q.held = append(q.held, c)
	case c == ' ' || c == '\t':
		if q.spaces = append(q.spaces, c); len(q.spaces) == maxHeld {
			q.emit()
		}
	case c == '\r' || c == '\n':
		q.spaces = q.spaces[:0]
		q.out = append(q.out, c)
	default:
		q.emit(c)
	}
}

// takeHeld takes a byte behind "="; false if that "=" stands for itself.
func (q *lenientQP) takeHeld(c byte) bool {
	second := byte(0)
	if len(q.held) > 1 {
		second = q.held[1]
	}
	switch {
	case second == 0 && isHex(c):
		q.held = append(q.held, c)
	case isHex(second) && isHex(c):
		q.emit(hexValue(second)<<4 | hexValue(c))
		q.held = q.held[:0]
	case isHex(second):
		return false
	case c == '\n': // a soft line break
		q.emit()
		q.held = q.held[:0]
	case (c == ' ' || c == '\t' || c == '\r') && len(q.held) < maxHeld:
		q.held = append(q.held, c)
	default:
		return false
	}
	return true
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'F' || c >= 'a' && c <= 'f'
}

func hexValue(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}
