package message

import (
	"errors"
	"io"
)

// Find returns the part with this number, as RFC 3501 section 6.4.5 counts:
// 1.2 is the second part of the first. nil if there is none.
func (p *Part) Find(path []int) *Part {
	for i, n := range path {
		holder := p
		if i > 0 && p.Message != nil {
			holder = p.Message
		}
		switch {
		case len(holder.Children) > 0 && n <= len(holder.Children) && n > 0:
			p = holder.Children[n-1]
		case len(holder.Children) == 0 && n == 1 && (i == 0 || holder != p):
			p = holder // a message that is not a multipart has one part, itself
		default:
			return nil
		}
	}
	return p
}

// A Range is a stretch of a message's file.
type Range struct {
	start, end position
}

// Size is that of the stretch with CRLF line ends.
func (r Range) Size() int64 { return r.end.crlf - r.start.crlf }

// Body is the stretch of a part's body.
func (p *Part) Body() Range { return Range{p.body, p.end} }

// Reader returns the stretch as it is in the file.
func (r Range) Reader(f io.ReaderAt) io.Reader {
	return io.NewSectionReader(f, r.start.raw, r.end.raw-r.start.raw)
}

// CopyCRLF copies all of r to w with CRLF line ends, without the first skip
// bytes of the result and no more than limit; a negative limit is none.
func CopyCRLF(w io.Writer, r io.Reader, skip, limit int64) error {
	c := crlfWriter{w: w, skip: skip, limit: limit}
	buf := make([]byte, chunkBytes)
	for {
		n, err := r.Read(buf)
		if werr := c.convert(buf[:n]); werr != nil {
			if werr == errEnough {
				return nil
			}
			return werr
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

type crlfWriter struct {
	w           io.Writer
	skip, limit int64
	last        byte
	out         []byte
}

var errEnough = errors.New("message: enough written")

// convert writes a piece with CR before each LF that has none.
func (c *crlfWriter) convert(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	c.out = c.out[:0]
	if b[0] == '\n' && c.last == '\r' { // the two halves of one line end
		c.out = append(c.out, '\n')
		c.last, b = '\n', b[1:]
	}
	c.out = AppendCRLF(c.out, b)
	if len(b) > 0 {
		c.last = b[len(b)-1]
	}
	return c.emit(c.out)
}

func (c *crlfWriter) emit(b []byte) error {
	if c.skip > 0 {
		n := min(c.skip, int64(len(b)))
		b = b[n:]
		c.skip -= n
	}
	if c.limit >= 0 && int64(len(b)) >= c.limit {
		b = b[:c.limit]
		if _, err := c.w.Write(b); err != nil {
			return err
		}
		c.limit = 0
		return errEnough
	}
	if c.limit >= 0 {
		c.limit -= int64(len(b))
	}
	_, err := c.w.Write(b)
	return err
}
