package sessionfile

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"
)

// ErrTooMany says that the user has as many sessions as are allowed.
var ErrTooMany = errors.New("too many sessions of this user")

// sweepStep is how many records a login looks at that are not its own, so that
// stale ones go without any being slow.
const sweepStep = 32

// maxVisits bounds a user's sessions by recent logins, apart from the others: who
// has no password must not keep out who has.
const maxVisits = 10

// Add enters a login, or a visit. maxPerUser bounds the user's live sessions; records
// without any and with no login within window are stale. Where the file is full
// the oldest without a session gives way.
func Add(path string, r Record, window time.Duration, maxPerUser int) error {
	if !plain(r.User, maxName) || !plain(r.Service, maxService) {
		return fmt.Errorf("name %q cannot stand in the session file", r.User)
	}
	t, unlock, err := open(path)
	if err != nil {
		return err
	}
	defer unlock()
	place := -1 // that can be used
	mine, records := uidField(r.UID), []int(nil)
	for i := range t.len() {
		if t.empty(i) {
			if place < 0 {
				place = i
			}
		} else if bytes.HasPrefix(t.line(i), mine) {
			records = append(records, i)
		}
	}
	most := maxPerUser
	if r.Visit {
		most = min(most, maxVisits)
	}
	records = slices.DeleteFunc(records, func(i int) bool {
		old, ok := t.record(i)
		return !ok || old.Visit != r.Visit
	})
	if t.live(records, most) >= most {
		return ErrTooMany
	}
	at, old := t.roomFor(r, records)
	if at >= 0 {
		r = old.joined(r, window)
	} else if at, err = t.place(place); err != nil {
		return err
	}
	r.First = t.first(r, records, window)
	if err := t.put(at, r.line()); err != nil {
		return err
	}
	return t.sweep(at, window)
}

// joined returns the record with another login in it, or another visit. One that
// counted no longer begins anew.
func (r Record) joined(next Record, window time.Duration) Record {
	if len(r.Live) > 0 || r.within(window) {
		next.Logins, next.Relays = r.Logins+1, r.Relays
	}
	next.Live = append(r.Live, next.Live...)
	return next
}

// first returns when the user came to the address of a record, at which he has been
// since by one service or another: what is counted from then on does not begin anew
// with each of them, nor after a stranger's wrong password.
func (t *table) first(r Record, records []int, window time.Duration) time.Duration {
	first := r.First
	for _, i := range records {
		old, ok := t.record(i)
		if ok && old.User == r.User && old.Addr == r.Addr && (old.within(window) || len(old.Sessions()) > 0) {
			first = min(first, old.First)
		}
	}
	return first
}

// live counts the sessions of records, which may be too many by some of which
// others have the pids now, but not when most is reached: to ask whether a pid
// is taken is quick, by whom is not.
func (t *table) live(records []int, most int) int {
	count := func(runs func(Process) bool) (n int) {
		for _, i := range records {
			r, _ := t.record(i)
			for _, p := range r.Live {
				if runs(p) {
					n++
				}
			}
		}
		return n
	}
	n := count(func(p Process) bool { return syscall.Kill(p.PID, 0) != syscall.ESRCH })
	if n >= most {
		n = count(Process.Runs)
	}
	return n
}

// roomFor finds the record that a login goes into: of the same user, address
// and service, with a place for one more session. Its dead ones are dropped.
func (t *table) roomFor(r Record, records []int) (at int, old Record) {
	for _, i := range records {
		old, ok := t.record(i)
		if !ok || old.User != r.User || old.Addr != r.Addr || old.Service != r.Service {
			continue
		}
		if old.Live = old.Sessions(); len(old.Live) < maxLive {
			return i, old
		}
	}
	return -1, r
}

// place returns where a new record goes: to an empty line, to the end, or, where
// the file is full, into the place of the one idle for longest.
func (t *table) place(empty int) (int, error) {
	if empty >= 0 {
		return empty, nil
	}
	if t.len() < maxRecords {
		return t.len(), nil
	}
	order := make([]int, 0, t.len())
	last := make([]time.Duration, t.len())
	for i := range t.len() {
		r, _ := t.record(i) // what cannot be read is the oldest
		order, last[i] = append(order, i), r.Last
	}
	slices.SortFunc(order, func(a, b int) int { return int(last[a] - last[b]) })
	for _, i := range order {
		if r, _ := t.record(i); len(r.Sessions()) == 0 {
			return i, nil
		}
	}
	return 0, errors.New("as many users are connected as the session file has places")
}

// sweep looks at the next records and drops what is stale, all but one.
func (t *table) sweep(but int, window time.Duration) error {
	n := t.len()
	if n == 0 {
		return nil
	}
	for range min(sweepStep, n) {
		t.hand = (t.hand + 1) % n
		if t.hand == but || t.empty(t.hand) {
			continue
		}
		r, ok := t.record(t.hand)
		var err error
		if sessions := r.Sessions(); !ok || len(sessions) == 0 && !r.within(window) {
			err = t.put(t.hand, blank)
		} else if len(sessions) < len(r.Live) {
			r.Live = sessions
			err = t.put(t.hand, r.line())
		}
		if err != nil {
			return err
		}
	}
	return t.put(-1, header(t.hand))
}
