package message

import (
	"io"
	"net/mail"
	"strings"
	"time"
)

// Fold makes a text comparable without regard to case.
func Fold(s string) string { return strings.ToLower(strings.ToValidUTF8(s, "\ufffd")) }

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
		if strings.Contains(Fold(UTF8(value)), text) {
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
	r, _ := p.Decode(p.Body().Reader(f))
	return utf8Reader(p.param("charset"), r)
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
