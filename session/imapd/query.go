package imapd

import (
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"smail/imap"
	"smail/maildir"
	"smail/message"
)

// A query evaluates a search message by message.
type query struct {
	s      *session
	box    *mailbox
	key    *imap.SearchKey
	cheap  bool  // no message need be looked into
	modseq bool  // it asks for modseqs
	stores bool  // it asks for what the folder knows of messages
	emails bool  // it asks for EMAILIDs
	first  int64 // how many bytes of a message it looks at, about
	now    time.Time
}

// newQuery prepares a search in a mailbox.
func (s *session) newQuery(box *mailbox, key *imap.SearchKey) (*query, error) {
	q := &query{s: s, box: box, key: key, first: mostHeader, now: time.Now()}
	n := box.exists
	largest, largestUID := uint32(n), uint32(0)
	if n > 0 {
		largestUID = box.Message(n - 1).UID
	}
	err := q.resolve(key, largest, largestUID)
	q.cheap = isCheap(key)
	return q, err
}

// run returns the places of the messages that match.
func (q *query) run() (places []int, err error) {
	work := q.s.begin(q.box.exists)
	defer work.finish()
	if q.cheap {
		return q.runCheap()
	}
	var open []*reading
	for first := 0; first < q.box.exists; first += atOnce {
		for i, v := range q.glance(first, min(first+atOnce, q.box.exists)) {
			place := first + i
			switch v {
			case hit:
				places = append(places, place)
			case unknown:
				r, err := q.opened(place)
				if err != nil {
					return nil, err
				}
				if r != nil {
					open = append(open, r)
				}
			}
			if len(open) == maxAhead {
				if places, err = q.runAhead(open, places); err != nil {
					return nil, err
				}
				open = open[:0]
			}
			if err := work.step(); err != nil {
				return nil, err
			}
		}
	}
	if len(open) > 0 {
		if places, err = q.runAhead(open, places); err != nil {
			return nil, err
		}
	}
	slices.Sort(places)
	return places, nil
}

func (q *query) runCheap() (places []int, err error) {
	if set, clear, ok := masks(q.key); ok {
		return q.masked(set, clear), nil
	}
	r := &reading{s: q.s, box: q.box}
	for i := range q.box.exists {
		r.place, r.m, r.stored = i, q.box.Message(i), nil
		if r.m.Gone {
			continue
		}
		hit, err := q.eval(r, q.key)
		if err != nil && !errors.Is(err, maildir.ErrGone) {
			return nil, err
		}
		if hit {
			places = append(places, i)
		}
	}
	return places, nil
}

// masked returns the places of the messages that have some flags and lack others.
func (q *query) masked(set, clear maildir.Flags) (places []int) {
	for i := range q.box.exists {
		if flags, gone := q.box.Flags(i); flags&set == set && flags&clear == 0 && !gone {
			places = append(places, i)
		}
	}
	return places
}

// runAhead evaluates the query on all cores, and adds the places of the messages
// that match.
func (q *query) runAhead(open []*reading, places []int) ([]int, error) {
	hits := make(map[*reading]*bool, len(open))
	for _, r := range open {
		hits[r] = new(bool)
	}
	q.s.readAhead(open, q.first, func(r *reading) (err error) {
		*hits[r], err = q.eval(r, q.key)
		return err
	})
	for _, r := range open {
		hit, err := *hits[r], error(nil)
		if r.ahead != nil { // it has another name by now, or is gone, or unreadable
			hit, err = q.match(r.place)
		}
		if err != nil {
			return nil, err
		}
		if hit {
			places = append(places, r.place)
		}
	}
	return places, nil
}

// match evaluates the query for one message.
func (q *query) match(place int) (bool, error) {
	r := q.s.read(q.box, place)
	defer r.close()
	hit, err := q.eval(&r, q.key)
	if errors.Is(err, maildir.ErrGone) {
		return false, nil
	}
	return hit, err
}

// resolve puts numbers for * and $ in all sets, and folds what is searched for.
func (q *query) resolve(k *imap.SearchKey, largest, largestUID uint32) error {
	if f, ok := flagKeys[k.Name]; ok {
		k.Name, k.Number = f.name, uint64(f.bit)
		return nil
	}
	switch {
	case k.Set.IsSaved():
		k.Name, k.Set = "UID", q.s.saved
	case k.Name == "SET" && q.s.on.uidonly:
		return errUIDRequired
	case k.Name == "SET":
		k.Set = k.Set.Resolve(largest)
	case k.Name == "UID":
		k.Set = k.Set.Resolve(largestUID)
	case k.Name == "MODSEQ":
		q.modseq = true
		q.s.enableCondStore()
	case k.Name == "KEYWORD" || k.Name == "UNKEYWORD":
		k.Number = uint64(q.box.FindKeywords([]string{k.Text}))
	case k.Name == "EMAILID":
		q.emails = true
	default:
		k.Text = message.Fold(k.Text)
	}
	switch k.Name {
	case "HEADER":
		k.Field = strings.ToLower(k.Field)
	case "BCC", "CC", "FROM", "SUBJECT", "TO":
		k.Field = strings.ToLower(k.Name)
	case "SENTBEFORE", "SENTON", "SENTSINCE":
		k.Field = "date"
	case "BODY", "TEXT", "LARGER", "SMALLER":
		q.first = smallMessage
	}
	q.stores = q.stores || isStored(k.Name)
	for i := range k.Keys {
		if err := q.resolve(&k.Keys[i], largest, largestUID); err != nil {
			return err
		}
	}
	return nil
}

