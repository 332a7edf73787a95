package message

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/unicode/norm"
)

// Fold makes a text comparable without regard to case, and to how its letters
// are put together: i;unicode-casemap, RFC 5051.
func Fold(s string) string { return string(appendFolded(make([]byte, 0, len(s)), s)) }

func appendFolded(folded []byte, s string) []byte {
	for _, r := range s {
		if r < utf8.RuneSelf {
			folded = append(folded, lowerASCII(byte(r)))
		} else {
			folded = appendFoldedRune(folded, r)
		}
	}
	return folded
}

// SortKey makes a text sortable: i;unicode-casemap, RFC 5051, in which ASCII stands in
// capitals, so that what is between them and the small letters is behind both.
func SortKey(s string) string {
	key := make([]byte, 0, len(s))
	for _, r := range s {
		if r < utf8.RuneSelf {
			key = append(key, upperASCII(byte(r)))
			continue
		}
		r = unicode.ToTitle(r)
		var b [utf8.UTFMax]byte
		letter := b[:utf8.EncodeRune(b[:], r)]
		if parts := norm.NFKD.Properties(letter).Decomposition(); parts != nil {
			letter = parts
		}
		key = append(key, letter...)
	}
	return string(key)
}

// Contains says whether a field of that name (any, for "") contains a folded
// text. An empty text is in every field.
func (h Header) Contains(name, text string) bool {
	if name != "" {
		for value := range h.named(name) {
			if containsFolded(unfold(value), text) {
				return true
			}
		}
		return false
	}
	for _, lines := range h.Fields() {
		if containsFolded(unfold(lines), text) {
			return true
		}
	}
	return false
}

// containsFolded says whether a field's value contains a folded text. Most are
// ASCII, and need no decoding.
func containsFolded(value []byte, text string) bool {
	if text == "" {
		return true
	}
	for i, c := range value {
		if c >= utf8.RuneSelf || c == '=' && i+1 < len(value) && value[i+1] == '?' {
			var room [512]byte // enough for nearly all, and on the stack
			return bytes.Contains(appendFolded(room[:0], UTF8(value)), []byte(text))
		}
	}
	if len(text) > longText {
		return strings.Contains(Fold(string(value)), text)
	}
	return containsASCII(value, text)
}

func lowerASCII(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// A folder folds text, and remembers the letters beyond ASCII that came last.
type folder struct {
	known [256]struct {
		r     rune
		size  uint8
		bytes [7]byte
	}
}

// append appends src as Fold makes it, bytes that are no UTF-8 as guess does,
// and returns what may be the beginning of a letter.
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
		if r == utf8.RuneError && size == 1 {
			r = charmap.Windows1252.DecodeByte(src[0])
		}
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
