package logline

import (
	"strings"
	"syscall"
	"testing"
)

// TestForeignText cannot make a line look like another.
func TestForeignText(t *testing.T) {
	for in, want := range map[string]string{
		"plain": " k=plain", "": "", "a b": ` k="a b"`, "a\nlogin user=root": ` k="a\nlogin user=root"`,
		`"`: ` k="\""`, "a=b": ` k="a=b"`, "\x00\x1b[2J": ` k="\x00\x1b[2J"`, "\xff": ` k="\xff"`, "ä": ` k="\u00e4"`,
	} {
		if got := string(appendPairs(nil, []string{"k", in})); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
	if got := appendPairs(nil, []string{"k", strings.Repeat("x", 10000)}); len(got) > 300 {
		t.Errorf("a value of 10000 bytes takes %d", len(got))
	}
}

func TestFrames(t *testing.T) {
	defer func(typ int, name string) { sockType, ident = typ, name }(sockType, ident)
	ident = "smail-imap"
	for typ, want := range map[int]string{syscall.SOCK_DGRAM: "<22>smail-imap[", syscall.SOCK_STREAM: "<6>", 0: "smail-imap["} {
		sockType = typ
		if got := string(appendFrame(nil, severityInfo)); !strings.HasPrefix(got, want) {
			t.Errorf("socket type %d: got %q, want %q", typ, got, want)
		}
	}
}
