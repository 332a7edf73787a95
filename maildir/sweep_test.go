package maildir

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSweep: what a killed program left in tmp/ goes when it is old enough.
func TestSweep(t *testing.T) {
	s := newStore(t)
	put(t, s, "tmp/a", "x")
	year := time.Now().AddDate(-1, 0, 0)
	os.Chtimes(filepath.Join(s.root, "tmp/a"), year, year) // as one that APPEND puts there
	left := filepath.Join(s.root, deletedPrefix+"x")
	os.MkdirAll(left+"/cur", 0o700)
	open(t, s, Inbox)
	s.Close()
	want(t, "left in tmp", strings.Join(files(t, s, "tmp"), " "), "a")
	if _, err := os.Stat(left); err == nil {
		t.Error("half of a deleted folder is left")
	}
	defer func() { now = time.Now }()
	now = func() time.Time { return time.Now().Add(tmpAge + time.Minute) }
	later, err := Open(s.root, Optimized)
	if err != nil {
		t.Fatal(err)
	}
	open(t, later, Inbox)
	later.Close()
	want(t, "left later", strings.Join(files(t, s, "tmp"), " "), "")
}
