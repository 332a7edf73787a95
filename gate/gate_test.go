package gate

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestNetwork(t *testing.T) {
	for in, want := range map[string]string{"192.0.2.7": "192.0.2.7/32", "::ffff:192.0.2.7": "192.0.2.7/32",
		"2001:db8:1:2:3::4": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64"} {
		if got := Network(addr(in)); got.String() != want {
			t.Errorf("%s: %s", in, got)
		}
	}
	Network(netip.Addr{}) // must not panic
}

func newStartups(limit Limit) *Startups {
	return &Startups{Limit: limit, Exempt: func(netip.Addr) bool { return false }}
}

// arrive makes n connections and returns how many were let in; one that had to
// make room is taken out.
func (s *Startups) arrive(n int, from func(i int) netip.Addr, pid *int) (admitted int) {
	for i := range n {
		ok, end := s.Admit(from(i))
		if end != 0 {
			s.Ended(end, false)
		}
		if ok {
			*pid++
			s.Began(*pid, from(i))
			admitted++
		}
	}
	return admitted
}

// TestFloodFromOneNetwork: it has its share and no more, and others come in.
func TestFloodFromOneNetwork(t *testing.T) {
	s, pid := newStartups(Limit{10, 30, 40, 8}), 0
	for _, one := range []string{"192.0.2.1", "2001:db8::%d"} {
		if n := s.arrive(1000, func(i int) netip.Addr {
			if one[0] == '2' {
				return addr(fmt.Sprintf("2001:db8::%x", i%0xffff)) // all of one /64
			}
			return addr("192.0.2.1")
		}, &pid); n > 8 {
			t.Errorf("%d connections of one network", n)
		}
	}
	if ok, end := s.Admit(addr("198.51.100.1")); !ok || end != 0 {
		t.Errorf("another network's first: %v, %d", ok, end)
	}
}

// TestFloodFromManyNetworks: it is held to the limit, a part of it is refused by
// chance before, and a newcomer takes the place of who has most.
func TestFloodFromManyNetworks(t *testing.T) {
	s, pid := newStartups(Limit{10, 30, 40, 30}), 0
	attackers := func(i int) netip.Addr { return addr(fmt.Sprintf("203.0.113.%d", i%8)) }
	s.arrive(10, attackers, &pid)
	if n := s.arrive(20, attackers, &pid); n == 20 || n == 0 {
		t.Errorf("%d of 20 beyond Begin", n)
	}
	s.arrive(2000, attackers, &pid)
	if s.Len() > 40 {
		t.Errorf("%d connections", s.Len())
	}
	good := addr("198.51.100.1")
	ok, end := s.Admit(good)
	if !ok {
		t.Fatal("a newcomer is refused")
	}
	if s.Len() == 40 && (end == 0 || Network(attackers(0)).Contains(good)) {
		t.Errorf("whose place does it take? %d", end)
	}
	if end != 0 {
		s.Ended(end, false)
	}
	pid++
	s.Began(pid, good)
	mine := pid
	s.arrive(2000, attackers, &pid)
	if !s.Ended(mine, true) {
		t.Error("the flood took the newcomer's place")
	}
}

// TestPenaltyForNoLogin: who connects and never logs in gets no connection in the
// end, and a login clears it.
func TestPenaltyForNoLogin(t *testing.T) {
	s, pid := newStartups(Limit{100, 30, 200, 30}), 0
	one := addr("192.0.2.1")
	for range 100 {
		if s.arrive(1, func(int) netip.Addr { return one }, &pid) == 0 {
			break
		}
		s.Ended(pid, false)
	}
	if pid < 10 || pid > 20 {
		t.Errorf("refused after %d connections", pid)
	}
	if ok, _ := s.Admit(addr("192.0.2.2")); !ok {
		t.Error("a neighbour is refused")
	}
	s.Began(1000, one)
	s.Ended(1000, true)
	if ok, _ := s.Admit(one); !ok {
		t.Error("refused after a login")
	}
	s.Exempt = func(netip.Addr) bool { return true }
	for range 100 {
		s.Began(2000, one)
		s.Ended(2000, false)
	}
	if ok, _ := s.Admit(one); !ok {
		t.Error("an exempt network is refused")
	}
}

// TestSourcesAreBounded whatever comes.
func TestSourcesAreBounded(t *testing.T) {
	s := newStartups(Limit{100, 30, 200, 30})
	for i := range 3 * maxSources {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		s.Admit(a)
		s.Began(i, a)
		s.Ended(i, false)
	}
	if len(s.networks) > maxSources {
		t.Errorf("%d sources", len(s.networks))
	}
}

