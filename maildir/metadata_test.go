package maildir

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// TestMetadata: entries of folders and of the server last, and two sessions lose
// none of each other's.
func TestMetadata(t *testing.T) {
	s := newStore(t)
	set := func(s *Store, folder, name string, value []byte) {
		t.Helper()
		if err := s.SetMetadata(folder, func(e map[string][]byte) error { e[name] = value; return nil }); err != nil {
			t.Error(err)
		}
	}
	var wg sync.WaitGroup
	for i := range 8 {
		o := other(t, s)
		wg.Go(func() { set(o, Inbox, fmt.Sprintf("/private/%d", i), []byte{0, byte(i), '\n'}) })
	}
	wg.Wait()
	set(s, "", "/shared/server", []byte("yes"))
	set(s, Inbox, "/private/3", nil)
	entries, err := s.Metadata(Inbox)
	if err != nil || len(entries) != 7 || string(entries["/private/7"]) != "\x00\x07\n" {
		t.Errorf("%v, %v", entries, err)
	}
	entries, err = s.Metadata("")
	if err != nil || string(entries["/shared/server"]) != "yes" {
		t.Errorf("of the server: %v, %v", entries, err)
	}
	if _, err := s.Metadata("Nowhere"); err != ErrNoFolder {
		t.Errorf("of no folder: %v", err)
	}
	before, _ := os.ReadFile(filepath.Join(s.root, metadataName))
	err = s.SetMetadata(Inbox, func(map[string][]byte) error { return ErrName })
	if after, _ := os.ReadFile(filepath.Join(s.root, metadataName)); err != ErrName || string(after) != string(before) {
		t.Errorf("a change that was refused: %v", err)
	}
}

func FuzzMetadata(f *testing.F) {
	f.Add([]byte("/private/comment VG8gYmUgcmVhZA==\n/private/empty \nnonsense\n/x !\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		once := parseMetadata(text)
		if again := parseMetadata(formatMetadata(once)); !maps.EqualFunc(once, again, func(a, b []byte) bool { return string(a) == string(b) }) {
			t.Errorf("%q became %q", once, again)
		}
	})
}
