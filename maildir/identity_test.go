package maildir

import (
	"fmt"
	"testing"
	"time"
)

// TestGUIDs: a copy, and a copy of it, and a message that was moved, are one
// message for those who come later too.
func TestGUIDs(t *testing.T) {
	s := newStore(t)
	s.Create("Two")
	in, two := open(t, s, Inbox), open(t, s, "Two")
	deliver(t, in, "Subject: a\n\na\n", 0)
	deliver(t, in, "Subject: b\n\nb\n", 0)
	guid, b := in.GUID(0), in.GUID(1)
	want(t, "GUID", guid, in.Key(0))
	if _, _, err := in.Copy([]int{0}, two, always); err != nil {
		t.Fatal(err)
	}
	if _, _, err := two.Copy([]int{0}, two, always); err != nil {
		t.Fatal(err)
	}
	if _, _, err := in.Move([]int{1}, two, always); err != nil {
		t.Fatal(err)
	}
	for _, f := range []*Folder{two, open(t, other(t, s), "Two")} {
		want(t, "GUIDs", fmt.Sprint(f.GUID(0), f.GUID(1), f.GUID(2)), fmt.Sprint(guid, guid, b))
	}
	if guid, err := two.FolderGUID(); err != nil || len(guid) != 32 {
		t.Errorf("folder's GUID %q, %v", guid, err)
	}
	if at, ok := two.Saved(0); !ok || time.Since(at) > time.Minute {
		t.Errorf("saved %v, %v", at, ok)
	}
	put(t, s, "cur/no-time:2,", "x")
	in.Sync()
	if at, ok := in.Saved(in.Len() - 1); ok {
		t.Errorf("a file without a time was saved %v", at)
	}
}

// TestUnchangedSince: what another has changed meanwhile is left alone.
func TestUnchangedSince(t *testing.T) {
	s := newStore(t)
	a, b := open(t, s, Inbox), open(t, other(t, s), Inbox)
	for range 3 {
		deliver(t, a, "Subject: x\n\nx\n", 0)
	}
	b.Sync()
	b.Changed()
	since := b.HighestModSeq()
	if err := a.SetFlags([]int{1}, func(Flags) Flags { return Seen }); err != nil {
		t.Fatal(err)
	}
	b.Sync()
	b.Changed()
	refused, err := b.SetFlagsUnchanged([]int{0, 1, 2}, since, func(f Flags) Flags { return f | Flagged })
	if err != nil {
		t.Fatal(err)
	}
	want(t, "refused", fmt.Sprint(refused), "[1]")
	want(t, "flags", fmt.Sprint(b.Message(0).Flags, b.Message(1).Flags, b.Message(2).Flags), fmt.Sprint(Flagged, Seen, Flagged))
}

// TestVanished: expunges are remembered until there are too many.
func TestVanished(t *testing.T) {
	s := newStore(t)
	f := open(t, s, Inbox)
	for range 4 {
		deliver(t, f, "Subject: x\n\nx\n", 0)
	}
	since := f.HighestModSeq()
	if err := f.Expunge([]int{1, 3}, nil); err != nil {
		t.Fatal(err)
	}
	uids, ok := f.Vanished(since)
	want(t, "vanished", fmt.Sprint(uids, ok), "[2 4] true")
	f.ix.floor = since + 1
	uids, ok = f.Vanished(since)
	want(t, "forgotten", fmt.Sprint(uids, ok), "[] false")
}
