package maildir

import (
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
