package message

import (
	"html"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits on a preview: RFC 8970 section 3.1 has at most 256 characters.
const (
	maxPreview     = 200
	maxPreviewText = 16 << 10 // bytes of the part that are looked at
)

// Preview returns the beginning of a message's text on one line, "" if it has
// none.
func (p *Part) Preview(f io.ReaderAt) (string, error) {
	text := p.firstText("plain")
	if text == nil {
		text = p.firstText("html")
	}
	if text == nil {
		return "", nil
	}
	raw := make([]byte, maxPreviewText)
	n, err := io.ReadFull(text.decoded(f), raw)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return "", err
	}
	s := strings.ToValidUTF8(string(raw[:n]), "")
	if text.Subtype == "html" {
		s = html.UnescapeString(withoutTags(s))
	}
	return oneLine(s), nil
}

// firstText returns the first part of that kind of text that is no attachment.
func (p *Part) firstText(subtype string) *Part {
	if p.Type == "text" && p.Subtype == subtype {
		if disposition, _ := p.Header.Field("Content-Disposition"); !strings.EqualFold(string(disposition), "attachment") {
			return p
		}
	}
	for _, child := range p.Children {
		if found := child.firstText(subtype); found != nil {
			return found
		}
	}
	return nil
}

// withoutTags leaves out tags, comments, and what no reader sees.
func withoutTags(s string) string {
	var b strings.Builder
	for {
		text, rest, ok := strings.Cut(s, "<")
		b.WriteString(text)
		if !ok {
			return b.String()
		}
		if after, ok := strings.CutPrefix(rest, "!--"); ok {
			_, s, _ = strings.Cut(after, "-->")
			continue
		}
		tag, after, _ := strings.Cut(rest, ">")
		b.WriteByte(' ')
		s = after
		name, _, _ := strings.Cut(strings.ToLower(tag), " ")
		if name == "style" || name == "script" || name == "head" || name == "title" {
			s = s[indexEnd(s, name):]
		}
	}
}

// indexEnd returns where the end tag of a name begins, or the text ends.
func indexEnd(s, name string) int {
	for at := 0; ; {
		i := strings.Index(s[at:], "</")
		if i < 0 {
			return len(s)
		}
		at += i
		if behind := s[at+2:]; len(behind) >= len(name) && strings.EqualFold(behind[:len(name)], name) {
			return at
		}
		at += 2
	}
}

// oneLine joins words with single spaces, up to maxPreview characters.
func oneLine(s string) string {
	var b strings.Builder
	n := 0
	for word := range strings.FieldsFuncSeq(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == '\ufeff' }) {
		if n > 0 {
			b.WriteByte(' ')
			n++
		}
		if room := maxPreview - n; utf8.RuneCountInString(word) > room {
			b.WriteString(string([]rune(word)[:max(room, 0)]))
			break
		}
		b.WriteString(word)
		n += utf8.RuneCountInString(word)
	}
	return strings.TrimSpace(b.String())
}
