package maildir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestStaleLock: a lock whose owner is dead, or is not known because the power
// failed, does not hold anybody up.
func TestStaleLock(t *testing.T) {
	host, _ := os.Hostname()
	for _, content := range []string{"999999999:" + host, ""} {
		s := newStore(t)
		put(t, s, "cur/a:2,", "x")
		put(t, s, uidlistLock, content)
		start := time.Now()
		want(t, "messages", keys(open(t, s, Inbox)), "1:a")
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("%q: waited %v", content, d)
		}
		if _, err := os.Stat(filepath.Join(s.root, uidlistLock)); err == nil {
			t.Errorf("%q: the lock is left", content)
		}
	}
}

// TestLiveLock is not broken.
func TestLiveLock(t *testing.T) {
	s := newStore(t)
	host, _ := os.Hostname()
	for _, content := range []string{fmt.Sprintf("%d:%s", os.Getppid(), host), "999999999:elsewhere"} {
		put(t, s, uidlistLock, content)
		f, err := s.open(Inbox, true)
		if err != nil {
			t.Fatal(err)
		}
		if l, err := s.takeLock(f.dir, uidlistLock, 3*time.Second); !errors.Is(err, ErrLocked) {
			t.Errorf("%q: took %v, %v", content, l, err)
		}
		f.Close()
		os.Remove(filepath.Join(s.root, uidlistLock))
	}
}

// TestHolds: a lock's owner is as old as the lock at least, however old that is.
func TestHolds(t *testing.T) {
	for name, c := range map[string]struct {
		pid  int
		ago  time.Duration
		want bool
	}{
		"its own":        {os.Getpid(), 0, true},
		"long-lived":     {1, time.Second, true},
		"number reused":  {os.Getpid(), time.Hour, false},
		"before a start": {1, 1000 * 24 * time.Hour, false},
		"nobody":         {999999999, 0, false},
	} {
		if got := holds(c.pid, c.ago); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
