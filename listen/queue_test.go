package listen

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"smail/gate"
)

func from(format string, args ...any) waiting {
	return waiting{conn: -1, addr: netip.MustParseAddr(fmt.Sprintf(format, args...)), since: time.Now()}
}

// TestTurns: who has logged in of late comes first every other time, else who has had
// no turn, then who has waited longest for one; within a network as they came.
func TestTurns(t *testing.T) {
	q := queue{most: maxWaiting}
	q.push(from("192.0.2.9"))
	q.pop()
	time.Sleep(time.Millisecond)
	q.push(from("192.0.2.8"))
	q.pop()
	q.loggedIn(gate.Network(netip.MustParseAddr("192.0.2.1")))
	for i, addr := range []string{"192.0.2.8", "192.0.2.9", "192.0.2.3", "192.0.2.9", "192.0.2.1", "2001:db8::1", "192.0.2.1"} {
		w := from("%s", addr)
		w.conn = i
		q.push(w)
	}
	got := ""
	for q.len() > 0 {
		w := q.pop()
		got += fmt.Sprintf("%d:%s ", w.conn, w.addr)
		time.Sleep(time.Millisecond)
	}
	if want := "4:192.0.2.1 2:192.0.2.3 6:192.0.2.1 5:2001:db8::1 1:192.0.2.9 0:192.0.2.8 3:192.0.2.9 "; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestQueueIsBounded: a network that fills it loses its own connections.
func TestQueueIsBounded(t *testing.T) {
	q := queue{most: maxWaiting}
	for i := range 100 {
		q.push(from("198.51.100.%d", i))
	}
	for range 3 * maxWaiting {
		if gone, full := q.push(from("192.0.2.66")); full && gone.addr != netip.MustParseAddr("192.0.2.66") {
			t.Fatalf("%s must go", gone.addr)
		}
	}
	if q.len() != maxWaiting {
		t.Errorf("%d wait", q.len())
	}
	if gone, full := q.push(from("203.0.113.5")); !full || gone.addr != netip.MustParseAddr("192.0.2.66") {
		t.Errorf("for another %s goes", gone.addr)
	}
	first := q.all[0]
	if _, any := q.expired(time.Hour); any {
		t.Error("expired at once")
	}
	if w, any := q.expired(0); !any || w != first {
		t.Errorf("expired: %v, %v", w, any)
	}
	q.turns = nil
	for i := range maxTurns + 10 {
		q.loggedIn(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32))
	}
	if len(q.turns) > maxTurns {
		t.Errorf("%d turns are remembered", len(q.turns))
	}
}
