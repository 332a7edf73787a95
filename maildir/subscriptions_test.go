package maildir

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSubscriptions(t *testing.T) {
	s := newStore(t)
	for _, name := range []string{"Work.2026", "Sent", "Work.2026"} {
		if err := s.Subscribe(name, true); err != nil {
			t.Fatal(err)
		}
	}
	s.Subscribe("Sent", false)
	b, _ := os.ReadFile(filepath.Join(s.root, "subscriptions"))
	want(t, "file", string(b), "V\t2\n\nWork\t2026\n")
	put(t, s, "subscriptions", "Old.Form\n")
	s.Subscribe("New", true)
	b, _ = os.ReadFile(filepath.Join(s.root, "subscriptions"))
	want(t, "version 1", string(b), "Old.Form\nNew\n")
	names, _ := s.Subscriptions()
	want(t, "names", strings.Join(names, " "), "Old.Form New")
}

func FuzzSubscriptions(f *testing.F) {
	f.Add([]byte("V\t2\n\nWork\t2026\nEsc\x01t\x011\n"))
	f.Add([]byte("Old.Form\n\nx\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		names, v2 := parseSubscriptions(text)
		valid := slices.DeleteFunc(names, func(n string) bool { return checkName(n) != nil })
		again, _ := parseSubscriptions(formatSubscriptions(valid, v2))
		if !slices.Equal(again, valid) {
			t.Errorf("%q came back as %q", valid, again)
		}
	})
}
