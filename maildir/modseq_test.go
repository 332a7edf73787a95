package maildir

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestModSeqNeverFalls, with the index lost, after a start of the machine, and
// with the clock set back.
func TestModSeqNeverFalls(t *testing.T) {
	s := newStore(t)
	some(t, s, 3)
	last := uint64(0)
	higher := func(what string) {
		t.Helper()
		f := open(t, s, Inbox)
		f.Sync()
		f.Changed()
		if f.HighestModSeq() <= last {
			t.Errorf("%s: HIGHESTMODSEQ %d after %d", what, f.HighestModSeq(), last)
		}
		last = f.HighestModSeq()
		for i := range f.Len() {
			if m := f.Message(i); m.ModSeq > last || m.ModSeq == 0 {
				t.Errorf("%s: message %d has modseq %d, the highest is %d", what, i, m.ModSeq, last)
			}
		}
		f.Close()
	}
	higher("first")
	f := open(t, s, Inbox)
	f.SetFlags([]int{0}, func(Flags) Flags { return Seen })
	f.Close()
	higher("a flag")
	os.Remove(filepath.Join(s.root, indexName))
	higher("index lost")
	now = func() time.Time { return time.Now().Add(-time.Hour) }
	defer func() { now = time.Now }()
	f = open(t, s, Inbox)
	f.SetFlags([]int{1}, func(Flags) Flags { return Seen })
	f.Close()
	higher("clock set back")
	now = time.Now
	f = open(t, s, Inbox)
	f.ix.boot -= 3600
	f.ix.flush()
	f.Close()
	f = open(t, s, Inbox)
	for i := range f.Len() {
		if f.Message(i).ModSeq <= last {
			t.Errorf("after a start message %d has an old modseq", i)
		}
	}
}

// TestExpungesAreRemembered, so many and no more.
func TestExpungesAreRemembered(t *testing.T) {
	s := newStore(t)
	s.fsync = Never
	some(t, s, 3*keepExpunged)
	f := open(t, s, Inbox)
	half := all(f)[:2*keepExpunged+500]
	start := f.HighestModSeq()
	for len(half) > 0 {
		if err := f.Expunge(half[:100], nil); err != nil {
			t.Fatal(err)
		}
		half = half[100:]
	}
	f.Close()
	put(t, s, "new/1900000000.x", "x")
	f = open(t, s, Inbox)
	gone := 0
	for n := range int(f.ix.count) {
		if r := f.ix.record(n); r.state&stateExpunged != 0 {
			gone++
			if r.modseq <= f.ix.floor {
				t.Errorf("UID %d went at %d, which is forgotten", r.uid, r.modseq)
			}
		}
	}
	if gone < keepExpunged-100 || gone > 2*keepExpunged+100 || f.ix.floor <= start || f.ix.expunged != uint32(gone) {
		t.Errorf("%d remembered, the index says %d, forgotten up to %d (%d at the start)", gone, f.ix.expunged, f.ix.floor, start)
	}
	if f.Len() != keepExpunged-500+1 {
		t.Errorf("%d messages left", f.Len())
	}
}
