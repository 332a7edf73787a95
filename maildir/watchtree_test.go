package maildir

import (
	"fmt"
	"testing"
)

// TestTreeWatchWithoutInotify: where nothing tells of changes, every folder may
// have changed.
func TestTreeWatchWithoutInotify(t *testing.T) {
	w := &TreeWatch{store: newStore(t), fd: -1, watched: map[string]bool{}}
	w.Add([]string{Inbox, "Work"})
	folders, names := w.Heard()
	want(t, "heard", fmt.Sprint(folders, names), "[INBOX Work] true")
}
