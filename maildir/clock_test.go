package maildir

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestClockStepped: the clock jumps by ten years either way while a folder is
// used, and with its index lost. No message, UID or flag is lost, UIDVALIDITY stays,
// a new folder has another, and HIGHESTMODSEQ never falls.
func TestClockStepped(t *testing.T) {
	defer func() { now = time.Now }()
	const tenYears = 10 * 365 * 24 * time.Hour
	for _, steps := range [][]time.Duration{{0, tenYears, 0}, {0, -tenYears, 0}, {tenYears, -tenYears, tenYears}} {
		s := newStore(t)
		var validity, made uint32
		var lastUID uint32
		var modseq uint64
		subjects := 0
		for i, step := range steps {
			now = func() time.Time { return time.Now().Add(step) }
			for _, lost := range []bool{false, true} {
				if lost {
					os.Remove(filepath.Join(s.root, indexName))
				}
				f := open(t, s, Inbox)
				f.Sync()
				f.Changed()
				if f.HighestModSeq() < modseq {
					t.Errorf("%v, step %d, index lost %v: HIGHESTMODSEQ %d after %d", steps, i, lost, f.HighestModSeq(), modseq)
				}
				if validity != 0 && f.UIDValidity != validity {
					t.Errorf("%v, step %d: UIDVALIDITY %d after %d", steps, i, f.UIDValidity, validity)
				}
				validity = f.UIDValidity
				if f.Len() != subjects {
					t.Errorf("%v, step %d: %d messages of %d", steps, i, f.Len(), subjects)
				}
				uid := deliver(t, f, "Subject: x\n\nx\n", 0)
				if uid <= lastUID {
					t.Errorf("%v, step %d: UID %d after %d", steps, i, uid, lastUID)
				}
				lastUID = uid
				subjects++
				f.Sync()
				if err := f.SetFlags([]int{f.Len() - 1}, func(Flags) Flags { return Flagged }); err != nil {
					t.Error(err)
				}
				for n := range f.Len() {
					if f.Message(n).Flags&Flagged == 0 {
						t.Errorf("%v, step %d: message %d has lost its flag", steps, i, n)
					}
				}
				f.Changed()
				modseq = f.HighestModSeq()
				f.Close()
			}
			if err := s.Create("Other"); err != nil {
				t.Fatal(err)
			}
			other := open(t, s, "Other")
			if other.UIDValidity <= made {
				t.Errorf("%v, step %d: a new folder's UIDVALIDITY %d after %d", steps, i, other.UIDValidity, made)
			}
			made = other.UIDValidity
			other.Close()
			if err := s.Delete("Other"); err != nil {
				t.Fatal(err)
			}
		}
	}
}
