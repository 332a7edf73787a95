package test

import (
	"fmt"
	"strings"
	"syscall"
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
	late := time.AfterFunc(20*time.Second, func() { c.cmd.Process.Kill() })
	defer late.Stop()
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

// TestSIGTERM: a session finishes the command in hand, says BYE with a reason,
// and ends.
func TestSIGTERM(t *testing.T) {
	needRoot(t)
	h := newHost(t)
	h.deliver(h.alice, "Subject: x\n\nx\n")
	for what, say := range map[string]string{
		"waiting":      "",
		"in IDLE":      "a IDLE\r\n",
		"in a literal": "a APPEND INBOX {5+}\r\nab",
	} {
		t.Run(what, func(t *testing.T) {
			c := h.newViewer(what, false)
			fmt.Fprint(c.w, say)
			if what == "in IDLE" {
				c.until("+")
			}
			time.Sleep(100 * time.Millisecond)
			if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if what == "in a literal" {
				time.Sleep(100 * time.Millisecond)
				fmt.Fprint(c.w, "cde\r\n")
				c.until("a OK [APPENDUID")
			}
			c.until("* BYE The server is going down")
			if err := c.cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}
