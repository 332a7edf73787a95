package maildir

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// TestTreeWatchWithoutInotify: where nothing tells of changes, every folder may
// have changed.
func TestTreeWatchWithoutInotify(t *testing.T) {
	w := &TreeWatch{store: newStore(t), fd: -1, watched: map[string]bool{}}
	w.Add([]string{Inbox, "Work"})
	want(t, "heard", fmt.Sprint(w.Heard()), "{[INBOX Work] [] true map[]}")
}

// TestTreeWatchHalfMade: folders that are not all there are looked for again, but not
// for ever, nor oftener for there being many.
func TestTreeWatchHalfMade(t *testing.T) {
	s := newStore(t)
	var woken atomic.Int64
	changed := make(chan bool, 1)
	w := s.WatchTree([]string{Inbox}, false, func() {
		woken.Add(1)
		select {
		case changed <- true:
		default:
		}
	})
	defer w.Stop()
	names := []string{Inbox}
	for n := range 8 {
		name := fmt.Sprintf("Half%d", n)
		names = append(names, name)
		if err := os.Mkdir(filepath.Join(s.root, "."+name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	added := map[string]bool{}
	turn := func() {
		if w.Heard().Names {
			for _, name := range w.Add(names) {
				added[name] = true
			}
		}
	}
	begin := time.Now()
	for time.Since(begin) < lastTry+time.Second {
		if time.Since(begin) > time.Second && len(added) == 0 { // one is made whole
			for _, sub := range []string{"tmp", "cur", "new"} {
				os.MkdirAll(filepath.Join(s.root, ".Half3", sub), 0o700)
			}
		}
		select {
		case <-changed:
			turn()
		case <-time.After(nextTry):
		}
	}
	if len(added) != 1 || !added["Half3"] {
		t.Errorf("watched: %v", added)
	}
	if n, most := woken.Load(), int64(2*lastTry/nextTry); n > most || n < 10 {
		t.Errorf("woken %d times, at most %d", n, most)
	}
	before := woken.Load()
	time.Sleep(5 * nextTry)
	if woken.Load() != before {
		t.Error("still at it")
	}
}
