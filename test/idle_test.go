package test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestIdleHearsAll: whatever one session changes, one in IDLE hears of it at
// once, of the last state in the end, and of nothing that is over.
func TestIdleHearsAll(t *testing.T) {
	needRoot(t)
	h := newHost(t)
	const messages = 40
	for i := range messages {
		h.deliver(h.alice, fmt.Sprintf("Subject: %d\n\nx\n", i))
	}
	idler, other := h.newViewer("the one in IDLE", true), h.newViewer("the other", true)
	heard := make(chan string, 1000)
	fmt.Fprint(idler.w, "x IDLE\r\n")
	go func() {
		for {
			line, err := idler.r.ReadString('\n')
			if err != nil {
				close(heard)
				return
			}
			heard <- strings.TrimSpace(line)
		}
	}()
	wait := func(text string) (before []string) {
		t.Helper()
		late := time.After(5 * time.Second)
		for {
			select {
			case line := <-heard:
				if strings.Contains(line, text) {
					return before
				}
				before = append(before, line)
			case <-late:
				t.Fatalf("%q was not heard; before: %q", text, before)
			}
		}
	}
	wait("+")
	for i := range messages {
		fmt.Fprintf(other.w, "a STORE 1 +FLAGS (\\Flagged)\r\nb STORE 1 +FLAGS (\\Answered)\r\nc STORE 1 +FLAGS (\\Deleted)\r\n")
		other.until("c OK")
		wait(`\Answered \Flagged \Deleted`)
		fmt.Fprintf(other.w, "d EXPUNGE\r\n")
		other.until("d OK")
		wait(fmt.Sprintf("VANISHED %d", i+1))
	}
	time.Sleep(50 * time.Millisecond)
	for len(heard) > 0 {
		if line := <-heard; strings.Contains(line, "FETCH") || strings.Contains(line, "VANISHED") {
			t.Errorf("at the end: %s", line)
		}
	}
	fmt.Fprint(idler.w, "DONE\r\n")
}

// until reads lines to the first that begins so.
func (c *viewer) until(prefix string) {
	c.t.Helper()
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("%s: %v, want %s", c.name, err, prefix)
		}
		if strings.HasPrefix(line, prefix) {
			return
		}
	}
}
