package main

import (
	"testing"
	"time"
)

// TestProgress tells how far, how fast, and how long still.
func TestProgress(t *testing.T) {
	p := newProgress("messages", 3000)
	if got := p.line(0); got != "0 of 3000 messages, 0 a second" {
		t.Errorf("at the beginning: %q", got)
	}
	p.add(1000)
	if got := p.line(10 * time.Second); got != "1000 of 3000 messages, 100 a second, 20s left" {
		t.Errorf("in between: %q", got)
	}
	p.add(2500) // some came meanwhile
	if got := p.line(35 * time.Second); got != "3500 of 3000 messages, 100 a second" {
		t.Errorf("beyond the end: %q", got)
	}
}
