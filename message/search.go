package message

import (
	"bytes"
	"io"
	"net/mail"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Fold makes a text comparable without regard to case, and to how its letters
// are put together: i;unicode-casemap, RFC 5051.
func Fold(s string) string {
	folded := make([]byte, 0, len(s))
	for _, r := range s {
		if r < utf8.RuneSelf {
			folded = append(folded, lowerASCII(byte(r)))
		} else {
			folded = appendFoldedRune(folded, r)
		}
	}
	return string(folded)
}

// Contains says whether a field of that name (any, for "") contains a folded
// text. An empty text is in every field.
func (h Header) Contains(name, text string) bool {
	for n, lines := range h.Fields() {
		if name != "" && !isNamed(n, name) {
			continue
		}
		value := lines
		if name != "" {
			value = lines[bytes.IndexByte(lines, ':')+1:]
		}
		if containsFolded(unfold(value), text) {
			return true
		}
	}
	return false
}

// containsFolded says whether a field's value contains a folded text. Most are
// ASCII, and need no decoding.
func containsFolded(value []byte, text string) bool {
	for i, c := range value {
		if c >= utf8.RuneSelf || c == '=' && i+1 < len(value) && value[i+1] == '?' {
			return strings.Contains(Fold(UTF8(value)), text)
		}
	}
	for at := 0; at+len(text) <= len(value); at++ {
		i := 0
		for i < len(text) && lowerASCII(value[at+i]) == text[i] {
			i++
		}
		if i == len(text) {
			return true
		}
	}
	return false
}

func lowerASCII(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
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
const searchChunk = 16 << 10

// A searcher has the memory of one search in a stream.
type searcher struct {
	raw    [searchChunk]byte
	folded []byte
	folder folder
}

var searchers = sync.Pool{New: func() any { return &searcher{folded: make([]byte, 0, 2*searchChunk)} }}

// contains looks for a folded text in a stream of UTF-8. What a broken transfer
// encoding leaves unreadable is passed over.
func contains(r io.Reader, text string) bool {
	if text == "" {
		return true
	}
	s := searchers.Get().(*searcher)
	defer searchers.Put(s)
	want := []byte(text)
	folded, held := s.folded[:0], 0
	for {
		n, err := r.Read(s.raw[held:])
		var rest []byte
		folded, rest = s.folder.append(folded, s.raw[:held+n], err != nil)
		held = copy(s.raw[:], rest)
		if bytes.Contains(folded, want) {
			return true
		}
		if err != nil {
			return false
		}
		keep := min(len(folded), len(text)-1) // a hit may lie across the border
		folded = folded[:copy(folded, folded[len(folded)-keep:])]
		s.folded = folded
	}
}

// A folder folds text, and remembers the letters beyond ASCII that came last.
type folder struct {
	known [256]struct {
		r     rune
		size  uint8
		bytes [7]byte
	}
}

// append appends src as Fold makes it, and returns what may be the beginning of
// a letter.
func (f *folder) append(dst, src []byte, end bool) (folded, rest []byte) {
	for len(src) > 0 {
		n := asciiPrefix(src)
		at := len(dst)
		dst = append(dst, src[:n]...)
		for i, c := range dst[at:] {
			dst[at+i] = lowerASCII(c)
		}
		if src = src[n:]; len(src) == 0 || !end && !utf8.FullRune(src) {
			break
		}
		r, size := utf8.DecodeRune(src)
		src = src[size:]
		k := &f.known[uint32(r)%uint32(len(f.known))]
		if k.r == r {
			dst = append(dst, k.bytes[:k.size]...)
			continue
		}
		at = len(dst)
		dst = appendFoldedRune(dst, r)
		if size := len(dst) - at; size <= len(k.bytes) {
			k.r, k.size = r, uint8(size)
			copy(k.bytes[:], dst[at:])
		}
	}
	return dst, src
}

// appendFoldedRune appends a letter beyond ASCII: its title case, taken apart.
// What RFC 5051 leaves in capitals is small here, on both sides.
func appendFoldedRune(dst []byte, r rune) []byte {
	r = unicode.ToTitle(r)
	var b [utf8.UTFMax]byte
	parts := norm.NFKD.Properties(b[:utf8.EncodeRune(b[:], r)]).Decomposition()
	if parts == nil {
		return utf8.AppendRune(dst, unicode.ToLower(r))
	}
	for len(parts) > 0 {
		r, size := utf8.DecodeRune(parts)
		dst, parts = utf8.AppendRune(dst, unicode.ToLower(r)), parts[size:]
	}
	return dst
}
