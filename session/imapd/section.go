package imapd

import (
	"bytes"
	"io"

	goimap "github.com/emersion/go-imap/v2"

	"smail/imap"
	"smail/message"
)

// section sends the bytes of a section: RFC 3501 section 6.4.5.
func (r *reading) section(b *imap.Section) error {
	if b.Kind != imap.BodySection {
		return r.binary(b)
	}
	if h := r.known.parts[kindHeader]; b.HeaderFields != nil && len(b.Part) == 0 && h != nil && r.header == nil {
		r.mem.fields = r.known.appendFields(r.mem.fields[:0], r.mem.fieldSet(b.HeaderFields))
		skip, n := window(b.Partial, int64(len(r.mem.fields)))
		r.s.w.LiteralHeader(n)
		noNUL{r.s.w}.Write(r.mem.fields[skip : skip+n])
		return nil
	}
	c, ok := r.content(b)
	if !ok {
		r.s.w.Raw("NIL")
		return nil
	}
	skip, n := window(b.Partial, c.size)
	r.s.w.LiteralHeader(n)
	return c.copy(noNUL{r.s.w}, skip, n)
}

// noNUL writes 0x80 for NUL, which no literal may hold but one of BINARY: RFC 3501
// section 4.3.
type noNUL struct{ w io.Writer }

func (n noNUL) Write(p []byte) (int, error) {
	if bytes.IndexByte(p, 0) < 0 {
		return n.w.Write(p)
	}
	return n.w.Write(bytes.ReplaceAll(p, []byte{0}, []byte{0x80}))
}

// A content is what a section has: bytes in memory, or a stretch of a file.
type content struct {
	size int64 // with CRLF line ends
	data []byte
	file io.Reader
}

// copy writes n bytes behind skip.
func (c *content) copy(w io.Writer, skip, n int64) error {
	if c.file != nil {
		return copyExactly(w, c.file, skip, n)
	}
	_, err := w.Write(c.data[skip : skip+n])
	return err
}

// content finds a section of a message that prepareSection has read; false if
// there is none.
func (r *reading) content(b *imap.Section) (c content, ok bool) {
	inMemory := func(data []byte) (content, bool) { return content{size: int64(len(data)), data: data}, true }
	switch {
	case len(b.Part) == 0 && b.Specifier == goimap.PartSpecifierNone:
		if r.whole != nil { // size and bytes in one pass
			r.mem.text = message.AppendCRLF(r.mem.text[:0], r.whole)
			return inMemory(r.mem.text)
		}
		return content{size: r.m.CRLF, file: r.reader()}, true
	case len(b.Part) == 0 && b.Specifier == goimap.PartSpecifierHeader:
		h := r.header
		if h == nil {
			h = r.known.parts[kindHeader]
		}
		return inMemory(headerBytes(h, b))
	}
	p := r.part.Find(b.Part)
	if p == nil {
		return c, false
	}
	switch b.Specifier {
	case goimap.PartSpecifierMIME:
		return inMemory(p.Header.CRLF())
	case goimap.PartSpecifierHeader, goimap.PartSpecifierText:
		if len(b.Part) > 0 {
			if p = p.Message; p == nil { // only a message has these
				return c, false
			}
		}
		if b.Specifier == goimap.PartSpecifierHeader {
			return inMemory(headerBytes(p.Header, b))
		}
	}
	return content{size: p.Body().Size(), file: p.Body().Reader(r.readerAt())}, true
}

func headerBytes(h message.Header, b *imap.Section) []byte {
	switch {
	case b.HeaderFields != nil:
		return h.Select(b.HeaderFields, false)
	case b.HeaderFieldsNot != nil:
		return h.Select(b.HeaderFieldsNot, true)
	}
	return h.CRLF()
}

// window returns how much of size bytes a partial FETCH wants, and from where.
func window(p *goimap.SectionPartial, size int64) (skip, length int64) {
	if p == nil {
		return 0, size
	}
	skip = min(p.Offset, size)
	return skip, min(p.Size, size-skip)
}

// copyExactly copies n bytes behind skip with CRLF, or fails: a file that has
// become shorter since it was measured must not shift what follows.
func copyExactly(w io.Writer, src io.Reader, skip, n int64) error {
	c := &counter{w: w}
	if err := message.CopyCRLF(c, src, skip, n); err != nil {
		return err
	}
	if c.n != n {
		return io.ErrUnexpectedEOF
	}
	return nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
