package maildir

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestWatch: a delivery and a rename are seen at once.
func TestWatch(t *testing.T) {
	s := newStore(t)
	f := open(t, s, Inbox)
	events := make(chan struct{}, 100)
	w := f.Watch(func() { events <- struct{}{} })
	defer w.Stop()
	put(t, s, "tmp/a", "x")
	for _, change := range [][2]string{{"tmp/a", "new/a"}, {"new/a", "cur/a:2,S"}} {
		os.Rename(filepath.Join(s.root, change[0]), filepath.Join(s.root, change[1]))
		select {
		case <-events:
		case <-time.After(5 * time.Second):
			t.Errorf("%v was not seen", change)
		}
	}
}

// TestWatchWithoutInotify: where changes are not told, they are looked for.
func TestWatchWithoutInotify(t *testing.T) {
	pollInterval = 50 * time.Millisecond
	defer func() { pollInterval = 15 * time.Second }()
	s := newStore(t)
	f := open(t, s, Inbox)
	f.watch = &watch{fd: -1} // as follow leaves it when inotify is exhausted
	events := make(chan struct{}, 1000)
	w := f.Watch(func() { events <- struct{}{} })
	defer w.Stop()
	put(t, s, "new/a", "x")
	for deadline := time.Now().Add(5 * time.Second); f.Len() == 0; {
		if time.Now().After(deadline) {
			t.Fatal("a delivery was not seen")
		}
		<-events
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLargeBatch: a session that changes very much does not listen to itself,
// and misses nothing of what others do meanwhile and afterwards.
func TestLargeBatch(t *testing.T) {
	s := newStore(t)
	s.fsync = Never
	for i := range maxHints + 2 {
		put(t, s, fmt.Sprintf("cur/%d.M1P1.h:2,", 1700000000+i), "x")
	}
	f := open(t, s, Inbox)
	f.follow()
	cur := filepath.Join(s.root, "cur")
	n := 0
	err := f.SetFlags(all(f), func(Flags) Flags {
		if n++; n == maxHints { // behind the changes that were made, and ahead of others
			os.Rename(filepath.Join(cur, "1700000000.M1P1.h:2,F"), filepath.Join(cur, "1700000000.M1P1.h:2,FS"))
			os.Rename(filepath.Join(cur, "1700002049.M1P1.h:2,"), filepath.Join(cur, "1700002049.M1P1.h:2,R"))
		}
		return Flagged
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if got := f.Message(0).Flags; got != Flagged|Seen {
		t.Errorf("flags of the first: %v", got)
	}
	if got := f.Message(maxHints + 1).Flags; got != Flagged {
		t.Errorf("flags of the last: %v", got)
	}
	if !f.watch.complete() {
		t.Error("the folder is not followed any more")
	}
	before := directoriesRead.Load()
	os.Rename(filepath.Join(cur, "1700000001.M1P1.h:2,F"), filepath.Join(cur, "1700000001.M1P1.h:2,FT"))
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if got := f.Message(1).Flags; got != Flagged|Trashed || directoriesRead.Load() != before {
		t.Errorf("flags of the second: %v; %d directories read", got, directoriesRead.Load()-before)
	}
}
