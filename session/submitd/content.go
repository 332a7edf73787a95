package submitd

import (
	"bufio"
	"io"
	"math"

	"github.com/emersion/go-smtp"
)

// A content is what follows DATA, up to a line with a dot alone, with the dots
// undone that lines begin with: RFC 5321 section 4.5.2. A line ends with CRLF
// and with nothing else; what other servers may take for an end stays in the
// message, which is refused for it when it is spooled.
//
// It is read here and not by go-smtp, which takes byte after byte, loses some
// CRs, and takes others for a line's end.
type content struct {
	conn  *conn
	r     *bufio.Reader
	left  int64  // bytes that the message may still have
	rest  []byte // of what was read, until r is read again
	begun bool   // within a line, of which
	line  int    // so many bytes were read
	cr    bool   // the last of them was a CR
	err   error  // io.EOF behind the end
}

// content begins to read a message of so many bytes at most; 0: of any.
func (c *conn) content(most int64) *content {
	if most == 0 {
		most = math.MaxInt64
	}
	return &content{conn: c, r: c.in, left: most}
}

// Read reads until p is full or no more has come.
func (d *content) Read(p []byte) (n int, err error) {
	for n < len(p) && (n == 0 || len(d.rest) > 0 || d.r.Buffered() > 0) {
		if len(d.rest) == 0 {
			if d.err != nil {
				break
			}
			d.next()
			continue
		}
		m := copy(p[n:], d.rest)
		n, d.rest = n+m, d.rest[m:]
		if d.left -= int64(m); d.left < 0 {
			return 0, smtp.ErrDataTooLarge
		}
	}
	if n > 0 {
		return n, nil
	}
	return 0, d.err
}

// next takes a line, or a piece of a long one.
func (d *content) next() {
	piece, err := d.r.ReadSlice('\n')
	if err != nil && err != bufio.ErrBufferFull {
		d.conn.fail(err)
		if d.err = err; err == io.EOF {
			d.err = io.ErrUnexpectedEOF
		}
		return
	}
	if !d.begun && piece[0] == '.' {
		if string(piece) == ".\r\n" {
			d.err = io.EOF
			return
		}
		piece = piece[1:]
	}
	if d.line += len(piece); d.line > maxLineBytes {
		d.err = smtp.ErrTooLongLine
		return
	}
	d.rest = piece
	last := len(piece) - 1
	ended := err == nil && (last > 0 && piece[last-1] == '\r' || last == 0 && d.cr)
	d.begun = !ended
	d.cr = last >= 0 && piece[last] == '\r'
	if ended {
		d.line = 0
	}
}

// finish reads what is left to the end, and tells go-smtp that it has come. If
// it cannot be found the connection ends.
func (d *content) finish() {
	for d.err == nil {
		d.next()
	}
	if d.rest = nil; d.err == io.EOF {
		d.conn.feed = ".\r\n"
	} else {
		d.conn.fail(d.err)
	}
}
