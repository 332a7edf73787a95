package message

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// contains looks for a text in a message in memory and in a stream of it.
func contains(t *testing.T, message, text string) bool {
	t.Helper()
	p := parse(t, message)
	inMemory, err := p.Contains(nil, []byte(message), Fold(text), false)
	if err != nil {
		t.Error(err)
	}
	inStream, err := p.Contains(strings.NewReader(message), nil, Fold(text), false)
	if err != nil || inStream != inMemory {
		t.Errorf("%q in %q: %v in memory, %v in a stream (%v)", text, message, inMemory, inStream, err)
	}
	return inMemory
}

func TestContains(t *testing.T) {
	text := "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nContent-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: text/plain; charset=iso-8859-1\n" +
		"Content-Transfer-Encoding: quoted-printable\n\nCaf=E9 an=\nd more\n--x\nContent-Transfer-Encoding: base64\n\naGlkZGVuIHRleHQ=\n--x--\n"
	for needle, want := range map[string]bool{"café and": true, "CAFE": true, "HIDDEN": true, "n text": true, "absent": false, "": true,
		strings.Repeat("hidden ", longText): false} {
		if got := contains(t, text, needle); got != want {
			t.Errorf("%q: %v", needle, got)
		}
	}
	p := parse(t, text)
	if !p.Header.Contains("subject", Fold("GRÜSSE"[:4])) || p.Header.Contains("subject", "x") || !p.Header.Contains("", "multipart") ||
		!p.Header.Contains("subject", "") {
		t.Error("header search")
	}
	// A hit across the border of two chunks, and in the text beside a letter.
	for _, needle := range []string{"needle", "nédle", "ﬁne", "fine", "eedle é", "é"} {
		if !contains(t, "\n"+strings.Repeat("x", searchChunk-3)+" The Needle é nÉdle FINE ﬁne\n", needle) {
			t.Errorf("%q not found across a border", needle)
		}
	}
}

// TestContainsRaw: bytes that are no UTF-8 are Windows-1252.
func TestContainsRaw(t *testing.T) {
	if !contains(t, "\ncaf\xe9\n", "café") || contains(t, "\ncaf\xe9\n", "cafè") {
		t.Error("raw bytes")
	}
}

// TestStrayLead: the letters that are passed over in a search for ASCII are none
// that may be found.
func TestStrayLead(t *testing.T) {
	for r := rune(utf8.RuneSelf); r <= utf8.MaxRune; r++ {
		if b := utf8.AppendRune(nil, r); strayLead[b[0]] && utf8.ValidRune(r) {
			if folded := appendFoldedRune(nil, r); slices.ContainsFunc(folded, func(c byte) bool { return c < utf8.RuneSelf }) {
				t.Errorf("%U is folded to %q", r, folded)
			}
		}
	}
}

// FuzzContains: it does not matter whether a message is in memory.
func FuzzContains(f *testing.F) {
	f.Add("one Two é", "two e", "utf-8", "8bit")
	f.Add("=C3=89t=\n=E9", "été", "", "quoted-printable")
	f.Add("aGlkZGVuIHRleHQ=", "den", "koi8-r", "base64")
	f.Add("ab\x1b$B", "b", "iso-2022-jp", "7bit")
	f.Add("caf\u00e9 \u2026 na\u00efve \u00aa", "cafe", "utf-8", "8bit")
	f.Add("na\u00efve\u00a0one\u2026 \u0149\u017f", "ive one...", "utf-8", "8bit")
	f.Add("\u0430\u0431 \u00b4x \u1eafn", "ns", "utf-8", "8bit")
	f.Fuzz(func(t *testing.T, body, text, charset, encoding string) {
		if !utf8.ValidString(text) || strings.ContainsAny(charset+encoding, "\r\n") {
			return
		}
		contains(t, fmt.Sprintf("Content-Type: text/plain; charset=%q\nContent-Transfer-Encoding: %s\n\n%s", charset, encoding, body), text)
	})
}
