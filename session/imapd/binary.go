package imapd

import (
	"bytes"
	"errors"
	"io"

	"smail/imap"
	"smail/message"
)

// errUnknownCTE: RFC 3516 section 4.3.
var errUnknownCTE = imap.No("UNKNOWN-CTE", "A part's encoding is not known here")

// decodable refuses a BINARY section of an unknown encoding before anything is
// sent.
func (r *reading) decodable(b *imap.Section) error {
	p := r.part.Find(b.Part)
	if p == nil || len(b.Part) == 0 {
		return nil
	}
	if _, ok := p.Decode(bytes.NewReader(nil)); !ok {
		return errUnknownCTE
	}
	return nil
}

// binary sends BINARY[...] and BINARY.SIZE[...]: RFC 3516 section 4.2. The
// part is decoded twice, to be counted and to be sent: it may be large.
func (r *reading) binary(b *imap.Section) error {
	p := r.part.Find(b.Part)
	switch {
	case p == nil && b.Kind == imap.BinarySize:
		r.s.w.Num(0)
		return nil
	case p == nil:
		r.s.w.Raw("NIL")
		return nil
	}
	var c contentCounter
	if err := r.decode(p, len(b.Part) == 0, &c); err != nil {
		return err
	}
	if b.Kind == imap.BinarySize {
		r.s.w.Num64(c.n)
		return nil
	}
	skip, n := window(b.Partial, c.n)
	if c.nul {
		r.s.w.BinaryHeader(n)
	} else {
		r.s.w.LiteralHeader(n)
	}
	out := &windowWriter{w: r.s.w, skip: skip, left: n}
	if err := r.decode(p, len(b.Part) == 0, out); err != nil && err != errWindow {
		return err
	}
	if out.left > 0 {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// decode writes a part's content; that of a whole message as it is.
func (r *reading) decode(p *message.Part, whole bool, w io.Writer) error {
	if whole {
		return message.CopyCRLF(w, r.reader(), 0, p.Size())
	}
	body := p.Body()
	encoded, write := io.Pipe()
	go func() {
		write.CloseWithError(message.CopyCRLF(write, body.Reader(r.readerAt()), 0, body.Size()))
	}()
	defer encoded.Close() // ends the copying
	content, _ := p.Decode(encoded)
	_, err := io.Copy(onlyWriter{w}, content)
	return err
}

// A contentCounter counts bytes and says whether there was a NUL.
type contentCounter struct {
	n   int64
	nul bool
}

func (c *contentCounter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	c.nul = c.nul || bytes.IndexByte(p, 0) >= 0
	return len(p), nil
}

// errWindow ends a copy of which enough was seen.
var errWindow = errors.New("enough")

// A windowWriter passes on the bytes behind skip, as many as are left.
type windowWriter struct {
	w          io.Writer
	skip, left int64
}

func (w *windowWriter) Write(p []byte) (int, error) {
	n := len(p)
	if w.left == 0 {
		return 0, errWindow
	}
	drop := min(w.skip, int64(len(p)))
	p, w.skip = p[drop:], w.skip-drop
	p = p[:min(w.left, int64(len(p)))]
	w.left -= int64(len(p))
	_, err := w.w.Write(p)
	return n, err
}