// eval evaluates a key. On other goroutines than the session's it looks at
// nothing but the reading.
func (q *query) eval(r *reading, k *imap.SearchKey) (bool, error) {
	switch k.Name {
	case "ALL", "SAVEDATESUPPORTED": // the latter: RFC 8514 section 4.3
		return true, nil
	case "FLAG", "KEYWORD":
		return r.m.Flags&maildir.Flags(k.Number) != 0, nil
	case "UNFLAG", "UNKEYWORD":
		return r.m.Flags&maildir.Flags(k.Number) == 0, nil
	case "RECENT":
		return r.m.Recent, nil
	case "NEW":
		return r.m.Recent && r.m.Flags&maildir.Seen == 0, nil
	case "OLD":
		return !r.m.Recent, nil
	case "SET":
		return k.Set.Contains(uint32(r.place + 1)), nil
	case "UID":
		return k.Set.Contains(r.m.UID), nil
	case "MODSEQ":
		return r.m.ModSeq >= k.Number, nil
	case "THREADID":
		return false, nil
	case "AND":
		return q.all(r, k.Keys)
	case "NOT":
		hit, err := q.eval(r, &k.Keys[0])
		return !hit, err
	case "OR":
		if hit, err := q.eval(r, &k.Keys[0]); hit || err != nil {
			return hit, err
		}
		return q.eval(r, &k.Keys[1])
	}
	if isStored(k.Name) {
		if r.stored == nil {
			if err := q.know(r); err != nil {
				return false, err
			}
		}
		return q.evalStored(r.stored, k), nil
	}
	return q.read(r, k)
}

// A stored is what the folder knows of a message beside its flags.
type stored struct {
	arrival, saved time.Time
	email          string
}

// know asks the folder, before the reading goes to another goroutine.
func (q *query) know(r *reading) (err error) {
	var st stored
	if st.arrival, err = q.box.Date(r.place); err != nil {
		return err
	}
	var ok bool
	if st.saved, ok = q.box.Saved(r.place); !ok { // RFC 8514 section 4.3
		st.saved = st.arrival
	}
	if q.emails {
		st.email = emailID(q.box.Folder, r.place)
	}
	r.stored = &st
	return nil
}

// isStored says whether a key asks for what the folder knows of a message.
func isStored(name string) bool {
	switch name {
	case "EMAILID", "BEFORE", "ON", "SINCE", "OLDER", "YOUNGER", "SAVEDBEFORE", "SAVEDON", "SAVEDSINCE":
		return true
	}
	return false
}

func (q *query) evalStored(st *stored, k *imap.SearchKey) bool {
	switch k.Name {
	case "EMAILID":
		return st.email == k.Text
	case "OLDER", "YOUNGER": // RFC 5032 section 2
		old := q.now.Sub(st.arrival) >= time.Duration(min(k.Number, math.MaxInt64/uint64(time.Second)))*time.Second
		return old == (k.Name == "OLDER")
	}
	if name, ok := strings.CutPrefix(k.Name, "SAVED"); ok {
		return compareDays(name, st.saved, k.Date)
	}
	return compareDays(k.Name, st.arrival, k.Date)
}

// all looks at the keys that cost nothing before it looks into the message.
func (q *query) all(r *reading, keys []imap.SearchKey) (bool, error) {
	for _, cheap := range []bool{true, false} {
		for k := range keys {
			if isCheap(&keys[k]) != cheap {
				continue
			}
			if hit, err := q.eval(r, &keys[k]); !hit || err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// isCheap says whether a key needs no more than the index.
func isCheap(k *imap.SearchKey) bool {
	switch k.Name {
	case "BCC", "BODY", "CC", "FROM", "SUBJECT", "TEXT", "TO", "HEADER", "LARGER", "SMALLER",
		"SENTBEFORE", "SENTON", "SENTSINCE":
		return false
	}
	for i := range k.Keys {
		if !isCheap(&k.Keys[i]) {
			return false
		}
	}
	return true
}

// read evaluates the keys that need the message itself.
func (q *query) read(r *reading, k *imap.SearchKey) (bool, error) {
	switch k.Name {
	case "LARGER", "SMALLER":
		if r.m.CRLF < 0 {
			if err := r.measure(); err != nil {
				return false, err
			}
		}
		size := r.m.CRLF
		return k.Name == "LARGER" && size > int64(k.Number) || k.Name == "SMALLER" && size < int64(k.Number), nil
	case "BODY", "TEXT":
		if k.Text == "" {
			return true, nil
		}
		if err := r.parse(); err != nil {
			return false, err
		}
		if k.Name == "TEXT" && r.header.Contains("", k.Text) {
			return true, nil
		}
		return r.part.Contains(r.readerAt(), r.whole, k.Text, k.Name == "TEXT")
	}
	if k.Field == "" { // HEADER "": no field has no name
		return false, nil
	}
	header, err := r.headerWith(k.Field)
	if err != nil {
		return false, err
	}
	if strings.HasPrefix(k.Name, "SENT") {
		date, ok := header.Date()
		return ok && compareDays(k.Name[4:], date, k.Date), nil
	}
	return header.Contains(k.Field, k.Text), nil
}

// compareDays disregards times and zones: RFC 3501 section 6.4.4.
func compareDays(how string, date, day time.Time) bool {
	y, mo, d := date.Date()
	at := time.Date(y, mo, d, 0, 0, 0, 0, time.UTC)
	switch how {
	case "BEFORE":
		return at.Before(day)
	case "ON":
		return at.Equal(day)
	}
	return !at.Before(day)
}
