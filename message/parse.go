// Package message understands stored messages: RFC 5322 and MIME, as files
// with LF or CRLF line ends, seen as a client sees them, with CRLF.
//
// Messages come from anybody. Parsing is one pass over the bytes with bounded
// memory, whatever they are, and never fails: what is malformed is shown as
// well as it can be.
package message

import (
	"bytes"
	"io"
	"slices"
	"sync"
)

// Limits of one message. What is beyond them is shown as plain content.
const (
	maxDepth       = 100     // of parts within parts
	maxParts       = 10000   // in all
	maxHeaderBytes = 1 << 20 // kept of one part's header
	maxParams      = 100     // of one header field
)

// A position in a message: in the file, and as a client counts.
type position struct {
	raw   int64 // bytes in the file
	crlf  int64 // bytes with CRLF line ends
	lines int64
}

// A Part is a message, or a part of one.
type Part struct {
	Header   Header // with the empty line that ends it
	Type     string // "text", "multipart", ... in lower case
	Subtype  string
	Params   []Param // of Content-Type
	Children []*Part // of a multipart
	Message  *Part   // what a message/rfc822 part holds

	start, body, end position
	digest           bool // a part of multipart/digest: message/rfc822 by default
}

// A Param is one parameter of a header field.
type Param struct{ Name, Value string }

// IsMultipart says whether the part holds others.
func (p *Part) IsMultipart() bool { return p.Type == "multipart" }

// BodySize and BodyLines count as clients do, with CRLF.
func (p *Part) BodySize() int64  { return p.end.crlf - p.body.crlf }
func (p *Part) BodyLines() int64 { return p.end.lines - p.body.lines }

// Size is that of the whole part: for a message, RFC822.SIZE.
func (p *Part) Size() int64 { return p.end.crlf - p.start.crlf }

// An open part is one whose end has not been seen.
type openPart struct {
	*Part
	inHeader bool
	boundary string // of a multipart that is still looking for parts
}

type parser struct {
	at       position
	lastTerm int64 // bytes of the last line's end
	endedCR  bool  // the last piece ended with CR
	stack    []openPart
	parts    int
}

// chunkBytes is read at a time.
const chunkBytes = 64 << 10

// ParseBytes takes a message that is in memory whole.
func ParseBytes(b []byte) *Part {
	p, root := &parser{}, &Part{}
	p.open(root)
	if rest, first := p.lines(b, true); len(rest) > 0 {
		p.piece(rest, first)
	}
	p.closeTo(0, p.at)
	return root
}

// lines takes the whole lines of b, and returns what is left.
func (p *parser) lines(b []byte, first bool) (rest []byte, next bool) {
	for {
		if first && !p.top().inHeader {
			b = p.plain(b)
		}
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			return b, first
		}
		p.piece(b[:i+1], first)
		b, first = b[i+1:], true
	}
}

// Parse reads a message to its end. An error is one of reading.
func Parse(r io.Reader) (*Part, error) {
	p, root := &parser{}, &Part{}
	p.open(root)
	buf := make([]byte, 0, chunkBytes)
	first := true // the next piece begins a line
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err != nil && err != io.EOF {
			return nil, err
		}
		var rest []byte
		rest, first = p.lines(buf, first)
		if len(rest) == cap(buf) || err == io.EOF && len(rest) > 0 { // a long line, or the last
			p.piece(rest, first)
			rest, first = nil, false
		}
		if err == io.EOF {
			break
		}
		buf = buf[:copy(buf[:cap(buf)], rest)]
	}
	p.closeTo(0, p.at)
	return root, nil
}

func (p *parser) open(part *Part) {
	part.start, part.body = p.at, p.at
	p.parts++
	p.stack = append(p.stack, openPart{Part: part, inHeader: true})
}

func (p *parser) top() *openPart { return &p.stack[len(p.stack)-1] }

// piece takes a line with its end, or a piece of a long one.
func (p *parser) piece(b []byte, first bool) {
	term := int64(0)
	if b[len(b)-1] == '\n' {
		term = 1
		if len(b) > 1 && b[len(b)-2] == '\r' {
			term = 2
		}
	}
	if len(b) == 1 && term == 1 && !first && p.endedCR { // the CR came with the piece before
		p.at.crlf--
	}
	p.endedCR = b[len(b)-1] == '\r'
	if first && len(b) > 2 && b[0] == '-' && b[1] == '-' && p.delimiter(b[2:], int64(len(b)), term) {
		return
	}
	p.advance(int64(len(b)), term)
	t := p.top()
	if !t.inHeader {
		return
	}
	if len(t.Header)+len(b) <= maxHeaderBytes {
		t.Header = append(t.Header, b...)
	}
	if first && int64(len(b)) == term {
		p.headerDone(t)
	}
}

// plain takes lines of a body that can be no delimiter, all at once, and returns
// what is left.
func (p *parser) plain(b []byte) (rest []byte) {
	n := bytes.LastIndexByte(b, '\n') + 1
	if slices.ContainsFunc(p.stack, func(o openPart) bool { return o.boundary != "" }) {
		n = nextDashes(b[:n])
	}
	if n == 0 {
		return b
	}
	taken := b[:n]
	lines := int64(bytes.Count(taken, []byte{'\n'}))
	crs := int64(0)
	if bytes.IndexByte(taken, '\r') >= 0 {
		crs = int64(bytes.Count(taken, []byte("\r\n")))
	}
	p.at.raw += int64(n)
	p.at.crlf += int64(n) + lines - crs
	p.at.lines += lines
	p.lastTerm, p.endedCR = 1, false
	if n > 1 && taken[n-2] == '\r' {
		p.lastTerm = 2
	}
	return b[n:]
}