// TestSlots: so many at once, and each network's turn comes whatever another has
// in its line.
func TestSlots(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slots")
	p, err := OpenPenalties(filepath.Join(t.TempDir(), "penalties"))
	if err != nil {
		t.Fatal(err)
	}
	flood, other := p.Line(addr("192.0.2.1")), p.Line(addr("198.51.100.1"))
	p.Close()
	var inside, most, floods atomic.Int64
	stop := make(chan bool)
	var wg sync.WaitGroup
	work := func(line int64) {
		slot, err := Enter(path, 2, line, func() bool { return true })
		if err != nil {
			t.Error(err)
			return
		}
		most.Store(max(most.Load(), inside.Add(1)))
		time.Sleep(5 * time.Millisecond)
		inside.Add(-1)
		slot.Leave()
	}
	for range 100 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					work(flood)
					floods.Add(1)
				}
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	before := floods.Load()
	for range 10 {
		work(other)
	}
	if n := floods.Load() - before; n > 100 {
		t.Errorf("the flood had %d turns while another had 10", n)
	}
	close(stop)
	wg.Wait()
	if n := most.Load(); n > 2 {
		t.Errorf("%d at once", n)
	}
	slot, err := Enter(path, 2, 1, func() bool { return false })
	if slot != nil || err != nil {
		t.Errorf("a place that nobody wants: %v, %v", slot, err)
	}
}

// TestSlotDone: a place that is given back is another's, but not another's of the line.
func TestSlotDone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slots")
	yes := func() bool { return true }
	first, err := Enter(path, 1, 1, yes)
	if err != nil {
		t.Fatal(err)
	}
	first.Done()
	second, err := Enter(path, 1, 2, yes)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Leave()
	behind := make(chan *Slot)
	go func() {
		slot, _ := Enter(path, 2, 1, yes)
		behind <- slot
	}()
	select {
	case <-behind:
		t.Error("one behind in the line had a place")
	case <-time.After(50 * time.Millisecond):
		first.Leave()
		(<-behind).Leave()
	}
}

// TestLinesAreSecret: two files put networks into different lines.
func TestLinesAreSecret(t *testing.T) {
	var numbers [2]string
	for i := range numbers {
		p, err := OpenPenalties(filepath.Join(t.TempDir(), "penalties"))
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		for n := range 8 {
			numbers[i] += fmt.Sprint(p.Line(addr(fmt.Sprintf("192.0.2.%d", n))), " ")
		}
	}
	if numbers[0] == numbers[1] {
		t.Error(numbers)
	}
}

// open opens the penalties as they are so much later.
func open(t *testing.T, path string, later time.Duration) *Penalties {
	t.Helper()
	p, err := OpenPenalties(path)
	if err != nil {
		t.Fatal(err)
	}
	p.now += uint32(later / time.Second)
	t.Cleanup(func() { p.Close() })
	return p
}

func (p *Penalties) fail(t *testing.T, a, name, password string) {
	t.Helper()
	if err := p.Failed(addr(a), name, []byte(password)); err != nil {
		t.Fatal(err)
	}
}

func (p *Penalties) waits(t *testing.T, a, name string) (network, ofName time.Duration) {
	t.Helper()
	network, ofName, err := p.Wait(addr(a), name)
	if err != nil {
		t.Fatal(err)
	}
	return network, ofName
}

// TestPenalties: they double with each other password, up to a bound, and pass.
func TestPenalties(t *testing.T) {
	path := filepath.Join(t.TempDir(), "penalties")
	p := open(t, path, 0)
	if n, m := p.waits(t, "192.0.2.1", "alice"); n != 0 || m != 0 {
		t.Errorf("at first %v, %v", n, m)
	}
	var got []time.Duration
	for i := range 12 {
		p.fail(t, "192.0.2.1", "alice", fmt.Sprint("guess", i))
		n, m := p.waits(t, "192.0.2.1", "alice")
		if m > maxName {
			t.Errorf("alice waits %v", m)
		}
		got = append(got, n/time.Second)
	}
	if fmt.Sprint(got) != fmt.Sprint([]time.Duration{0, 1, 2, 4, 8, 15, 15, 15, 15, 15, 15, 15}) {
		t.Errorf("waits of %v seconds", got)
	}
	if n, m := p.waits(t, "192.0.2.2", "bob"); n != 0 || m != 0 {
		t.Errorf("bob elsewhere waits %v, %v", n, m)
	}
	if n, _ := p.waits(t, "::ffff:192.0.2.1", "bob"); n != maxSource {
		t.Errorf("the same network waits %v", n)
	}
	p.Close()
	if n, _ := open(t, path, 3*decay).waits(t, "192.0.2.1", "alice"); n != 8*time.Second {
		t.Errorf("after three minutes %v", n)
	}
}

