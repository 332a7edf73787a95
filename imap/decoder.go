// Package imap is the grammar of IMAP4rev1 (RFC 3501) and its extensions:
// reading commands, writing responses. It knows no files, users or processes.
// The front uses it before login and the session after it.
package imap

import (
	"bufio"
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	goimap "github.com/emersion/go-imap/v2"
)

// Limits bound what one command may make us keep.
type Limits struct {
	Line     int   // bytes of a command outside its literals
	Literal  int64 // bytes of one literal that is kept as a string
	Literals int   // how many of them
	Discard  int64 // bytes of one literal that is read only to be thrown away
}

var (
	// BeforeLogin is what a stranger gets.
	BeforeLogin = Limits{Line: 8 << 10, Literal: 1 << 10, Literals: 3, Discard: 1 << 20}
	// AfterLogin leaves room for long sets of numbers and big searches.
	AfterLogin = Limits{Line: 64 << 10, Literal: 64 << 10, Literals: 100, Discard: 64 << 20}
)

// A Decoder reads commands. Its methods say whether they found what they are
// named for; the first that did not leaves its error in Err, so that grammar
// reads like the RFC:
//
//	if !d.SP() || !d.Mailbox(&name) || !d.CRLF() {
//		return d.Err()
//	}
//
// Methods called Try... look for something optional and leave no error.
type Decoder struct {
	r        *bufio.Reader
	limits   Limits
	goAhead  func() error // asks for a literal: "+ ..."
	err      error
	broken   error // of the connection: nothing more can be read
	length   int   // of this command, literals apart
	literals int
	ended    bool   // the command's CRLF was read
	line     []byte // what Line has read of a line so far

	// UTF8 says that mailbox names come in UTF-8, not in modified UTF-7: RFC
	// 6855 section 3.
	UTF8 bool
}

// NewDecoder reads from r. goAhead must send a continuation request to the client.
func NewDecoder(r *bufio.Reader, limits Limits, goAhead func() error) *Decoder {
	return &Decoder{r: r, limits: limits, goAhead: goAhead}
}

// Err returns the first error since Begin: a *goimap.Error for the client, or
// an error of reading, after which the connection is of no more use.
func (d *Decoder) Err() error { return d.err }

// Begin starts a new command.
func (d *Decoder) Begin() { d.err, d.length, d.literals, d.ended = nil, 0, 0, false }

// Begun says whether something of the command has been read.
func (d *Decoder) Begun() bool { return d.length > 0 }

// Ended says whether the command was read to its end.
func (d *Decoder) Ended() bool { return d.ended }

// Buffered takes what has been read of the connection beyond the command.
func (d *Decoder) Buffered() []byte {
	b, _ := d.r.Peek(d.r.Buffered())
	b = bytes.Clone(b)
	d.r.Discard(len(b))
	return b
}

// Bad makes the error of a command that breaks the grammar.
func Bad(format string, args ...any) error {
	return &goimap.Error{Type: goimap.StatusResponseTypeBad, Text: fmt.Sprintf(format, args...)}
}

// Bye makes the error that ends the connection.
func Bye(format string, args ...any) error {
	return &goimap.Error{Type: goimap.StatusResponseTypeBye, Text: fmt.Sprintf(format, args...)}
}

// No makes the error of a command that cannot be carried out.
func No(code goimap.ResponseCode, format string, args ...any) error {
	return &goimap.Error{Type: goimap.StatusResponseTypeNo, Code: code, Text: fmt.Sprintf(format, args...)}
}

func (d *Decoder) fail(err error) bool {
	if d.err == nil {
		d.err = err
	}
	return false
}

// Fail makes err the command's error, unless it has one, and returns false.
func (d *Decoder) Fail(err error) bool { return d.fail(err) }

func (d *Decoder) expected(what string) bool { return d.fail(Bad("Expected %s", what)) }

// peek returns the next byte without taking it; false at an error.
func (d *Decoder) peek() (byte, bool) {
	if d.err != nil || d.ended {
		return 0, false
	}
	b, err := d.r.Peek(1)
	if err != nil {
		return 0, d.breakOff(err)
	}
	return b[0], true
}

// take takes the byte that was peeked.
func (d *Decoder) take() {
	d.r.Discard(1)
	if d.length++; d.length > d.limits.Line {
		d.breakOff(Bye("Command longer than %d bytes", d.limits.Line))
	}
}

// breakOff makes err the error of the command and of all that would follow.
func (d *Decoder) breakOff(err error) bool {
	if d.broken == nil {
		d.broken = err
	}
	d.err = d.broken
	return false
}

// Try takes the byte c if it is next.
func (d *Decoder) Try(c byte) bool {
	if b, ok := d.peek(); !ok || b != c {
		return false
	}
	d.take()
	return d.err == nil
}

// Expect takes the byte c.
func (d *Decoder) Expect(c byte) bool {
	return d.Try(c) || d.expected(strconv.QuoteRune(rune(c)))
}

// Next says whether the byte c is next, and leaves it.
func (d *Decoder) Next(c byte) bool {
	b, ok := d.peek()
	return ok && b == c
}

// ahead says whether this text is next, in whatever case, and leaves it. It
// does not wait for more than it takes to tell.
func (d *Decoder) ahead(text string) bool {
	for i := range text {
		if d.err != nil || d.ended {
			return false
		}
		b, err := d.r.Peek(i + 1)
		if err != nil {
			return d.breakOff(err)
		}
		if upper(b[i]) != upper(text[i]) {
			return false
		}
	}
	return true
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		c -= 'a' - 'A'
	}
	return c
}

// SP takes one space.
func (d *Decoder) SP() bool { return d.Try(' ') || d.expected("a space") }

