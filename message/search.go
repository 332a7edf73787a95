package message

import (
	"bufio"
	"encoding/base64"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"time"
)

// Fold makes a text comparable without regard to case.
func Fold(s string) string { return strings.ToLower(strings.ToValidUTF8(s, "\ufffd")) }

var words = mime.WordDecoder{CharsetReader: func(charset string, r io.Reader) (io.Reader, error) {
	return latin1(charset, r), nil
}}

// decodeWords decodes the encoded words of a field (RFC 2047); what cannot be
// decoded stays as it is.
func decodeWords(b []byte) string {
	s := string(b)
	if d, err := words.DecodeHeader(s); err == nil {
		return d
	}
	return s
}

// Contains says whether a field of that name (any, for "") contains a folded
// text. An empty text is in every field.
func (h Header) Contains(name, text string) bool {
	for n, lines := range h.Fields() {
		if name != "" && !strings.EqualFold(string(n), name) {
			continue
		}
		value := unfold(lines[len(n)+1:])
		if name == "" {
			value = unfold(lines)
		}
		if strings.Contains(Fold(decodeWords(value)), text) {
			return true
		}
	}
	return false
}

// Date returns what the Date field says.
func (h Header) Date() (time.Time, bool) {
	t, err := mail.ParseDate(string(h.Get("Date")))
	return t, err == nil
}

// Contains says whether the text of a part, or of one below it, contains a
// folded text. Transfer encodings are undone.
func (p *Part) Contains(f io.ReaderAt, text string) (bool, error) {
	for _, child := range p.Children {
		if hit, err := child.Contains(f, text); hit || err != nil {
			return hit, err
		}
	}
	if p.Message != nil {
		if p.Message.Header.Contains("", text) {
			return true, nil
		}
		return p.Message.Contains(f, text)
	}
	if p.Type != "text" {
		return false, nil
	}
	return contains(p.decoded(f), text), nil
}

// decoded reads a part's text as UTF-8.
func (p *Part) decoded(f io.ReaderAt) io.Reader {
	r := p.Body().Reader(f)
	switch strings.ToLower(string(p.Header.Get("Content-Transfer-Encoding"))) {
	case "base64":
		r = base64.NewDecoder(base64.StdEncoding, r)
	case "quoted-printable":
		r = quotedprintable.NewReader(r)
	}
	return latin1(p.param("charset"), r)
}

// latin1 decodes the charsets whose letters are the first of Unicode.
func latin1(charset string, r io.Reader) io.Reader {
	switch strings.ToLower(charset) {
	case "iso-8859-1", "latin1", "windows-1252", "iso-8859-15":
		return &latin1Reader{r: bufio.NewReader(r)}
	}
	return r
}

type latin1Reader struct{ r *bufio.Reader }

func (l *latin1Reader) Read(p []byte) (n int, err error) {
	for n+2 <= len(p) {
		c, err := l.r.ReadByte()
		if err != nil {
			return n, err
		}
		if c < 0x80 {
			p[n] = c
			n++
			continue
		}
		p[n], p[n+1] = 0xc0|c>>6, 0x80|c&0x3f
		n += 2
	}
	return n, nil
}

// searchChunk is how much text is looked at together.
const searchChunk = 64 << 10

// contains looks for a folded text in a stream. What a broken transfer
// encoding leaves unreadable is passed over.
func contains(r io.Reader, text string) bool {
	if text == "" {
		return true
	}
	buf := make([]byte, 0, searchChunk+2*len(text))
	for {
		n, err := io.ReadFull(r, buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if strings.Contains(Fold(string(buf)), text) {
			return true
		}
		if err != nil {
			return false
		}
		// A hit may lie across the border; folding can change lengths a little.
		keep := min(len(buf), 2*len(text))
		buf = buf[:copy(buf, buf[len(buf)-keep:])]
	}
}