// TestSite: many networks of one customer are slowed, and bounded, together; those of
// others are not.
func TestSite(t *testing.T) {
	p := open(t, filepath.Join(t.TempDir(), "penalties"), 0)
	for i := range 12 {
		p.fail(t, fmt.Sprintf("2001:db8:1:%x::1", i), "alice", fmt.Sprint("guess", i))
	}
	if n, _ := p.waits(t, "2001:db8:1:ffff::1", "bob"); n != maxSource {
		t.Errorf("another network of the site waits %v", n)
	}
	if n, _ := p.waits(t, "2001:db8:2::1", "bob"); n != 0 {
		t.Errorf("another site waits %v", n)
	}
	for i := range 12 {
		p.fail(t, fmt.Sprintf("192.0.2.%d", i), "alice", fmt.Sprint("guess", i))
	}
	if n, _ := p.waits(t, "192.0.2.200", "bob"); n != 0 {
		t.Errorf("an IPv4 neighbour waits %v", n)
	}
	s, pid := newStartups(Limit{1000, 30, 2000, 8}), 0
	if n := s.arrive(500, func(i int) netip.Addr { return addr(fmt.Sprintf("2001:db8:1:%x::1", i)) }, &pid); n != sitesNetworks*8 {
		t.Errorf("%d connections of one site", n)
	}
	if n := s.arrive(100, func(i int) netip.Addr { return addr(fmt.Sprintf("2001:db8:%x::1", i+2)) }, &pid); n != 100 {
		t.Errorf("%d of 100 sites", n)
	}
	for id := range pid {
		s.Ended(id+1, true)
	}
	if len(s.sites) != 0 {
		t.Errorf("left: %v", s.sites)
	}
}

func TestPenaltiesPass(t *testing.T) {
	path := filepath.Join(t.TempDir(), "penalties")
	p := open(t, path, 0)
	for i := range 12 {
		p.fail(t, "192.0.2.1", "alice", fmt.Sprint("guess", i))
	}
	p.Close()
	if n, m := open(t, path, maxLevel*decay+time.Second).waits(t, "192.0.2.1", "alice"); n != 0 || m != 0 {
		t.Errorf("in the end %v, %v", n, m)
	}
}

// TestSamePasswordAgain costs nothing more: a phone that tries for hours, and two
// of them.
func TestSamePasswordAgain(t *testing.T) {
	p := open(t, filepath.Join(t.TempDir(), "penalties"), 0)
	for range 1000 {
		p.fail(t, "192.0.2.1", "alice", "old")
		p.fail(t, "192.0.2.1", "alice", "older")
	}
	if n, m := p.waits(t, "192.0.2.1", "alice"); n > time.Second || m > time.Second {
		t.Errorf("waits %v, %v", n, m)
	}
}

// TestPenaltiesAreBounded, and one that counts is not pushed out by many that do not.
func TestPenaltiesAreBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "penalties")
	p := open(t, path, 0)
	for i := range 10 {
		p.fail(t, "192.0.2.1", "x", fmt.Sprint(i))
	}
	for i := range 20000 {
		p.add(p.ofName(fmt.Sprint("name", i)), 1)
	}
	if n, _ := p.waits(t, "192.0.2.1", "y"); n != maxSource {
		t.Errorf("pushed out: %v", n)
	}
	if info, _ := os.Stat(path); info.Size() > 1<<20 || info.Mode().Perm() != 0o600 {
		t.Errorf("%d bytes, %v", info.Size(), info.Mode())
	}
}

// TestForeignPenalties: what is no such file is begun anew; a link is not followed.
func TestForeignPenalties(t *testing.T) {
	for _, text := range []string{"", "x", penaltyMagic, string(make([]byte, 1<<20))} {
		path := filepath.Join(t.TempDir(), "penalties")
		os.WriteFile(path, []byte(text), 0o600)
		p := open(t, path, 0)
		p.fail(t, "192.0.2.1", "alice", "a")
		p.fail(t, "192.0.2.1", "alice", "b")
		if n, _ := p.waits(t, "192.0.2.1", "alice"); n != time.Second {
			t.Errorf("%.8q: waits %v", text, n)
		}
	}
	dir := t.TempDir()
	os.Symlink("/etc/hostname", dir+"/penalties")
	if _, err := OpenPenalties(dir + "/penalties"); err == nil {
		t.Error("a link was opened")
	}
}