// CRLF takes the command's end. A bare LF is taken too, as other servers do.
func (d *Decoder) CRLF() bool {
	if d.ended {
		return d.err == nil
	}
	if d.ahead(" \r") { // clients that mean nothing by it
		d.Try(' ')
	}
	d.Try('\r')
	if !d.Try('\n') {
		return d.expected("the end of the command")
	}
	d.ended = true
	return true
}

// AtEnd says whether the command's end is next.
func (d *Decoder) AtEnd() bool { return d.ended || d.Next('\r') || d.Next('\n') }

func isAtomChar(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte(`(){%*"\]`, c) < 0
}

func isAStringChar(c byte) bool { return isAtomChar(c) || c == ']' }

func isListChar(c byte) bool { return isAStringChar(c) || c == '%' || c == '*' }

func (d *Decoder) word(s *string, what string, ok func(byte) bool) bool {
	var b []byte
	for {
		c, more := d.peek()
		if !more || !ok(c) {
			break
		}
		b = append(b, c)
		d.take()
	}
	if d.err != nil {
		return false
	}
	if len(b) == 0 {
		return d.expected(what)
	}
	*s = string(b)
	return true
}

// Tag takes a command's tag.
func (d *Decoder) Tag(s *string) bool {
	return d.word(s, "a tag", func(c byte) bool { return isAStringChar(c) && c != '+' })
}

// Atom takes an atom.
func (d *Decoder) Atom(s *string) bool { return d.word(s, "an atom", isAtomChar) }

// Keyword takes an atom and folds it to capitals: commands, items, keys.
func (d *Decoder) Keyword(s *string) bool {
	if !d.Atom(s) {
		return false
	}
	*s = strings.ToUpper(*s)
	return true
}

// AString takes an atom, a quoted string or a literal.
func (d *Decoder) AString(s *string) bool {
	if d.Next('"') || d.Next('{') {
		return d.String(s)
	}
	return d.word(s, "a string", isAStringChar)
}

// ListMailbox takes LIST's pattern, in which % and * may stand bare.
func (d *Decoder) ListMailbox(s *string) bool {
	if d.Next('"') || d.Next('{') {
		return d.String(s)
	}
	return d.word(s, "a mailbox pattern", isListChar)
}

// String takes a quoted string or a literal.
func (d *Decoder) String(s *string) bool {
	switch {
	case d.Next('"'):
		return d.quoted(s)
	case d.Next('{'):
		var l Literal
		if !d.LiteralHeader(&l) {
			return false
		}
		b, ok := d.literal(l)
		*s = string(b)
		return ok
	}
	return d.expected("a string")
}

func (d *Decoder) quoted(s *string) bool {
	d.take()
	var b []byte
	for {
		c, ok := d.peek()
		if !ok {
			return false
		}
		switch c {
		case '\r', '\n', 0:
			return d.fail(Bad("A quoted string may not hold CR, LF or NUL"))
		case '"':
			d.take()
			if d.UTF8 && !utf8.Valid(b) { // RFC 6855 section 3
				return d.fail(Bad("A quoted string must be UTF-8"))
			}
			*s = string(b)
			return d.err == nil
		case '\\':
			d.take()
			if c, ok = d.peek(); !ok || c != '"' && c != '\\' {
				return d.expected("\\ or \" after \\")
			}
		}
		b = append(b, c)
		d.take()
		if d.err != nil {
			return false
		}
	}
}

// Number takes a number of 32 bits.
func (d *Decoder) Number(n *uint32) bool {
	var v uint64
	if !d.Number64(&v) {
		return false
	}
	if v > 1<<32-1 {
		return d.fail(Bad("Number too large"))
	}
	*n = uint32(v)
	return true
}

// Number64 takes a number of 63 bits (RFC 9051 section 9, number64).
func (d *Decoder) Number64(n *uint64) bool {
	var s string
	if !d.word(&s, "a number", func(c byte) bool { return c >= '0' && c <= '9' }) {
		return false
	}
	v, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return d.fail(Bad("Number too large"))
	}
	*n = v
	return true
}

// List takes a list in parentheses, calling item for each.
func (d *Decoder) List(item func() bool) bool {
	if !d.Expect('(') {
		return false
	}
	for !d.Try(')') {
		if !item() {
			return false
		}
		if !d.Next(')') && !d.SP() {
			return false
		}
	}
	return d.err == nil
}

// Flag takes a flag: \Seen, or a keyword.
func (d *Decoder) Flag(f *goimap.Flag) bool {
	var s string
	system := d.Try('\\')
	if !d.Atom(&s) {
		return false
	}
	if system {
		s = `\` + s
	}
	*f = goimap.Flag(s)
	return true
}

// Flags takes a list of flags.
func (d *Decoder) Flags(fs *[]goimap.Flag) bool {
	return d.List(func() bool {
		var f goimap.Flag
		ok := d.Flag(&f)
		*fs = append(*fs, f)
		return ok
	})
}

// Line reads a line that is not part of the grammar: an AUTHENTICATE response,
// or DONE. After an error that is none of the connection's, as an interruption
// of IDLE, the next call goes on where this one stopped.
func (d *Decoder) Line() (string, error) {
	for {
		chunk, err := d.r.ReadSlice('\n')
		if d.line = append(d.line, chunk...); len(d.line) > d.limits.Line {
			return "", Bye("Line longer than %d bytes", d.limits.Line)
		}
		if err == nil {
			line := strings.TrimRight(string(d.line), "\r\n")
			d.line = nil
			return line, nil
		}
		if err != bufio.ErrBufferFull {
			return "", err
		}
	}
}
