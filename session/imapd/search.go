package imapd

import (
	"errors"
	"time"

	"smail/imap"
	"smail/maildir"
	"smail/message"
)

// search: RFC 3501 section 6.4.4, UID SEARCH: section 6.4.8.
func (s *session) search(uid bool) error {
	var key imap.SearchKey
	if !s.d.SP() || !s.d.Search(&key) || !s.d.CRLF() {
		return s.d.Err()
	}
	q := query{s: s}
	if n := s.box.exists; n > 0 {
		q.resolve(&key, uint32(n), s.box.Message(n-1).UID)
	}
	s.w.Raw("* SEARCH")
	for i := range s.box.exists {
		m := s.box.Message(i)
		if m.Gone {
			continue
		}
		hit, err := q.match(&key, i, m)
		if err != nil {
			return err
		}
		switch {
		case hit && uid:
			s.w.Raw(" ").Num(m.UID)
		case hit:
			s.w.Raw(" ").Num(uint32(i + 1))
		}
	}
	s.w.CRLF()
	return s.finish(uid, "", "SEARCH done")
}

// A query evaluates a search message by message.
type query struct {
	s *session
	r *reading // of the message in hand
}

// resolve puts numbers for * in all sets, and folds what is searched for.
func (q *query) resolve(k *imap.SearchKey, largest, largestUID uint32) {
	switch k.Name {
	case "SET":
		k.Set = k.Set.Resolve(largest)
	case "UID":
		k.Set = k.Set.Resolve(largestUID)
	default:
		k.Text = message.Fold(k.Text)
	}
	for i := range k.Keys {
		q.resolve(&k.Keys[i], largest, largestUID)
	}
}

func (q *query) match(k *imap.SearchKey, i int, m maildir.Message) (bool, error) {
	q.r = &reading{s: q.s, place: i, m: m}
	defer q.r.close()
	hit, err := q.eval(k, i, m)
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
		set := m.Flags&q.s.box.FindKeywords([]string{k.Text}) != 0
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
	case "BEFORE", "ON", "SINCE":
		date, err := q.s.box.Date(i)
		return compareDays(k.Name, date, k.Date), err
	}
	return q.read(k)
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
		"SENTBEFORE", "SENTON", "SENTSINCE", "BEFORE", "ON", "SINCE":
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
		return k.Name == "LARGER" && size > int64(k.Size) || k.Name == "SMALLER" && size < int64(k.Size), nil
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
