package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestHarmless(t *testing.T) {
	var b strings.Builder
	n, err := fmt.Fprint(harmless{&b}, "a\tB\u00fc \x1b[2J\r\u009b1m\u202e\xff\x00\n")
	if want := "a\tB\u00fc \ufffd[2J\ufffd\ufffd1m\ufffd\ufffd\ufffd\n"; b.String() != want || n != 21 || err != nil {
		t.Errorf("%q, %d, %v; want %q", b.String(), n, err, want)
	}
}
