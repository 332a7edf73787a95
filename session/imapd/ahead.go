package imapd

import (
	"errors"

	goimap "github.com/emersion/go-imap/v2"

	"smail/imap"
	"smail/internal/cores"
	"smail/maildir"
)

// Messages of which the cache has nothing are read ahead, on all cores: opened,
// parsed and searched there, while the folder's index, which knows no other
// goroutine, is left alone. What was learned is entered afterwards.

// An ahead is a reading that is away from the session's goroutine.
type ahead struct {
	ticket   maildir.Ticket
	closed   bool // only what is known already may be used
	measured bool // RFC822.SIZE was counted
	entry    []byte
	err      error
}

var closed = ahead{closed: true}

// errClosed is that a message would have to be opened.
var errClosed = errors.New("not to be opened")

// maxAhead bounds the messages that are read ahead together, minAhead says from
// how many on it is worth while.
const (
	maxAhead = 256
	minAhead = 4
)

// together is how many files are asked for at once: a disk brings them sooner
// than one after another.
const together = 8

// mostHeader is enough of a file for nearly any header.
const mostHeader = 8 << 10

// closed returns a reading that does not open the message.
func (s *session) closed(box *mailbox, place int) reading {
	r := s.read(box, place)
	r.ahead = &closed
	return r
}

// coreMemory returns what readings use on each core.
func (s *session) coreMemory() []memory {
	if s.aheadMem == nil {
		s.aheadMem = make([]memory, cores.Workers())
	}
	return s.aheadMem
}

// readAhead has do look at readings on all cores, at the first bytes of their
// files above all.
func (s *session) readAhead(readings []*reading, first int64, do func(r *reading) error) {
	mem := s.coreMemory()
	for _, r := range readings {
		r.ask() // in memory of its own
		r.ahead = &ahead{ticket: r.box.Ticket(r.place)}
	}
	cores.Each((len(readings)+together-1)/together, 1, func(worker, i int) {
		group := readings[i*together : min((i+1)*together, len(readings))]
		for _, r := range group {
			if r.open() == nil {
				r.file.Prefetch(first)
			}
		}
		for _, r := range group {
			r.takeAway(&mem[worker], do)
		}
	})
	for _, r := range readings {
		if r.ahead.err == nil {
			r.settle()
		}
	}
}

// takeAway has do look at a reading, on another goroutine.
func (r *reading) takeAway(mem *memory, do func(r *reading) error) {
	r.mem, r.known.made = mem, mem.made[:0]
	if r.ahead.err = do(r); r.file != nil {
		r.file.Close()
	}
	r.file, r.whole, r.header, r.part, r.mem, mem.made = nil, nil, nil, nil, nil, r.known.made
	if r.known.dirty {
		r.ahead.entry = r.known.entry()
		r.known = known{}
		r.known.parse(r.ahead.entry)
	}
}

// settle enters what was learned, and brings the reading back.
func (r *reading) settle() {
	if r.ahead.measured {
		r.box.Learn(r.place, r.m.CRLF)
	}
	if r.ahead.entry != nil {
		r.box.LearnEntry(r.place, r.ahead.entry)
	}
	r.ahead, r.mem = nil, &r.s.mem
}

// prepareAhead prepares messages for FETCH, as far as that needs what is kept of
// them, not their text. The result has those that are ready, by place.
func (s *session) prepareAhead(box *mailbox, places []int, items *imap.FetchItems) map[int]*reading {
	if len(places) < minAhead || !keepable(items) {
		return nil
	}
	places = places[:min(len(places), maxAhead)]
	if s.allKnown(box, []int{places[0], places[len(places)/3], places[len(places)*2/3], places[len(places)-1]}, items) {
		return nil
	}
	var readings []*reading
	for _, place := range places {
		r := s.closed(box, place)
		if r.prepare(items) == errClosed && !r.m.Gone {
			r = s.read(box, place)
			r.mem = &memory{}
			readings = append(readings, &r)
		}
	}
	first := int64(mostHeader)
	if items.Size || items.Body || items.BodyStructure || items.Preview {
		first = smallMessage
	}
	s.readAhead(readings, first, func(r *reading) error { return r.prepare(items) })
	ready := map[int]*reading{}
	for _, r := range readings {
		if r.ahead == nil && r.keeps(items) {
			ready[r.place] = r
		}
	}
	return ready
}

// allKnown says whether messages can be answered from what is kept.
func (s *session) allKnown(box *mailbox, places []int, items *imap.FetchItems) bool {
	for _, place := range places {
		r := s.closed(box, place)
		if r.prepare(items) != nil || !r.keeps(items) {
			return false
		}
	}
	return true
}

// keepable says whether all of the items can be answered from what is kept.
func keepable(items *imap.FetchItems) bool {
	for i := range items.Sections {
		if items.Sections[i].HeaderFields == nil || len(items.Sections[i].Part) > 0 {
			return false
		}
	}
	return items.Envelope || items.Body || items.BodyStructure || items.Size || items.Preview || len(items.Sections) > 0
}

// keeps says whether the header fields that the items want were kept.
func (r *reading) keeps(items *imap.FetchItems) bool {
	for i := range items.Sections {
		if !r.known.hasFields(r.mem.fieldSet(items.Sections[i].HeaderFields)) {
			return false
		}
	}
	return true
}

// fieldItems asks for header fields, named in lower case, if there are any.
func fieldItems(names ...string) *imap.FetchItems {
	items := &imap.FetchItems{}
	if len(names) > 0 {
		items.Sections = make([]imap.Section, 1)
		items.Sections[0].Specifier, items.Sections[0].HeaderFields = goimap.PartSpecifierHeader, names
	}
	return items
}
