package main

import (
	"io"
	"unicode"
	"unicode/utf8"
)

// A harmless writer shows what would do something to a terminal as U+FFFD: names of
// files are a user's, and the terminal may be root's.
type harmless struct{ io.Writer }

// Write takes whole letters.
func (h harmless) Write(p []byte) (int, error) {
	b := make([]byte, 0, len(p))
	for rest := p; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		if rest = rest[size:]; r != '\n' && r != '\t' && !unicode.IsGraphic(r) {
			r = utf8.RuneError
		}
		b = utf8.AppendRune(b, r)
	}
	if _, err := h.Writer.Write(b); err != nil {
		return 0, err
	}
	return len(p), nil
}
