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
// folded text; with headers, also what is said of those below. Transfer encodings
// are undone. whole is the message's file if it is in memory, else nil.
func (p *Part) Contains(f io.ReaderAt, whole []byte, text string, headers bool) (bool, error) {
	for _, child := range p.Children {
		if headers && child.Header.Contains("", text) {
			return true, nil
		}
		if hit, err := child.Contains(f, whole, text, headers); hit || err != nil {
			return hit, err
		}
	}
	if p.Message != nil {
		if p.Message.Header.Contains("", text) {
			return true, nil
		}
		return p.Message.Contains(f, whole, text, headers)
	}
	if p.Type != "text" && p.Type != "message" { // the latter as message/delivery-status
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
	letters [0x3000]byte // see letter
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
	ascii := text
	if asciiPrefix([]byte(text)) < len(text) {
		ascii = ""
	} else if containsASCII(body, text) {
		return true
	}
	for n := s.nextFoldable(body, 0, ascii); n < len(body); {
		letter, first, behind := n, max(0, n-len(text)), n
		for n < len(body) && n-behind <= len(text) { // as long as they are near each other
			behind = n + 1
			n = s.nextFoldable(body, behind, ascii)
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

// nextFoldable returns where from a place on the next letter beyond ASCII begins
// that may be part of a hit; else len(b). text is what is looked for, if it is
// ASCII, else empty.
func (s *searcher) nextFoldable(b []byte, from int, text string) int {
	for {
		from += asciiPrefix(b[from:])
		if from == len(b) || text == "" {
			return from
		}
		r, size := utf8.DecodeRune(b[from:])
		switch {
		case size == 1: // a letter of Windows-1252
			return from
		case int(r) < len(s.letters):
			if l := s.letter(r); l == mayHit || l == text[len(text)-1] {
				return from
			}
		case !strayLead[b[from]]:
			return from
		}
		from += size
	}
}

// What an ASCII text can have of a letter beyond ASCII, or which letter of ASCII
// with a mark it is: where that is found, the text ends.
const (
	notKnown = iota
	noHit
	mayHit
)

func (s *searcher) letter(r rune) byte {
	l := &s.letters[r]
	if *l == notKnown {
		var room [32]byte
		folded := appendFoldedRune(room[:0], r)
		n := asciiPrefix(folded)
		switch rest := folded[n:]; {
		case n == 0 && !bytes.ContainsFunc(rest, isASCII):
			*l = noHit
		case n == 1 && len(rest) > 0 && !bytes.ContainsFunc(rest, isASCII):
			*l = folded[0]
		default:
			*l = mayHit
		}
	}
	return *l
}

func isASCII(r rune) bool { return r < utf8.RuneSelf }

// strayLead has the bytes with which UTF-8 begins further letters, Chinese and Korean,
// whose folding has nothing of ASCII.
var strayLead = [256]bool{0xe4: true, 0xe5: true, 0xe6: true, 0xe7: true, 0xe8: true, 0xe9: true, 0xeb: true, 0xec: true, 0xed: true}

// longText is from when on a text is looked for in a way whose time does not
// grow with it.
const longText = 100

func (s *searcher) inFolded(b []byte, text string) bool {
	s.folded, _ = s.folder.append(s.folded[:0], b, true)
	return bytes.Contains(s.folded, []byte(text))
}

// decode undoes a part's transfer encoding.
func (s *searcher) decode(p *Part, body []byte) []byte {
	switch p.Encoding() {
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
