package sessionfile

import (
	"net/netip"
	"path/filepath"
	"testing"
	"time"
)

// TestVisit: a session by a recent login is there, and vouches for nobody; it leaves
// what a login of the same service says.
func TestVisit(t *testing.T) {
	path, rule := filepath.Join(t.TempDir(), "sessions"), Rule{Window: time.Hour}
	addr := netip.MustParseAddr("192.0.2.7")
	add := func(r Record) {
		t.Helper()
		if err := Add(path, r, rule.Window, 50); err != nil {
			t.Fatal(err)
		}
	}
	sends := func() bool {
		recs, err := At(path, addr)
		if err != nil {
			t.Fatal(err)
		}
		_, ok := rule.Sender(recs, addr)
		return ok
	}
	add(NewVisit(1000, "alice", addr, "submissions"))
	recs, _ := Read(path)
	if len(recs) != 1 || !recs[0].Void || len(recs[0].Sessions()) != 1 || sends() {
		t.Errorf("alone: %+v", recs)
	}
	login := New(1000, "alice", addr, "submissions")
	add(login)
	add(NewVisit(1000, "alice", addr, "submissions"))
	recs, _ = Read(path)
	if len(recs) != 2 || len(recs[0].Sessions()) != 2 || recs[1].Void || len(recs[1].Sessions()) != 1 || recs[1].Logins != 1 || !sends() {
		t.Errorf("with a login: %+v", recs)
	}
	add(New(1000, "alice", addr, "imaps"))
	first, ok, err := Grant(path, addr, rule)
	if err != nil || !ok || first.First != login.First {
		t.Errorf("granted since %v, not %v", first.First, login.First)
	}
	if _, err := Void(path, addr); err != nil || sends() {
		t.Errorf("void: %v", err)
	}
	add(New(1000, "alice", addr, "imaps"))
	if r, ok, err := Grant(path, addr, rule); err != nil || !ok || r.First != login.First {
		t.Errorf("after another login since %v, not %v; %v", r.First, login.First, err)
	}
}

// TestVisitDoesNotVouch: a session by a recent login, still open, lets nobody in
// once the login itself is too old.
func TestVisitDoesNotVouch(t *testing.T) {
	path, rule := filepath.Join(t.TempDir(), "sessions"), Rule{Window: 300 * time.Millisecond}
	addr := netip.MustParseAddr("192.0.2.7")
	login := New(1000, "alice", addr, "submissions")
	login.Live = []Process{{1 << 22, 1}} // has ended
	visit := NewVisit(1000, "alice", addr, "submissions")
	for _, r := range []Record{login, visit} {
		if err := Add(path, r, rule.Window, 50); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok, err := Grant(path, addr, rule); err != nil || !ok {
		t.Fatalf("not granted within the window: %v", err)
	}
	time.Sleep(rule.Window)
	if r, ok, _ := Grant(path, addr, rule); ok {
		t.Errorf("granted by a visit: %+v", r)
	}
}

// TestVisitsLockNobodyOut: who has no password takes no place of one who has.
func TestVisitsLockNobodyOut(t *testing.T) {
	path, addr := filepath.Join(t.TempDir(), "sessions"), netip.MustParseAddr("192.0.2.7")
	add := func(r Record) error { return Add(path, r, time.Hour, 12) }
	for n := 0; ; n++ {
		err := add(NewVisit(1000, "alice", addr, "submissions"))
		if n == maxVisits {
			if err != ErrTooMany {
				t.Fatalf("visit %d: %v", n, err)
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for n := range 12 {
		if err := add(New(1000, "alice", addr, "imaps")); err != nil {
			t.Fatalf("login %d: %v", n, err)
		}
	}
	if err := add(New(1000, "alice", addr, "imaps")); err != ErrTooMany {
		t.Fatalf("login too many: %v", err)
	}
}

// TestForgetOneOfTwo: an address that two users have closed is not opened by
// forgetting one of them.
func TestForgetOneOfTwo(t *testing.T) {
	path, rule := filepath.Join(t.TempDir(), "sessions"), Rule{Window: time.Hour}
	addr, other := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("192.0.2.8")
	for _, r := range []Record{New(1000, "alice", addr, "imaps"), New(1001, "bob", addr, "imaps"), New(1000, "alice", other, "imaps")} {
		if err := Add(path, r, rule.Window, 50); err != nil {
			t.Fatal(err)
		}
	}
	n, err := Forget(path, func(r Record) bool { return r.User == "bob" })
	if n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if _, ok, _ := Grant(path, addr, rule); ok {
		t.Error("alice may send where bob was")
	}
	if _, ok, _ := Grant(path, other, rule); !ok {
		t.Error("alice may not send from elsewhere")
	}
}

// TestFirst: a user who is never away for the window has one first login,
// whichever services he uses.
func TestFirst(t *testing.T) {
	path, rule := filepath.Join(t.TempDir(), "sessions"), Rule{Window: 400 * time.Millisecond}
	addr := netip.MustParseAddr("192.0.2.7")
	var first time.Duration
	for i := range 8 {
		r := New(1000, "alice", addr, []string{"imaps", "pop3s"}[i/4])
		r.Live = []Process{{1 << 22, 1}}
		if err := Add(path, r, rule.Window, 50); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = r.First
		}
		if got, ok, err := Grant(path, addr, rule); err != nil || !ok || got.First != first {
			t.Fatalf("login %d: granted %v since %v, not %v; %v", i, ok, got.First, first, err)
		}
		time.Sleep(rule.Window / 4)
	}
	time.Sleep(2 * rule.Window)
	if err := Add(path, New(1000, "alice", addr, "imaps"), rule.Window, 50); err != nil {
		t.Fatal(err)
	}
	if got, _, _ := Grant(path, addr, rule); got.First == first {
		t.Error("a user who was away has not begun anew")
	}
}

// TestGrantKeepsSessions: of several records of one user the one that vouches is counted
// in, and none loses its sessions.
func TestGrantKeepsSessions(t *testing.T) {
	path, rule := filepath.Join(t.TempDir(), "sessions"), Rule{Window: time.Hour}
	addr := netip.MustParseAddr("192.0.2.7")
	for range 2*maxLive - 1 {
		if err := Add(path, New(1000, "alice", addr, "imaps"), rule.Window, 50); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 3 {
		if _, ok, err := Grant(path, addr, rule); !ok || err != nil {
			t.Fatal(ok, err)
		}
		live, relays := 0, 0
		recs, _ := Read(path)
		for _, r := range recs {
			live, relays = live+len(r.Live), relays+r.Relays
		}
		if len(recs) != 2 || live != 2*maxLive-1 || relays != n+1 {
			t.Errorf("grant %d: %d records, %d sessions, %d relays", n, len(recs), live, relays)
		}
	}
}
