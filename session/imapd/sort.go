package imapd

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"smail/imap"
	"smail/maildir"
	"smail/message"
)

// A sortable is what SORT and THREAD compare of a message; of texts only those
// that were asked for are there.
type sortable struct {
	place         int
	arrival, sent time.Time
	size          int64
	texts         map[string]string
}

// sortField is the header field of each criterion that compares texts.
var sortField = map[string]string{"CC": "cc", "FROM": "from", "TO": "to", "SUBJECT": "subject", "DISPLAYFROM": "from", "DISPLAYTO": "to"}

// sort puts places into order: RFC 5256 section 3. Messages that are equal stay
// as they are in the mailbox.
func (q *query) sort(places []int, keys []imap.SortKey) ([]int, error) {
	all := make([]sortable, 0, len(places))
	work := q.s.begin(len(places))
	defer work.finish()
	var ready map[int]*reading
	for k, place := range places {
		if k%maxAhead == 0 {
			ready = q.s.prepareAhead(q.box, places[k:], itemsOf(keys))
		}
		m, err := q.sortable(place, ready[place], keys)
		if errors.Is(err, maildir.ErrGone) {
			continue
		}
		if err == nil {
			err = work.step()
		}
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	slices.SortStableFunc(all, func(a, b sortable) int { return compareBy(keys, &a, &b) })
	sorted := make([]int, len(all))
	for i := range all {
		sorted[i] = all[i].place
	}
	return sorted, nil
}

// itemsOf is what the keys compare, where the cache may have it.
func itemsOf(keys []imap.SortKey) *imap.FetchItems {
	var fields []string
	size := false
	for _, key := range keys {
		switch key.Name {
		case "ARRIVAL":
		case "DATE":
			fields = append(fields, "date")
		case "SIZE":
			size = true
		default:
			fields = append(fields, sortField[key.Name])
		}
	}
	items := fieldItems(fields...)
	items.Size = size
	return items
}

func compareBy(keys []imap.SortKey, a, b *sortable) int {
	for _, key := range keys {
		c := 0
		switch key.Name {
		case "ARRIVAL":
			c = a.arrival.Compare(b.arrival)
		case "DATE":
			c = a.sent.Compare(b.sent)
		case "SIZE":
			c = cmp.Compare(a.size, b.size)
		default:
			c = cmp.Compare(a.texts[key.Name], b.texts[key.Name])
		}
		if key.Reverse {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return a.place - b.place
}

// sortable reads what the keys compare, of a message that may have been read
// already.
func (q *query) sortable(place int, r *reading, keys []imap.SortKey) (m sortable, err error) {
	m.place = place
	if r == nil {
		here := q.s.read(q.box, place)
		r = &here
	}
	defer r.close()
	for _, key := range keys {
		switch key.Name {
		case "ARRIVAL":
			m.arrival, err = q.box.Date(place)
		case "DATE":
			m.sent, err = r.sentDate()
		case "SIZE":
			if r.m.CRLF < 0 {
				err = r.measure()
			}
			m.size = r.m.CRLF
		default:
			if m.texts == nil {
				m.texts = map[string]string{}
			}
			m.texts[key.Name], err = r.sortText(key.Name)
		}
		if err != nil {
			return m, err
		}
	}
	return m, nil
}

// sentDate is that of the Date field, else INTERNALDATE: RFC 5256 section 2.2.
func (r *reading) sentDate() (time.Time, error) {
	header, err := r.headerWith("date")
	if err != nil {
		return time.Time{}, err
	}
	if date, ok := header.Date(); ok {
		return date.UTC(), nil
	}
	return r.box.Date(r.place)
}

// sortText is what a criterion compares, folded: RFC 5256 section 3, RFC 5957
// section 3.
func (r *reading) sortText(name string) (string, error) {
	field := sortField[name]
	header, err := r.headerWith(field)
	if err != nil {
		return "", err
	}
	value := header.Get(field)
	if name == "SUBJECT" {
		base, _ := message.BaseSubject(value)
		return message.SortKey(base), nil
	}
	list := message.ParseAddresses(value)
	if len(list) == 0 {
		return "", nil
	}
	first := list[0]
	text := first.Mailbox
	if name == "DISPLAYFROM" || name == "DISPLAYTO" {
		if len(first.Name) > 0 {
			text = first.Name
		} else if len(first.Host) > 0 {
			text = slices.Concat(first.Mailbox, []byte("@"), first.Host)
		}
	}
	return message.SortKey(message.UTF8(text)), nil
}
