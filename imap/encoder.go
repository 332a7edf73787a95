package imap

import (
	"bytes"
	"io"
	"strconv"
	"sync"
	"time"

	goimap "github.com/emersion/go-imap/v2"
)

// A command's responses leave in few writes: what is gathered is written when it
// is flushAt bytes. Most have little to say and need a small buffer; one that does
// not fit gets the large one at once, for each step between would be copied and
// cost memory that was never used before.
const (
	smallBuffer = 4 << 10
	largeBuffer = 32 << 10
	flushAt     = largeBuffer - smallBuffer
)

// An Encoder gathers responses in one buffer. A write error sticks: Flush
// returns it.
type Encoder struct {
	w   io.Writer
	buf []byte
	err error

	// UTF8 says that the client takes UTF-8 in quoted strings, and mailbox
	// names so: RFC 6855 section 3.
	UTF8 bool
}

func NewEncoder(w io.Writer) *Encoder { return &Encoder{w: w} }

// Flush writes what has been gathered and lets go of a large buffer.
func (e *Encoder) Flush() error {
	e.flush()
	if cap(e.buf) > smallBuffer { // an idle session keeps nothing
		if cap(e.buf) == largeBuffer {
			large.Put((*[largeBuffer]byte)(e.buf[:largeBuffer]))
		}
		e.buf = nil
	}
	return e.err
}

// large keeps buffers for the next command: each new one would be cleared, and
// collected.
var large = sync.Pool{New: func() any { return new([largeBuffer]byte) }}

// grow makes room for n bytes more.
func (e *Encoder) grow(n int) {
	need := len(e.buf) + n
	switch {
	case need <= cap(e.buf) || need > largeBuffer: // the latter is append's
	case need <= smallBuffer:
		e.buf = append(make([]byte, 0, smallBuffer), e.buf...)
	default:
		e.buf = append(large.Get().(*[largeBuffer]byte)[:0], e.buf...)
	}
}

func (e *Encoder) flush() {
	if len(e.buf) > 0 && e.err == nil {
		_, e.err = e.w.Write(e.buf)
	}
	e.buf = e.buf[:0]
}

// Err returns the first error of writing.
func (e *Encoder) Err() error { return e.err }

// Write takes bytes as they are, as of a literal.
func (e *Encoder) Write(p []byte) (int, error) {
	if len(e.buf)+len(p) > flushAt {
		e.flush()
	}
	if len(p) >= flushAt {
		if e.err == nil {
			_, e.err = e.w.Write(p)
		}
		return len(p), e.err
	}
	e.grow(len(p))
	e.buf = append(e.buf, p...)
	return len(p), e.err
}

// AvailableBuffer returns an empty slice to append grammar to, which is given to
// Write at once: as of a bufio.Writer.
func (e *Encoder) AvailableBuffer() []byte {
	e.grow(256)
	return e.buf[len(e.buf):]
}

// Raw appends text that is grammar already.
func (e *Encoder) Raw(s string) *Encoder {
	e.grow(len(s))
	e.buf = append(e.buf, s...)
	return e
}

// Num appends a number.
func (e *Encoder) Num(n uint32) *Encoder {
	e.buf = strconv.AppendUint(e.buf, uint64(n), 10)
	return e
}

// Num64 appends a larger number.
func (e *Encoder) Num64(n int64) *Encoder {
	e.buf = strconv.AppendInt(e.buf, n, 10)
	return e
}

// String appends a string: quoted if it can be, else a literal.
func (e *Encoder) String(s string) *Encoder {
	e.buf = AppendString(e.buf, s)
	return e
}

// Bytes appends a value: a quoted string, a literal, a binary literal where it
// holds NUL, or NIL for nil.
func (e *Encoder) Bytes(b []byte) *Encoder {
	if bytes.IndexByte(b, 0) < 0 {
		e.buf = AppendNString(e.buf, b)
		return e
	}
	e.BinaryHeader(int64(len(b))).Write(b)
	return e
}

// Mailbox appends a mailbox name.
func (e *Encoder) Mailbox(name string) *Encoder {
	e.buf = AppendMailbox(e.buf, name, e.UTF8)
	return e
}

// AppendMailbox appends a mailbox name, in UTF-8 or in modified UTF-7.
func AppendMailbox(b []byte, name string, utf8 bool) []byte {
	if utf8 { // CheckMailbox has seen to what may not be quoted
		return appendQuoted(b, name)
	}
	return AppendString(b, EncodeMailbox(name))
}

// Quoted appends a quoted string, which may hold UTF-8 but no CR, LF or NUL.
func (e *Encoder) Quoted(s string) *Encoder {
	e.buf = appendQuoted(e.buf, s)
	return e
}

// Flags appends a list of flags.
func (e *Encoder) Flags(fs []goimap.Flag) *Encoder {
	e.buf = append(e.buf, '(')
	for i, f := range fs {
		if i > 0 {
			e.buf = append(e.buf, ' ')
		}
		e.buf = append(e.buf, f...)
	}
	e.buf = append(e.buf, ')')
	return e
}

// DateTime appends an INTERNALDATE.
func (e *Encoder) DateTime(t time.Time) *Encoder {
	e.buf = append(e.buf, '"')
	e.buf = t.AppendFormat(e.buf, DateTimeLayout)
	e.buf = append(e.buf, '"')
	return e
}

// LiteralHeader appends a literal's head; size bytes must follow.
func (e *Encoder) LiteralHeader(size int64) *Encoder {
	return e.Raw("{").Num64(size).Raw("}\r\n")
}

// BinaryHeader appends the head of a literal that may hold NUL: RFC 3516
// section 4.4.
func (e *Encoder) BinaryHeader(size int64) *Encoder { return e.Raw("~").LiteralHeader(size) }

// CRLF ends a response, and writes what has been gathered if it is enough.
func (e *Encoder) CRLF() {
	e.buf = append(e.buf, '\r', '\n')
	if len(e.buf) >= flushAt {
		e.flush()
	}
}

// Status appends a status response: tag OK [CODE] text. The tag is * for an
// untagged one.
func (e *Encoder) Status(tag string, typ goimap.StatusResponseType, code, text string) {
	e.Raw(tag).Raw(" ").Raw(string(typ)).Raw(" ")
	if code != "" {
		e.Raw("[").Raw(code).Raw("] ")
	}
	e.Raw(text).CRLF()
}

// DateTimeLayout is date-time of RFC 3501 section 9, for package time.
const DateTimeLayout = "_2-Jan-2006 15:04:05 -0700"

// AppendString appends a string as RFC 3501 section 4.3 wants it: quoted where
// that is possible, else a literal.
func AppendString[T string | []byte](b []byte, s T) []byte {
	if len(s) > 1000 || !quotable(s) {
		b = append(b, '{')
		b = strconv.AppendInt(b, int64(len(s)), 10)
		b = append(b, "}\r\n"...)
		at := len(b)
		b = append(b, s...)
		for i := at; i < len(b); i++ {
			if b[i] == 0 { // which no literal may hold
				b[i] = 0x80
			}
		}
		return b
	}
	return appendQuoted(b, s)
}

func appendQuoted[T string | []byte](b []byte, s T) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}

func quotable[T string | []byte](s T) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c == '\r' || c == '\n' || c == 0 || c >= 0x80 {
			return false
		}
	}
	return true
}

// AppendNString appends a string, or NIL for nil.
func AppendNString(b []byte, s []byte) []byte {
	if s == nil {
		return append(b, "NIL"...)
	}
	return AppendString(b, s)
}

// FormatNumber returns a number as it is written.
func FormatNumber(n int64) string { return strconv.FormatInt(n, 10) }
