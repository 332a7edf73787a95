package submitd

import (
	"bufio"
	"io"
	"strings"
	"testing"
)

// TestHeaderInPieces: a header ends at the same place however it arrives.
func TestHeaderInPieces(t *testing.T) {
	for _, header := range []string{
		"From: a@host.example\nSubject: long\n and folded\nBcc: b@host.example\n\n",
		"Subject: tab\n\tfolded\n",
		strings.Repeat("X: "+strings.Repeat("y", 120)+"\n folded\n", 50) + "Bcc: b@host.example\n\n",
	} {
		for _, body := range []string{"", "hi\n", " not folded\n" + strings.Repeat("text\n", 40)} {
			if body != "" && !strings.HasSuffix(header, "\n\n") {
				continue
			}
			for cut := range header {
				r := bufio.NewReader(io.MultiReader(strings.NewReader(header[:cut]), strings.NewReader(header[cut:]+body)))
				h, err := readHeader(r)
				rest, _ := io.ReadAll(r)
				if want := strings.TrimSuffix(header, "\n\n"); err != nil || strings.TrimSuffix(string(h), "\n") != strings.TrimSuffix(want, "\n") || string(rest) != body {
					t.Fatalf("%q cut at %d: header %q, then %q, %v", header, cut, h, rest, err)
				}
			}
		}
	}
}
