package message

import (
	"bytes"
	"encoding/binary"
	"io"
	"mime"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
	"golang.org/x/text/transform"
)

// charsetOf finds a charset by the names that mail uses; nil for UTF-8, ASCII
// and what nobody knows. A text that is said to be ASCII, or of which nothing
// is said, may still be UTF-8, or Windows-1252 where it is not.
func charsetOf(name string) encoding.Encoding {
	name, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(name)), "*") // a language: RFC 2231 section 5
	switch name {
	case "", "us-ascii", "ascii", "utf-8", "utf8", "unknown-8bit", "unicode-1-1-utf-8":
		return nil
	case "iso-8859-8-e", "iso-8859-8-i":
		return charmap.ISO8859_8
	case "cp850", "ibm850":
		return charmap.CodePage850
	case "cp437", "ibm437":
		return charmap.CodePage437
	case "utf-16": // not as browsers have it: RFC 2781 section 4.3
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	case "hz-gb-2312":
		return simplifiedchinese.HZGB2312
	case "utf-32", "utf-32be":
		return utf32.UTF32(utf32.BigEndian, utf32.UseBOM)
	}
	if e, err := htmlindex.Get(name); err == nil && e != encoding.Replacement { // which would show nothing at all
		return e
	}
	return nil
}

// utf8Reader reads a text in a charset as UTF-8. Bytes that make no sense
// become U+FFFD, or letters of Windows-1252 where no charset was said.
func utf8Reader(charset string, r io.Reader) io.Reader {
	if e := charsetOf(charset); e != nil {
		return transform.NewReader(r, forgiving{e.NewDecoder()})
	}
	return transform.NewReader(r, &guess{})
}

// forgiving leaves out what a decoder finds no sense in at the end of a text: the
// one of UTF-32 fails at a text of less than four bytes.
type forgiving struct{ transform.Transformer }

func (f forgiving) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	nDst, nSrc, err = f.Transformer.Transform(dst, src, atEOF)
	if err != nil && err != transform.ErrShortDst && (atEOF || err != transform.ErrShortSrc) {
		return nDst, len(src), nil
	}
	return nDst, nSrc, err
}

// guess takes bytes that are no UTF-8 for Windows-1252.
type guess struct{}

func (guess) Reset() {}

func (guess) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		n := copy(dst[nDst:], src[nSrc:nSrc+asciiPrefix(src[nSrc:])])
		if nDst, nSrc = nDst+n, nSrc+n; nSrc == len(src) {
			break
		}
		c := src[nSrc]
		if c < utf8.RuneSelf {
			return nDst, nSrc, transform.ErrShortDst
		}
		if !atEOF && !utf8.FullRune(src[nSrc:]) {
			return nDst, nSrc, transform.ErrShortSrc
		}
		r, size := utf8.DecodeRune(src[nSrc:])
		if r == utf8.RuneError && size == 1 {
			r = charmap.Windows1252.DecodeByte(c)
		}
		if nDst+utf8.RuneLen(r) > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += utf8.EncodeRune(dst[nDst:], r)
		nSrc += size
	}
	return nDst, nSrc, nil
}

// asciiPrefix returns how many bytes of ASCII there are at the beginning.
func asciiPrefix(b []byte) int {
	n := 0
	for len(b)-n >= 8 && binary.LittleEndian.Uint64(b[n:])&0x8080808080808080 == 0 {
		n += 8
	}
	for n < len(b) && b[n] < utf8.RuneSelf {
		n++
	}
	return n
}

// UTF8 returns a field's value as text: encoded words decoded (RFC 2047), and
// raw bytes that are no UTF-8 taken for Windows-1252. What cannot be decoded
// stays as it is.
func UTF8(value []byte) string {
	s := string(value)
	if bytes.Contains(value, []byte("=?")) {
		if d, err := words.DecodeHeader(padded(s)); err == nil {
			s = d
		}
	}
	if utf8.ValidString(s) {
		return s
	}
	if out, _, err := transform.String(&guess{}, s); err == nil {
		return out
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// padded gives encoded words in base64 the padding that some programs leave out.
func padded(s string) string {
	var b strings.Builder
	for {
		i := strings.Index(s, "=?")
		if i < 0 {
			break
		}
		charset, rest, ok := strings.Cut(s[i+2:], "?")
		if !ok {
			break
		}
		begin := i + 2 + len(charset) + 1
		if len(charset) > maxCharset || len(rest) < 2 || lowerASCII(rest[0]) != 'b' || rest[1] != '?' {
			b.WriteString(s[:i+2])
			s = s[i+2:]
			continue
		}
		begin += 2
		n := strings.IndexByte(s[begin:], '?')
		if n < 0 {
			break
		}
		b.WriteString(s[:begin+n])
		if missing := -n & 3; (missing == 1 || missing == 2) && !strings.ContainsFunc(s[begin:begin+n], notBase64) && strings.HasPrefix(s[begin+n:], "?=") {
			b.WriteString("=="[:missing])
		}
		s = s[begin+n:]
	}
	if b.Len() == 0 {
		return s
	}
	b.WriteString(s)
	return b.String()
}

func notBase64(r rune) bool { return r >= utf8.RuneSelf || !isBase64(byte(r)) }

// maxCharset bounds a charset's name within an encoded word.
const maxCharset = 80

var words = mime.WordDecoder{CharsetReader: func(charset string, r io.Reader) (io.Reader, error) {
	return utf8Reader(charset, r), nil
}}

// Decode undoes a part's transfer encoding (RFC 2045 section 6): BINARY of RFC
// 3516. ok is false for an encoding that is not known. What breaks the
// encoding's rules is passed over as far as it can be.
func (p *Part) Decode(body io.Reader) (r io.Reader, ok bool) {
	switch p.Encoding() {
	case "", "7bit", "8bit", "binary":
		return body, true
	case "base64":
		return &lenientBase64{r: body}, true
	case "quoted-printable":
		return &lenientQP{r: body}, true
	}
	return body, false
}

// Encoding returns a part's transfer encoding in lower case, "" if none is said.
func (p *Part) Encoding() string {
	value, _, _ := bytes.Cut(p.Header.Get("Content-Transfer-Encoding"), []byte(";"))
	return lower(uncommented(value))
}
