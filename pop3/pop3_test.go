package pop3

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
)

// TestDotWriter: every text over the bytes that matter, in every two pieces, is
// sent so that a client finds the same lines.
func TestDotWriter(t *testing.T) {
	for text := range texts("\r\n.a", 6) {
		for cut := range len(text) + 1 {
			var b bytes.Buffer
			d := NewDotWriter(bufio.NewWriter(&b))
			d.Write([]byte(text[:cut]))
			d.Write([]byte(text[cut:]))
			d.Close()
			d.w.Flush()
			if got, want := b.String(), dotted(text); got != want {
				t.Fatalf("%q in %q and %q: got %q, want %q", text, text[:cut], text[cut:], got, want)
			}
		}
	}
}

// dotted is what RFC 1939 section 3 says, byte for byte.
func dotted(text string) string {
	var b strings.Builder
	last := byte('\n')
	for _, c := range []byte(text) {
		if c == '\n' && last != '\r' {
			b.WriteByte('\r')
		}
		if c == '.' && last == '\n' {
			b.WriteByte('.')
		}
		b.WriteByte(c)
		last = c
	}
	if last != '\n' {
		b.WriteString("\r\n")
	}
	return b.String() + ".\r\n"
}

// texts passes all texts over an alphabet up to a length.
func texts(alphabet string, length int) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		level := []string{""}
		for range length + 1 {
			var next []string
			for _, text := range level {
				if !yield(text) {
					return
				}
				for _, c := range alphabet {
					next = append(next, text+string(c))
				}
			}
			level = next
		}
	}
}
