package listen

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"smail/gate"
)

// A waiting is a connection that no process serves yet.
type waiting struct {
	conn  int
	addr  netip.Addr
	since time.Time
}

const (
	maxWaiting = 1024    // connections that wait at once, where there are descriptors
	maxTurns   = 1 << 16 // networks whose turns are remembered
)

// A queue has the connections that wait until a process can be started for them: to
// start one takes a thousand times as long as to accept a connection, and a flood must
// not have the machine do nothing else. Networks come in turn: those from which
// somebody has logged in first, but every other time only, then those that have had
// none, then those whose last was longest ago.
type queue struct {
	most  int       // that wait at once
	fair  bool      // the next turn is the same for all
	all   []waiting // as they came
	turns map[netip.Prefix]turn
}

// A turn is when a network's connection was last served, and whether somebody has
// logged in from there.
type turn struct {
	at       time.Time
	loggedIn bool
}

// before says whether a network with this turn comes before one with another.
func (t turn) before(u turn) bool {
	if t.loggedIn != u.loggedIn {
		return t.loggedIn
	}
	return t.at.Before(u.at)
}

func (q *queue) len() int { return len(q.all) }

// push lets a connection wait, and returns the one that must go for it, perhaps
// itself: of the network that has most.
func (q *queue) push(w waiting) (gone waiting, full bool) {
	q.all = append(q.all, w)
	if len(q.all) <= q.most {
		return waiting{}, false
	}
	counts, most := map[netip.Prefix]int{}, 0
	for _, w := range q.all {
		if network := gate.Network(w.addr); !q.turns[network].loggedIn {
			counts[network]++
			most = max(most, counts[network])
		}
	}
	var candidates []int
	for i, w := range q.all {
		if counts[gate.Network(w.addr)] == most {
			candidates = append(candidates, i)
		}
	}
	return q.take(candidates[rand.IntN(len(candidates))]), true
}

// pop takes out the one whose turn it is; there must be one.
func (q *queue) pop() waiting {
	best, first := 0, q.turns[gate.Network(q.all[0].addr)]
	for i, w := range q.all {
		t := q.turns[gate.Network(w.addr)]
		if q.fair && t.at.Before(first.at) || !q.fair && t.before(first) {
			best, first = i, t
		}
	}
	q.fair = !q.fair
	w := q.take(best)
	q.had(gate.Network(w.addr), turn{time.Now(), first.loggedIn})
	return w
}

// loggedIn notes that somebody has logged in from a network.
func (q *queue) loggedIn(network netip.Prefix) { q.had(network, turn{time.Now(), true}) }

func (q *queue) had(network netip.Prefix, t turn) {
	if q.turns == nil || len(q.turns) >= maxTurns {
		q.turns = map[netip.Prefix]turn{}
	}
	q.turns[network] = t
}

// expired takes out one that has waited for so long, if there is any.
func (q *queue) expired(after time.Duration) (w waiting, any bool) {
	if len(q.all) == 0 || time.Since(q.all[0].since) < after {
		return waiting{}, false
	}
	return q.take(0), true
}

func (q *queue) take(i int) waiting {
	w := q.all[i]
	q.all = append(q.all[:i], q.all[i+1:]...)
	return w
}
