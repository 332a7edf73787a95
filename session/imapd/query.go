package imapd

import (
	"errors"
	"math"
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
	r      *reading // of the message in hand
	modseq bool     // it asks for modseqs
	now    time.Time
}

// newQuery prepares a search in a mailbox.
func (s *session) newQuery(box *mailbox, key *imap.SearchKey) (*query, error) {
	q := &query{s: s, box: box, key: key, now: time.Now()}
	n := box.exists
	largest, largestUID := uint32(n), uint32(0)
	if n > 0 {
		largestUID = box.Message(n - 1).UID
	}
	return q, q.resolve(key, largest, largestUID)
}

// run returns the places of the messages that match.
func (q *query) run() (places []int, err error) {
	work := q.s.begin(q.box.exists)
	defer work.finish()
	for i := range q.box.exists {
		m := q.box.Message(i)
		if m.Gone {
			continue
		}
		hit, err := q.match(i, m)
		if err == nil {
			err = work.step()
		}
		if err != nil {
			return nil, err
		}
		if hit {
			places = append(places, i)
		}
	}
	return places, nil
}

// resolve puts numbers for * and $ in all sets, and folds what is searched for.
func (q *query) resolve(k *imap.SearchKey, largest, largestUID uint32) error {
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
		q.modseq, q.s.on.condstore = true, true
	case k.Name == "KEYWORD" || k.Name == "UNKEYWORD" || k.Name == "EMAILID":
	default:
		k.Text = message.Fold(k.Text)
	}
	for i := range k.Keys {
		if err := q.resolve(&k.Keys[i], largest, largestUID); err != nil {
			return err
		}
	}
	return nil
}

func (q *query) match(i int, m maildir.Message) (bool, error) {
	q.r = &reading{s: q.s, box: q.box, place: i, m: m}
	defer q.r.close()
	hit, err := q.eval(q.key, i, m)
	if errors.Is(err, maildir.ErrGone) {
		return false, nil
	}
	return hit, err
}

// flagKeys are the keys that ask for a flag, and those that ask for its absence.
var flagKeys = map[string]struct {
	bit maildir.Flags
	set bool
}{
	"ANSWERED": {maildir.Replied, true}, "UNANSWERED": {maildir.Replied, false},
	"DELETED": {maildir.Trashed, true}, "UNDELETED": {maildir.Trashed, false},
	"DRAFT": {maildir.Draft, true}, "UNDRAFT": {maildir.Draft, false},
	"FLAGGED": {maildir.Flagged, true}, "UNFLAGGED": {maildir.Flagged, false},
	"SEEN": {maildir.Seen, true}, "UNSEEN": {maildir.Seen, false},
}

func (q *query) eval(k *imap.SearchKey, i int, m maildir.Message) (bool, error) {
	if f, ok := flagKeys[k.Name]; ok {
		return (m.Flags&f.bit != 0) == f.set, nil
	}
	switch k.Name {
	case "ALL":
		return true, nil
	case "KEYWORD", "UNKEYWORD":
		set := m.Flags&q.box.FindKeywords([]string{k.Text}) != 0
		return set == (k.Name == "KEYWORD"), nil
	case "RECENT":
		return m.Recent, nil
	case "NEW":
		return m.Recent && m.Flags&maildir.Seen == 0, nil
	case "OLD":
		return !m.Recent, nil
	case "SET":
		return k.Set.Contains(uint32(i + 1)), nil
	case "UID":
		return k.Set.Contains(m.UID), nil
	case "AND":
		return q.all(k.Keys, i, m)
	case "NOT":
		hit, err := q.eval(&k.Keys[0], i, m)
		return !hit, err
	case "OR":
		if hit, err := q.eval(&k.Keys[0], i, m); hit || err != nil {
			return hit, err
		}
		return q.eval(&k.Keys[1], i, m)
	case "MODSEQ":
		return m.ModSeq >= k.Number, nil
	case "EMAILID":
		return emailID(q.box.Folder, i) == k.Text, nil
	case "THREADID":
		return false, nil
	case "BEFORE", "ON", "SINCE":
		date, err := q.box.Date(i)
		return compareDays(k.Name, date, k.Date), err
	case "OLDER", "YOUNGER":
		date, err := q.box.Date(i)
		old := q.now.Sub(date) >= time.Duration(min(k.Number, math.MaxInt64/uint64(time.Second)))*time.Second
		return old == (k.Name == "OLDER"), err
	case "SAVEDATESUPPORTED": // RFC 8514 section 4.3
		return true, nil
	case "SAVEDBEFORE", "SAVEDON", "SAVEDSINCE":
		date, err := q.saved(i)
		return compareDays(k.Name[5:], date, k.Date), err
	}
	return q.read(k)
}

// saved returns when a message was saved; if that cannot be told, when it came:
// RFC 8514 section 4.3.
func (q *query) saved(i int) (time.Time, error) {
	if date, ok := q.box.Saved(i); ok {
		return date, nil
	}
	return q.box.Date(i)
}

// all looks at the keys that cost nothing before it opens the message.
func (q *query) all(keys []imap.SearchKey, i int, m maildir.Message) (bool, error) {
	for _, cheap := range []bool{true, false} {
		for k := range keys {
			if isCheap(&keys[k]) != cheap {
				continue
			}
			if hit, err := q.eval(&keys[k], i, m); !hit || err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

func isCheap(k *imap.SearchKey) bool {
	switch k.Name {
	case "BCC", "BODY", "CC", "FROM", "SUBJECT", "TEXT", "TO", "HEADER", "LARGER", "SMALLER",
		"SENTBEFORE", "SENTON", "SENTSINCE", "BEFORE", "ON", "SINCE", "OLDER", "YOUNGER", "EMAILID":
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
func (q *query) read(k *imap.SearchKey) (bool, error) {
	switch k.Name {
	case "LARGER", "SMALLER":
		if q.r.m.CRLF < 0 {
			if err := q.r.measure(); err != nil {
				return false, err
			}
		}
		size := q.r.m.CRLF
		return k.Name == "LARGER" && size > int64(k.Number) || k.Name == "SMALLER" && size < int64(k.Number), nil
	case "BODY", "TEXT":
		if err := q.r.parse(); err != nil {
			return false, err
		}
		if k.Name == "TEXT" && q.r.header.Contains("", k.Text) {
			return true, nil
		}
		return q.r.part.Contains(q.r.readerAt(), k.Text)
	}
	field := k.Name // BCC, CC, FROM, SUBJECT, TO
	switch k.Name {
	case "HEADER":
		field = k.Field
	case "SENTBEFORE", "SENTON", "SENTSINCE":
		field = "Date"
	}
	header, err := q.r.headerWith(field)
	if err != nil {
		return false, err
	}
	if field == "Date" && k.Name != "HEADER" {
		date, ok := header.Date()
		return ok && compareDays(k.Name[4:], date, k.Date), nil
	}
	return header.Contains(field, k.Text), nil
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
