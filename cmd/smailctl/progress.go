package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A progress shows on a terminal how far long work has come, its rate and the
// time that is left. Elsewhere it is silent.
type progress struct {
	w       io.Writer // nil: no terminal
	unit    string
	total   int
	done    int
	started time.Time
	shown   time.Time
}

func newProgress(unit string, total int) *progress {
	p := &progress{unit: unit, total: total, started: time.Now()}
	if _, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS); err == nil {
		p.w = os.Stderr
	}
	return p
}

// add notes that n more are done.
func (p *progress) add(n int) {
	p.done += n
	if p.w == nil || time.Since(p.shown) < 200*time.Millisecond {
		return
	}
	p.shown = time.Now()
	fmt.Fprintf(p.w, "\r\033[K%s", p.line(time.Since(p.started)))
}

// line is what is shown after a time.
func (p *progress) line(spent time.Duration) string {
	rate := float64(p.done) / max(spent.Seconds(), 1e-3)
	text := fmt.Sprintf("%d of %d %s, %.0f a second", p.done, p.total, p.unit, rate)
	if p.done > 0 && p.done <= p.total {
		left := time.Duration(float64(p.total-p.done) / rate * float64(time.Second))
		text += fmt.Sprintf(", %s left", left.Round(time.Second))
	}
	return text
}

// clear removes the line, so that other output can come.
func (p *progress) clear() {
	if p.w != nil && !p.shown.IsZero() {
		fmt.Fprint(p.w, "\r\033[K")
		p.shown = time.Time{}
	}
}