// nextDashes returns where the first line that begins with "--" does; b is whole
// lines.
func nextDashes(b []byte) int {
	for at := 0; ; at++ { // dashes are rarer than line ends
		i := bytes.IndexByte(b[at:], '-')
		if i < 0 {
			return len(b)
		}
		at += i
		if (at == 0 || b[at-1] == '\n') && at+1 < len(b) && b[at+1] == '-' {
			return at
		}
	}
}

func (p *parser) advance(n, term int64) {
	p.at.raw += n
	p.at.crlf += n
	if term > 0 {
		p.at.crlf += 2 - term
		p.at.lines++
	}
	p.lastTerm = term
}

// headerDone decides what the part's body is.
func (p *parser) headerDone(t *openPart) {
	t.inHeader = false
	t.body = p.at
	t.readType()
	if len(p.stack) >= maxDepth || p.parts >= maxParts {
		t.opaque()
		return
	}
	switch {
	case t.IsMultipart():
		if t.boundary = t.param("boundary"); t.boundary == "" {
			t.opaque()
		}
	case t.Type == "message" && (t.Subtype == "rfc822" || t.Subtype == "global"):
		t.Message = &Part{}
		p.open(t.Message)
	}
}

// opaque makes a part that cannot be taken apart one that can be read.
func (p *Part) opaque() {
	if p.IsMultipart() || p.Type == "message" {
		p.Type, p.Subtype, p.Params = "text", "plain", nil
	}
}

// delimiter looks whether a line that begins with -- ends a part (RFC 2046
// section 5.1.1): of the innermost multipart, or of one around it whose own
// parts were left unfinished.
func (p *parser) delimiter(b []byte, n, term int64) bool {
	for i := len(p.stack) - 1; i >= 0; i-- {
		boundary := p.stack[i].boundary
		if boundary == "" || !bytes.HasPrefix(b, []byte(boundary)) {
			continue
		}
		rest := b[len(boundary):]
		closing := bytes.HasPrefix(rest, []byte("--"))
		if !closing && len(bytes.TrimSpace(rest)) > 0 {
			continue
		}
		// The line end before a delimiter belongs to it.
		before := p.at
		if p.lastTerm > 0 {
			before.raw -= p.lastTerm
			before.crlf -= 2
			before.lines--
		}
		p.closeTo(i+1, before)
		p.advance(n, term)
		t := &p.stack[i]
		if closing {
			t.boundary = ""
		} else if p.parts < maxParts {
			child := &Part{digest: t.Subtype == "digest"}
			t.Children = append(t.Children, child)
			p.open(child)
		}
		return true
	}
	return false
}

// closeTo ends the parts above the first depth of the stack.
func (p *parser) closeTo(depth int, at position) {
	for i := len(p.stack) - 1; i >= depth; i-- {
		t := &p.stack[i]
		t.end = at
		if t.end.raw < t.start.raw { // it had not begun: a delimiter at once
			t.end = t.start
		}
		if t.inHeader { // no empty line: it is all header
			t.body = t.end
			t.readType()
			t.opaque()
		}
		if t.end.raw < t.body.raw {
			t.end = t.body
		}
	}
	p.stack = p.stack[:depth]
}

// readType reads Content-Type: RFC 2045 section 5.
func (p *Part) readType() {
	p.Type, p.Subtype = "text", "plain"
	if p.digest {
		p.Type, p.Subtype = "message", "rfc822"
	}
	value := p.Header.Get("Content-Type")
	if value == nil {
		return
	}
	t, params := ParseParams(value)
	typ, sub, ok := bytes.Cut(uncommented(t), []byte("/"))
	typ, sub = bytes.TrimSpace(typ), bytes.TrimSpace(sub)
	if !ok || !isToken(typ) || !isToken(sub) {
		return // RFC 2045 section 5.2: as if there were none
	}
	p.Type, p.Subtype, p.Params = lower(typ), lower(sub), params
}

func (p *Part) param(name string) string {
	for _, q := range p.Params {
		if q.Name == name {
			return q.Value
		}
	}
	return ""
}

// chunks are buffers of those who only count.
var chunks = sync.Pool{New: func() any { return new([chunkBytes]byte) }}

// CRLFSize returns how long a message is with CRLF line ends.
func CRLFSize(r io.Reader) (size int64, err error) {
	buf := chunks.Get().(*[chunkBytes]byte)
	defer chunks.Put(buf)
	cr := false // the last byte was one
	for {
		n, err := r.Read(buf[:])
		if b := buf[:n]; n > 0 {
			size += int64(n + bytes.Count(b, []byte{'\n'}))
			if bytes.IndexByte(b, '\r') >= 0 {
				size -= int64(bytes.Count(b, []byte("\r\n")))
			}
			if cr && b[0] == '\n' {
				size--
			}
			cr = b[n-1] == '\r'
		}
		if err == io.EOF {
			return size, nil
		}
		if err != nil {
			return 0, err
		}
	}
}
