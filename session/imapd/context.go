package imapd

import (
	"errors"
	"fmt"
	"slices"

	"smail/imap"
	"smail/maildir"
)

// A context is a search whose result the client is kept up to date of, until
// CANCELUPDATE or another mailbox: RFC 5267 section 4.3.
type context struct {
	tag  string
	uid  bool
	key  imap.SearchKey // as the client sent it
	sort []imap.SortKey // nil: SEARCH
	hits []uint32       // UIDs, in the order of the result

	fetch *imap.FetchItems // what is sent of new messages that come into it: RFC 5465 section 7
}

// An addition is a message that has come into a result.
type addition struct {
	c     *context
	at    int // where in it
	place int
}

// maxContexts bounds the searches of one session that are kept up to date.
const maxContexts = 8

// keep begins to keep a search up to date; if there are too many, the client
// hears that it will not be: RFC 5267 section 4.3.1.
func (s *session) keep(c *context, places []int) {
	if len(s.box.contexts) >= maxContexts {
		s.w.Raw("* NO [NOUPDATE ").Quoted(s.tag).Raw("] Too many searches are kept up to date").CRLF()
		return
	}
	for _, place := range places {
		c.hits = append(c.hits, s.box.Message(place).UID)
	}
	s.box.contexts = append(s.box.contexts, c)
}

// uidsOf returns the UIDs of the messages that have numbers in a set.
func (b *mailbox) uidsOf(numbers imap.NumSet) (uids imap.NumSet) {
	if b.exists == 0 {
		return nil
	}
	for _, r := range numbers.Resolve(uint32(b.exists)) {
		for n := r.Start; n <= r.Stop && int(n) <= b.exists; n++ {
			uids.Add(b.Message(int(n - 1)).UID)
		}
	}
	return uids
}

// cancelUpdate: RFC 5267 section 4.3.5.
func (s *session) cancelUpdate(bool) error {
	var tags []string
	for s.d.Try(' ') {
		var tag string
		if !s.d.String(&tag) {
			return s.d.Err()
		}
		tags = append(tags, tag)
	}
	if len(tags) == 0 && !s.d.SP() || !s.d.CRLF() {
		return s.d.Err()
	}
	for _, tag := range tags {
		i := slices.IndexFunc(s.box.contexts, func(c *context) bool { return c.tag == tag })
		if i < 0 {
			return imap.Bad("No such search is kept up to date")
		}
		s.box.contexts = slices.Delete(s.box.contexts, i, i+1)
	}
	return s.finish(true, "", "CANCELUPDATE done")
}

// tellRemoved tells which messages no longer are in a result, while they still
// have their numbers. Those that are gone leave it when EXPUNGE may be told.
func (s *session) tellRemoved(changed []int, expunge bool) error {
	for _, c := range s.box.contexts {
		for i := len(c.hits) - 1; i >= 0; i-- {
			place, found := s.box.ByUID(c.hits[i])
			if found && s.box.Message(place).Gone {
				found = !expunge
			} else if _, isChanged := slices.BinarySearch(changed, place); found && isChanged {
				still, err := s.hits(c, place)
				if err != nil {
					return err
				}
				found = still
			}
			if found {
				continue
			}
			s.tellChange(c, "REMOVEFROM", i, c.hits[i], place)
			c.hits = slices.Delete(c.hits, i, i+1)
		}
	}
	return nil
}

// additions puts messages into the results: of those that have changed, and those from
// place first on, which are new.
func (s *session) additions(changed []int, first int) (added []addition, err error) {
	for place := first; place < s.box.exists; place++ {
		changed = append(changed, place)
	}
	if len(changed) == 0 {
		return nil, nil
	}
	for _, c := range s.box.contexts {
		known := make(map[uint32]bool, len(c.hits))
		for _, uid := range c.hits {
			known[uid] = true
		}
		for _, place := range changed {
			m := s.box.Message(place)
			if m.Gone || place >= s.box.exists || known[m.UID] {
				continue
			}
			known[m.UID] = true
			hit, err := s.hits(c, place)
			if err != nil {
				return nil, err
			}
			if !hit {
				continue
			}
			at, err := s.position(c, place)
			if errors.Is(err, maildir.ErrGone) { // the next look shows it
				continue
			}
			if err != nil {
				return nil, err
			}
			c.hits = slices.Insert(c.hits, at, m.UID)
			added = append(added, addition{c, at, place})
		}
	}
	return added, nil
}

// hits says whether a message is in a context's result.
func (s *session) hits(c *context, place int) (bool, error) {
	key := c.key.Clone()
	q, err := s.newQuery(s.box, &key)
	if err != nil {
		return false, err
	}
	return q.match(place)
}

// position returns where in a context's result a message belongs.
func (s *session) position(c *context, place int) (int, error) {
	if c.sort == nil {
		at, _ := slices.BinarySearch(c.hits, s.box.Message(place).UID)
		return at, nil
	}
	q := &query{s: s, box: s.box}
	mine, err := q.sortable(place, nil, c.sort)
	if err != nil {
		return 0, err
	}
	low, high := 0, len(c.hits)
	for low < high {
		middle := (low + high) / 2
		other, _ := s.box.ByUID(c.hits[middle])
		theirs, err := q.sortable(other, nil, c.sort)
		if errors.Is(err, maildir.ErrGone) { // it keeps its place until that is told
			low = middle + 1
			continue
		}
		if err != nil {
			return 0, err
		}
		if compareBy(c.sort, &theirs, &mine) < 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, nil
}

// tellChange sends ADDTO or REMOVEFROM: RFC 5267 section 4.3. The position is
// told of SORT only.
func (s *session) tellChange(c *context, how string, at int, uid uint32, place int) {
	position, number, kind := 0, uint32(place+1), ""
	if c.sort != nil {
		position = at + 1
	}
	if c.uid {
		number, kind = uid, " UID"
	}
	s.w.Raw("* ESEARCH (TAG ").Quoted(c.tag).Raw(")" + kind + fmt.Sprintf(" %s (%d %d)", how, position, number)).CRLF()
}
