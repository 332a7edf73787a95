package message

import (
	"bytes"
	"encoding/base64"
	"io"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// Contains says whether the text of a part, or of one below it, contains a
// folded text. Transfer encodings are undone. whole is the message's file if it
// is in memory, else nil.
func (p *Part) Contains(f io.ReaderAt, whole []byte, text string) (bool, error) {
	for _, child := range p.Children {
		if hit, err := child.Contains(f, whole, text); hit || err != nil {
			return hit, err
		}
	}
	if p.Message != nil {
		if p.Message.Header.Contains("", text) {
			return true, nil
		}
		return p.Message.Contains(f, whole, text)
	}
	if p.Type != "text" {
		return false, nil
	}
	s := searchers.Get().(*searcher)
	defer searchers.Put(s)
	if whole != nil && text != "" {
		return s.inMemory(p, whole[p.body.raw:p.end.raw], text), nil
	}
	return s.inStream(p.decoded(f), text), nil
}

// decoded reads a part's text as UTF-8.
func (p *Part) decoded(f io.ReaderAt) io.Reader {
	r, _ := p.Decode(p.Body().Reader(f))
	return utf8Reader(p.param("charset"), r)
}

// searchChunk is how much of a stream is looked at together.
const searchChunk = 16 << 10

// A searcher has the memory of one search.
type searcher struct {
	raw     [searchChunk]byte
	decoded []byte
	folded  []byte
	folder  folder
	qp      lenientQP
}

var searchers = sync.Pool{New: func() any { return &searcher{folded: make([]byte, 0, 2*searchChunk)} }}

// inStream looks for a folded text in a stream of UTF-8. What a broken transfer
// encoding leaves unreadable is passed over.
func (s *searcher) inStream(r io.Reader, text string) bool {
	if text == "" {
		return true
	}
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

// inMemory looks for a folded text in the body of a part. Most are ASCII, and
// are looked through as they are; elsewhere only the letters beyond ASCII and
// what surrounds them are folded.
func (s *searcher) inMemory(p *Part, body []byte, text string) bool {
	body = s.decode(p, body)
	if e := charsetOf(p.param("charset")); e != nil {
		if _, superset := e.(*charmap.Charmap); !superset || asciiPrefix(body) < len(body) {
			var err error
			if body, err = e.NewDecoder().Bytes(body); err != nil {
				return false
			}
		}
	}
	if len(text) > longText {
		return s.inFolded(body, text)
	}
	isASCII := asciiPrefix([]byte(text)) == len(text)
	if isASCII && containsASCII(body, text) {
		return true
	}
	for n := nextFoldable(body, 0, isASCII); n < len(body); {
		letter, first, behind := n, max(0, n-len(text)), n
		for n < len(body) && n-behind <= len(text) { // as long as they are near each other
			behind = n + 1
			n = nextFoldable(body, behind, isASCII)
		}
		for first < letter && !utf8.RuneStart(body[first]) {
			first++
		}
		last := min(behind+utf8.UTFMax+len(text), len(body))
		for last < len(body) && !utf8.RuneStart(body[last]) {
			last++
		}
		if s.inFolded(body[first:last], text) {
			return true
		}
	}
	return false
}

// nextFoldable returns where from a place on the next letter beyond ASCII
// begins, or just one that folding may make ASCII; else len(b).
func nextFoldable(b []byte, from int, toASCII bool) int {
	for {
		from += asciiPrefix(b[from:])
		if from == len(b) || !toASCII || !strayLead[b[from]] {
			return from
		}
		_, size := utf8.DecodeRune(b[from:])
		if size == 1 { // a letter of Windows-1252
			return from
		}
		from += size
	}
}

// strayLead has the bytes with which UTF-8 begins letters whose folding has
// nothing of ASCII: Cyrillic, Hebrew, Arabic, Chinese, Korean.
var strayLead = [256]bool{0xd0: true, 0xd1: true, 0xd2: true, 0xd3: true, 0xd4: true, 0xd5: true, 0xd6: true, 0xd7: true, 0xd8: true, 0xd9: true,
	0xe4: true, 0xe5: true, 0xe6: true, 0xe7: true, 0xe8: true, 0xe9: true, 0xeb: true, 0xec: true, 0xed: true}

// longText is from when on a text is looked for in a way whose time does not
// grow with it.
const longText = 100

func (s *searcher) inFolded(b []byte, text string) bool {
	s.folded, _ = s.folder.append(s.folded[:0], b, true)
	return bytes.Contains(s.folded, []byte(text))
}

// decode undoes a part's transfer encoding.
func (s *searcher) decode(p *Part, body []byte) []byte {
	switch p.encoding() {
	case "base64":
		s.decoded = slices.Grow(s.decoded[:0], base64.StdEncoding.DecodedLen(len(body)))
		n, err := base64.StdEncoding.Decode(s.decoded[:cap(s.decoded)], body)
		if err == nil {
			return s.decoded[:n]
		}
		all, _ := io.ReadAll(&lenientBase64{r: bytes.NewReader(body)})
		return all
	case "quoted-printable":
		q := &s.qp
		q.spaces, q.held, q.out = q.spaces[:0], q.held[:0], s.decoded[:0]
		q.feed(body)
		q.finish()
		s.decoded = q.out
		return s.decoded
	}
	return body
}

// common are the letters of texts, the most frequent ones first.
const common = " etaoinsrhldcumfpgwybvkxjqz"

// containsASCII looks for a folded text by its rarest letter.
func containsASCII(body []byte, text string) bool {
	rare, rank := 0, -1
	for i, c := range []byte(text) {
		r := strings.IndexByte(common, c)
		if r < 0 {
			r = len(common)
		}
		if r > rank {
			rare, rank = i, r
		}
	}
	small, large := text[rare], upperASCII(text[rare])
	nextSmall, nextLarge := indexFrom(body, small, rare), len(body)
	if large != small {
		nextLarge = indexFrom(body, large, rare)
	}
	for {
		at := min(nextSmall, nextLarge)
		if at-rare+len(text) > len(body) {
			return false
		}
		if isFolded(body[at-rare:at-rare+len(text)], text) {
			return true
		}
		if at == nextSmall {
			nextSmall = indexFrom(body, small, at+1)
		} else {
			nextLarge = indexFrom(body, large, at+1)
		}
	}
}

// indexFrom returns where c next is, len(b) if it is not there.
func indexFrom(b []byte, c byte, from int) int {
	if from >= len(b) {
		return len(b)
	}
	if i := bytes.IndexByte(b[from:], c); i >= 0 {
		return from + i
	}
	return len(b)
}

// isFolded says whether b, as long as text, is text but for capitals.
func isFolded(b []byte, text string) bool {
	for i, c := range b {
		if lowerASCII(c) != text[i] {
			return false
		}
	}
	return true
}

func upperASCII(c byte) byte {
	if c >= 'a' && c <= 'z' {
		c -= 'a' - 'A'
	}
	return c
}
