package test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestGiantMessage: a message of a gigabyte, most of it holes, is there for all
// protocols, in bounded memory. Its lines, but for a few, have no end.
func TestGiantMessage(t *testing.T) {
	h := cveHost(t, []string{"imaps", "pop3s"})
	const size = 1 << 30
	d := h.folder("Giant")
	path := filepath.Join(h.maildir(h.alice), ".Giant", "cur", "1700000000.M1P1.giant:2,S")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, "Subject: giant\nContent-Type: text/plain\n\n")
	lines := 3
	for at := int64(1 << 20); at < size; at += 200 << 20 {
		f.WriteAt([]byte("\nneedle "+strings.Repeat("x", 100)+"\n"), at)
		lines += 2
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	f.Close()
	h.own(path, h.alice)
	d.SetDeadline(time.Now().Add(5 * time.Minute))
	front, session := d.processes()
	whole := fmt.Sprint(size + lines)
	grows(t, front, 4, func() {
		grows(t, session, 8, func() {
			d.alive() // it has come since
			if got := d.ok("FETCH 1 (RFC822.SIZE ENVELOPE BODYSTRUCTURE)"); !strings.Contains(got, "RFC822.SIZE "+whole) {
				t.Errorf("got %q, want %s bytes", got, whole)
			}
			if got := d.ok("SEARCH BODY needle"); !strings.HasPrefix(got, "* SEARCH 1\n") {
				t.Errorf("not found: %q", got)
			}
			d.expect("c FETCH 1 (BODY.PEEK[])", "* 1 FETCH (BODY[] {"+whole+"}")
			if n, err := io.CopyN(io.Discard, d.r, int64(size+lines)); err != nil {
				t.Errorf("%v after %d bytes", err, n)
			}
			if got := d.line() + d.line(); got != ")c OK FETCH done" {
				t.Errorf("behind it: %q", got)
			}
			d.expect("d FETCH 1 (BODY.PEEK[]<1073741000.10>)", "* 1 FETCH (BODY[]<1073741000> {10}")
			d.line()
			d.alive()
		})
	})
	d.ok("RENAME Giant Aside")
	if err := os.Rename(strings.Replace(path, ".Giant", ".Aside", 1), filepath.Join(h.maildir(h.alice), "cur", filepath.Base(path))); err != nil {
		t.Fatal(err)
	}
	p := h.dial("pop3s")
	p.SetDeadline(time.Now().Add(5 * time.Minute))
	p.expect("USER "+h.alice.Username, "+OK")
	p.expect("PASS "+h.password, "+OK")
	_, session = p.processes()
	grows(t, session, 8, func() {
		p.expect("LIST 1", "+OK 1 "+whole)
		p.expect("RETR 1", "+OK")
		if n, err := io.CopyN(io.Discard, p.r, int64(size+lines)); err != nil {
			t.Errorf("%v after %d bytes", err, n)
		}
		if got := p.line() + p.line(); got != "." {
			t.Errorf("behind it: %q", got)
		}
	})
}
