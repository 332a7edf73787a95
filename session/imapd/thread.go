package imapd

import (
	"cmp"
	"errors"

	"smail/imap"
	"smail/maildir"
	"smail/message"
)

// thread: RFC 5256 section 3 and UID THREAD, section 4.
func (s *session) thread(uid bool) error {
	var cmd imap.Search
	var algorithm string
	if !s.d.SP() || !s.d.Thread(&algorithm, &cmd) || !s.d.CRLF() {
		return s.d.Err()
	}
	build := message.ThreadReferences
	switch algorithm {
	case "REFERENCES":
	case "ORDEREDSUBJECT":
		build = message.ThreadOrderedSubject
	default:
		return imap.Bad("Unknown threading algorithm")
	}
	if !uid && s.on.uidonly {
		return errUIDRequired
	}
	numbered := !uid || cmd.Key.HasNumbers() // before they are resolved
	q, err := s.newQuery(s.box, &cmd.Key)
	if err != nil {
		return err
	}
	places, err := q.run()
	if err != nil {
		return err
	}
	all, err := q.threadables(places)
	if err != nil {
		return err
	}
	r := &result{box: s.box, uid: uid}
	s.w.Raw("* THREAD")
	if threads := build(all); len(threads) > 0 {
		s.w.Raw(" ")
		s.tellThreads(r, threads)
	}
	s.w.CRLF()
	return s.finish(!numbered, "", "THREAD done")
}

// threadables reads what threads are made of, of the messages that are still there.
func (q *query) threadables(places []int) ([]message.Threadable, error) {
	all := make([]message.Threadable, 0, len(places))
	var ready map[int]*reading
	work := q.s.begin(len(places))
	defer work.finish()
	for k, place := range places {
		if k%maxAhead == 0 {
			ready = q.s.prepareAhead(q.box, places[k:], fieldItems(threadFields...))
		}
		m, err := q.threadable(place, ready[place])
		if errors.Is(err, maildir.ErrGone) {
			err = nil
		} else if err == nil {
			all = append(all, m)
		}
		if err = cmp.Or(err, work.step()); err != nil {
			return nil, err
		}
	}
	return all, nil
}

var threadFields = []string{"message-id", "references", "in-reply-to", "subject", "date"}

// threadable reads what threads are made of, of a message that may have been
// read already.
func (q *query) threadable(place int, r *reading) (m message.Threadable, err error) {
	if r == nil {
		here := q.s.read(q.box, place)
		r = &here
	}
	defer r.close()
	header, err := r.headerWith(threadFields...)
	if err != nil {
		return m, err
	}
	m.Number = place
	m.Subject, m.Reply = message.BaseSubject(header.Get("Subject"))
	m.Subject = message.Fold(m.Subject)
	if ids := message.MessageIDs(header.Get("Message-ID")); len(ids) > 0 {
		m.ID = ids[0]
	}
	if m.References = message.MessageIDs(header.Get("References")); len(m.References) == 0 {
		if ids := message.MessageIDs(header.Get("In-Reply-To")); len(ids) > 0 {
			m.References = ids[:1]
		}
	}
	m.Sent, err = r.sentDate()
	return m, err
}

// tellThreads writes threads as RFC 5256 section 5 has them: one after another,
// each in parentheses; a message stands before its answers, which have
// parentheses of their own where they are several.
func (s *session) tellThreads(r *result, threads []*message.Thread) {
	type open struct {
		siblings []*message.Thread
		grouped  bool // each in parentheses
	}
	stack := []open{{threads, true}}
	fresh := true // nothing was written since the last parenthesis
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		if len(top.siblings) == 0 {
			stack = stack[:len(stack)-1]
			if len(stack) > 0 && stack[len(stack)-1].grouped {
				s.w.Raw(")")
			}
			continue
		}
		t := top.siblings[0]
		top.siblings = top.siblings[1:]
		if top.grouped {
			s.w.Raw("(")
			fresh = true
		}
		if t.Number >= 0 {
			if !fresh {
				s.w.Raw(" ")
			}
			s.w.Num(r.number(t.Number))
			fresh = false
		}
		if len(t.Answers) > 1 && !fresh {
			s.w.Raw(" ")
		}
		stack = append(stack, open{t.Answers, len(t.Answers) > 1})
	}
}
