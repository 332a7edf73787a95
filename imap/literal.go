package imap

import (
	"bufio"
	"io"
	"strconv"
	"strings"
)

// A Literal is the head of a literal: {Size}, {Size+} or ~{Size}.
type Literal struct {
	Size    int64
	NonSync bool // RFC 7888: it follows without our asking
	Binary  bool // RFC 3516 section 4.4: it may hold NUL
}

// LiteralHeader takes a literal's head with its CRLF. The client sends the
// bytes after GoAhead, or at once if the literal is non-synchronising.
func (d *Decoder) LiteralHeader(l *Literal) bool {
	l.Binary = d.Try('~')
	if !d.Expect('{') {
		return false
	}
	var digits string
	if !d.word(&digits, "a number", func(c byte) bool { return c >= '0' && c <= '9' }) {
		return false
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil { // how much of it follows cannot be told
		return d.breakOff(Bye("Literal too large"))
	}
	l.NonSync = d.Try('+')
	if !d.Expect('}') {
		return false
	}
	d.Try('\r')
	if !d.Expect('\n') {
		return false
	}
	l.Size = int64(n)
	return true
}

// GoAhead asks the client for a literal that waits for it.
func (d *Decoder) GoAhead(l Literal) error {
	if l.NonSync {
		return nil
	}
	return d.goAhead()
}

// literal reads a literal that is small enough to be kept.
func (d *Decoder) literal(l Literal) ([]byte, bool) {
	if d.literals++; d.literals > d.limits.Literals || l.Size > d.limits.Literal {
		err := Bad("A command may have %d literals of %d bytes here", d.limits.Literals, d.limits.Literal)
		return nil, d.Refuse(l, err)
	}
	if err := d.GoAhead(l); err != nil {
		return nil, d.breakOff(err)
	}
	b := make([]byte, l.Size)
	if _, err := io.ReadFull(d.r, b); err != nil {
		return nil, d.breakOff(unexpected(err))
	}
	if !l.Binary && strings.IndexByte(string(b), 0) >= 0 {
		return nil, d.fail(Bad("A literal may not hold NUL"))
	}
	return b, true
}

// Refuse makes err the command's error because of a literal whose head has
// been read. What the client sends of it regardless is thrown away, so that no
// byte of it is ever taken for a command.
func (d *Decoder) Refuse(l Literal, err error) bool {
	d.fail(err)
	if l.NonSync {
		if derr := d.discardLiteral(l.Size); derr != nil {
			d.breakOff(derr)
		}
		return false
	}
	d.ended = true // the client waits for our leave, which does not come
	return false
}

// Body returns a reader of a literal's bytes. The caller reads it to its end.
func (d *Decoder) Body(l Literal) io.Reader { return io.LimitReader(d.r, l.Size) }

// Discard reads the rest of a command whose reading was given up, every
// literal included. Its error means that the connection cannot go on.
func (d *Decoder) Discard() error {
	if d.broken != nil {
		return d.broken
	}
	for !d.ended {
		tail, err := d.restOfLine()
		if err != nil {
			return err
		}
		size, nonSync, ok := literalAtEnd(tail)
		if !ok || !nonSync {
			d.ended = true
			return nil
		}
		if err := d.discardLiteral(size); err != nil {
			return err
		}
	}
	return nil
}

// restOfLine reads to the next LF and returns the last bytes before it.
func (d *Decoder) restOfLine() (string, error) {
	const keep = 32
	var tail []byte
	for {
		chunk, err := d.r.ReadSlice('\n')
		if d.length += len(chunk); d.length > d.limits.Line {
			return "", Bye("Command longer than %d bytes", d.limits.Line)
		}
		tail = append(tail, chunk...)
		tail = tail[max(0, len(tail)-keep):]
		if err == nil {
			return strings.TrimRight(string(tail), "\r\n"), nil
		}
		if err != bufio.ErrBufferFull {
			return "", unexpected(err)
		}
	}
}

// literalAtEnd finds "{123}" or "{123+}" at the end of a line.
func literalAtEnd(line string) (size int64, nonSync, ok bool) {
	open := strings.LastIndexByte(line, '{')
	if open < 0 || !strings.HasSuffix(line, "}") {
		return 0, false, false
	}
	digits, nonSync := strings.CutSuffix(line[open+1:len(line)-1], "+")
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		// Too long a number, or none: what follows cannot be told from a command.
		return 1<<63 - 1, nonSync, strings.Trim(digits, "0123456789") == "" && digits != ""
	}
	return int64(n), nonSync, true
}

func (d *Decoder) discardLiteral(size int64) error {
	if size > d.limits.Discard {
		return Bye("Literal of more than %d bytes", d.limits.Discard)
	}
	_, err := io.CopyN(io.Discard, d.r, size)
	return unexpected(err)
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
