package imapd

import (
	"sync/atomic"
	"time"
)

// progressInterval is how long a command may take before the client hears of
// it, and then how often: RFC 9585 section 3.
const progressInterval = 10 * time.Second

// A work is a command that may take long. While it goes on nobody else writes
// to the client.
type work struct {
	s     *session
	done  atomic.Int64
	total int // 0: not known
	lost  atomic.Bool
	end   chan struct{}
	ended chan struct{}
}

// begin tells the client now and then that a command is in hand, until finish:
// RFC 9585.
func (s *session) begin(total int) *work {
	w := &work{s: s, total: total, end: make(chan struct{}), ended: make(chan struct{})}
	interval := progressInterval
	if s.Progress > 0 {
		interval = s.Progress
	}
	go func() {
		defer close(w.ended)
		t := time.NewTicker(interval)
		defer t.Stop()
		for {
			select {
			case <-w.end:
				return
			case <-t.C:
				w.tell()
			}
		}
	}()
	return w
}

func (w *work) tell() {
	e := w.s.w
	e.Raw("* OK [INPROGRESS (").Quoted(w.s.tag)
	if w.total > 0 {
		e.Raw(" ").Num64(w.done.Load()).Raw(" ").Num64(int64(w.total))
	} else {
		e.Raw(" NIL NIL")
	}
	e.Raw(")] Still at work").CRLF()
	if w.s.flush() != nil {
		w.lost.Store(true)
	}
}

// step counts what was done; its error says that the client has left.
func (w *work) step() error {
	w.done.Add(1)
	if w.lost.Load() {
		return w.s.w.Err()
	}
	return nil
}

// finish ends the telling.
func (w *work) finish() {
	close(w.end)
	<-w.ended
}
