package gate

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

// A Limit says how many connections there may be before their login, as in
// sshd's MaxStartups.
type Limit struct {
	Begin      int // so many in all: then some are refused
	Percent    int // of them, at Begin; 100 at Full
	Full       int
	PerNetwork int
}

// Startups are the connections of one listener that have not logged in. It is
// not for use by several goroutines.
type Startups struct {
	Limit    Limit
	Exempt   func(netip.Addr) bool // from what counts by network
	starting map[int]starting      // by the pid of the process that serves it
	networks map[netip.Prefix]*source
	sites    map[netip.Prefix]int // of IPv6, how many are starting
}

// sitesNetworks is how many networks' connections a site may have.
const sitesNetworks = 4

type starting struct {
	network, site netip.Prefix
	since         time.Time
}

// A source is a network that has connections without a login, or had.
type source struct {
	starting int
	penalty  time.Time // when it has none any more
}

// A connection that ends without a login costs its network so much time; with so
// much against it, it gets no connection until that has passed.
const (
	noLoginPenalty = 2 * time.Second
	penaltyLimit   = 30 * time.Second
	penaltyMost    = 2 * time.Minute
	maxSources     = 1 << 16
)

func (s *Startups) source(network netip.Prefix) *source {
	if s.networks == nil {
		s.starting, s.networks, s.sites = map[int]starting{}, map[netip.Prefix]*source{}, map[netip.Prefix]int{}
	}
	if s.networks[network] == nil {
		if len(s.networks) >= maxSources {
			s.forget()
		}
		s.networks[network] = &source{}
	}
	return s.networks[network]
}

// forget drops the sources that have nothing against them and, if that is few,
// some others.
func (s *Startups) forget() {
	now := time.Now()
	for network, src := range s.networks {
		if src.starting == 0 && (now.After(src.penalty) || len(s.networks) > maxSources/2) {
			delete(s.networks, network)
		}
	}
}

// Admit says whether a connection may start. Where it takes another's place, end
// is the pid of the one that must go, and 0 otherwise.
func (s *Startups) Admit(addr netip.Addr) (ok bool, end int) {
	src := s.source(Network(addr))
	exempt := s.Exempt(addr)
	if !exempt && (src.starting >= s.Limit.PerNetwork || time.Until(src.penalty) > penaltyLimit) {
		return false, 0
	}
	if site, ok := Site(addr); ok && !exempt && s.sites[site] >= sitesNetworks*s.Limit.PerNetwork {
		return false, 0
	}
	n := len(s.starting)
	switch {
	case n < s.Limit.Begin:
		return true, 0
	case n >= s.Limit.Full:
		end = s.oldest(src.starting + 1)
		return end != 0, end
	case src.starting == 0 || exempt: // its first is not left to chance
		return true, 0
	}
	refuse := s.Limit.Percent + (100-s.Limit.Percent)*(n-s.Limit.Begin)/(s.Limit.Full-s.Limit.Begin)
	return rand.IntN(100) >= refuse, 0
}

// oldest returns the connection that has waited longest, of the networks that have
// most of them, and at least so many.
func (s *Startups) oldest(most int) (pid int) {
	var since time.Time
	for id, c := range s.starting {
		n := s.networks[c.network].starting
		if n > most || n == most && (pid == 0 || c.since.Before(since)) {
			pid, since, most = id, c.since, n
		}
	}
	return pid
}

// Began enters a connection that was admitted.
func (s *Startups) Began(pid int, addr netip.Addr) {
	network := Network(addr)
	s.source(network).starting++
	site, ok := Site(addr)
	if ok {
		s.sites[site]++
	}
	s.starting[pid] = starting{network, site, time.Now()}
}

// Ended takes a connection out, and says whether it was in. One that has logged
// in clears its network; one that has not counts against it.
func (s *Startups) Ended(pid int, loggedIn bool) bool {
	c, found := s.starting[pid]
	if !found {
		return false
	}
	delete(s.starting, pid)
	if s.sites[c.site]--; s.sites[c.site] <= 0 {
		delete(s.sites, c.site)
	}
	src := s.networks[c.network]
	src.starting--
	now := time.Now()
	switch {
	case loggedIn:
		src.penalty = time.Time{}
	case src.penalty.Before(now):
		src.penalty = now.Add(noLoginPenalty)
	default:
		src.penalty = src.penalty.Add(noLoginPenalty)
		if limit := now.Add(penaltyMost); src.penalty.After(limit) {
			src.penalty = limit
		}
	}
	if src.starting == 0 && src.penalty.IsZero() {
		delete(s.networks, c.network)
	}
	return true
}

// Len returns how many there are.
func (s *Startups) Len() int { return len(s.starting) }

// From returns how many there are from an address's network.
func (s *Startups) From(addr netip.Addr) int {
	if src := s.networks[Network(addr)]; src != nil {
		return src.starting
	}
	return 0
}
