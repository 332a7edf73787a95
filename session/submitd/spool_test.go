package submitd

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestLineReader: of every text over the bytes that matter, in pieces of one,
// two and all bytes, those pass whose lines end with CRLF, and no other.
func TestLineReader(t *testing.T) {
	level := []string{""}
	for range 7 {
		var next []string
		for _, text := range level {
			for name, r := range map[string]io.Reader{
				"one": iotest.OneByteReader(strings.NewReader(text)), "half": iotest.HalfReader(strings.NewReader(text)),
				"all": strings.NewReader(text), "with its end": iotest.DataErrReader(strings.NewReader(text)),
			} {
				got, err := io.ReadAll(&lineReader{r: r})
				bare := strings.ContainsAny(strings.ReplaceAll(text, "\r\n", ""), "\r\n\x00")
				if want := strings.ReplaceAll(text, "\r\n", "\n"); bare != (err != nil) || !bare && string(got) != want {
					t.Fatalf("%q by %s: %q, %v", text, name, got, err)
				}
			}
			for _, c := range "\r\n\x00a" {
				next = append(next, text+string(c))
			}
		}
		level = next
	}
}
