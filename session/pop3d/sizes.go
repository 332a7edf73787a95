package pop3d

import (
	"smail/internal/cores"
	"smail/maildir"
	"smail/message"
)

// size is what RETR will send, without the doubled dots.
func (s *session) size(i int) (int64, error) {
	if size, known := s.known(s.places[i]); known {
		return size, nil
	}
	f, _, err := s.box.OpenMessage(s.places[i])
	if err != nil {
		return 0, err
	}
	defer f.Close()
	size, err := message.CRLFSize(f)
	if err == nil {
		s.learn(s.places[i], size)
	}
	return size, err
}

// known returns the size of the message at a place, if it is known.
func (s *session) known(place int) (size int64, known bool) {
	if m := s.box.Message(place); m.CRLF >= 0 {
		return m.CRLF, true
	}
	size, known = s.sizes[place]
	return size, known
}

func (s *session) learn(place int, size int64) {
	s.sizes[place] = size // the folder may not be able to keep it
	s.box.Learn(place, size)
}

// measure finds out the sizes of messages that are not known yet, on all cores.
// What cannot be read now is left to size.
func (s *session) measure() {
	var unknown []int
	for _, place := range s.places {
		if _, known := s.known(place); !known && !s.box.Message(place).Gone {
			unknown = append(unknown, place)
		}
	}
	for len(unknown) > 0 {
		some := unknown[:min(len(unknown), maxTogether)]
		unknown = unknown[len(some):]
		tickets, sizes := make([]maildir.Ticket, len(some)), make([]int64, len(some))
		for i, place := range some {
			tickets[i] = s.box.Ticket(place)
		}
		cores.Each(len(some), 8, func(_, i int) { sizes[i] = sizeOf(tickets[i]) })
		for i, place := range some {
			if sizes[i] >= 0 {
				s.learn(place, sizes[i])
			}
		}
	}
}

// maxTogether is how many sizes are found out before they are kept.
const maxTogether = 1000

func sizeOf(t maildir.Ticket) int64 {
	f, n, err := t.Open()
	if err != nil {
		return -1
	}
	defer f.Close()
	f.Prefetch(min(n, 1<<20))
	size, err := message.CRLFSize(f)
	if err != nil {
		return -1
	}
	return size
}
