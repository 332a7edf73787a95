package imapd

import (
	"errors"

	"smail/internal/cores"
	"smail/maildir"
)

// A verdict is what the query says of a message that was not opened.
type verdict uint8

const (
	miss verdict = iota
	hit
	unknown // without that
)

// atOnce bounds how many messages glance looks at, grain is how many of them one
// core takes after another.
const (
	atOnce = 8 << 10
	grain  = 256
)

// glance evaluates the query for the messages from first on, below behind, without
// opening them: on all cores, where it asks the folder for nothing that one at a
// time may.
func (q *query) glance(first, behind int) []verdict {
	verdicts := make([]verdict, behind-first)
	if q.stores || len(verdicts) < 2*grain || !q.box.Steady() {
		for i := range verdicts {
			verdicts[i] = q.try(first+i, &q.s.mem)
		}
		return verdicts
	}
	mem := q.s.coreMemory()
	cores.Each(len(verdicts), grain, func(worker, i int) { verdicts[i] = q.try(first+i, &mem[worker]) })
	return verdicts
}

// try says unknown also of a message that cannot be read: opening it says why.
func (q *query) try(place int, mem *memory) verdict {
	r := reading{s: q.s, box: q.box, place: place, m: q.box.Message(place), mem: mem, ahead: &closed}
	if r.m.Gone {
		return miss
	}
	found, err := q.eval(&r, q.key)
	switch {
	case errors.Is(err, maildir.ErrGone):
		return miss
	case err != nil:
		return unknown
	case found:
		return hit
	}
	return miss
}

// opened returns a reading of a message that must be opened; nil if it has gone.
func (q *query) opened(place int) (*reading, error) {
	r := q.s.read(q.box, place)
	r.mem = &memory{}
	if q.stores {
		if err := q.know(&r); errors.Is(err, maildir.ErrGone) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
	}
	return &r, nil
}
