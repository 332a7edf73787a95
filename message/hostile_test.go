package message

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestHostileFields: what a megabyte of header costs does not grow with its square, in
// time or in what comes of it.
func TestHostileFields(t *testing.T) {
	within := func(what string, do func() int) {
		t.Helper()
		start := time.Now()
		if n := do(); n > 3<<20 {
			t.Errorf("%s: %d bytes", what, n)
		}
		if d := time.Since(start); d > 10*time.Second { // a minute and a half, when it did
			t.Errorf("%s: %v", what, d)
		}
	}
	within("fields of one name", func() (n int) {
		values := make([][]byte, 2)
		h := Header(strings.Repeat("To:a\nCc: b, c\n", 70_000) + "\n")
		h.GetLists([]string{"To", "Cc"}, values, 0, 2)
		return len(values[0]) + len(values[1])
	})
	for _, word := range []string{"=?u?B?YQ?= ", "=?u?B?", "=?", "?B?", "=?u?b?="} {
		within("words "+word, func() int { return len(UTF8([]byte(strings.Repeat(word, 1<<20/len(word))))) })
	}
	within("pieces of a parameter", func() (n int) {
		var b strings.Builder
		b.WriteString("attachment")
		for i := range 50 {
			fmt.Fprintf(&b, "; a*%d=%s; a*0=x", i, strings.Repeat("y", 10_000))
		}
		_, params := ParseParams([]byte(b.String()))
		for _, p := range params {
			n += len(p.Value)
		}
		return n
	})
}
