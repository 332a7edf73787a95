package imapd

import (
	"errors"
	"slices"

	goimap "github.com/emersion/go-imap/v2"

	"smail/imap"
)

// search: RFC 3501 section 6.4.4, UID SEARCH: section 6.4.8, RETURN: RFC 4731.
func (s *session) search(uid bool) error {
	var cmd imap.Search
	if !s.d.SP() || !s.d.Search(&cmd) || !s.d.CRLF() {
		return s.noSearch(&cmd)
	}
	return s.answerSearch("SEARCH", uid, nil, &cmd)
}

// sort: RFC 5256 section 3, UID SORT: section 4, RETURN: RFC 5267 section 3.
func (s *session) sort(uid bool) error {
	var cmd imap.Search
	var keys []imap.SortKey
	if !s.d.SP() || !s.d.Sort(&keys, &cmd) || !s.d.CRLF() {
		return s.noSearch(&cmd)
	}
	return s.answerSearch("SORT", uid, keys, &cmd)
}

// noSearch refuses what was read. A NO leaves nothing saved, a BAD all as it was: RFC
// 5182 section 2.1.
func (s *session) noSearch(cmd *imap.Search) error {
	var r *goimap.Error
	err := s.d.Err()
	if errors.As(err, &r) && r.Type == goimap.StatusResponseTypeNo && cmd.Return != nil && cmd.Return.Save {
		s.saved = imap.NumSet{}
	}
	return err
}

// answerSearch carries out SEARCH or SORT.
func (s *session) answerSearch(name string, uid bool, keys []imap.SortKey, cmd *imap.Search) error {
	if !uid && s.on.uidonly {
		return errUIDRequired
	}
	kept := &context{tag: s.tag, uid: uid, sort: keys}
	if cmd.Return != nil && cmd.Return.Update {
		if slices.ContainsFunc(s.box.contexts, func(c *context) bool { return c.tag == s.tag }) { // RFC 5267 section 4.3
			return imap.Bad("A search with this tag is kept up to date")
		}
		kept.key, kept.fetch = cmd.Key.Clone(), cmd.Return.New
		kept.key.Fix(s.saved, s.box.uidsOf)
	}
	numbered := !uid || cmd.Key.HasNumbers() // before they are resolved
	q, err := s.newQuery(s.box, &cmd.Key)
	if err != nil {
		return err
	}
	save := cmd.Return != nil && cmd.Return.Save
	if save {
		s.saved = imap.NumSet{} // if it fails now: RFC 5182 section 2.1
	}
	places, err := q.run()
	if err != nil {
		return err
	}
	if keys != nil {
		if places, err = q.sort(places, keys); err != nil {
			return err
		}
	}
	r := &result{box: s.box, uid: uid, places: places, modseq: q.modseq}
	if name == "ESEARCH" {
		r.source = s.sourceOf(s.box)
	}
	if save {
		s.saved = r.saved(cmd.Return)
	}
	switch {
	case cmd.Return == nil && !(s.on.rev2 && name == "SEARCH"):
		s.tellPlain(name, r)
	case cmd.Return == nil:
		s.tellESearch(r, &imap.ReturnOptions{All: true})
	case !cmd.Return.OnlySave() && (r.source == "" || len(places) > 0):
		s.tellESearch(r, cmd.Return)
	}
	if cmd.Return != nil && cmd.Return.Update {
		s.keep(kept, r.places)
	}
	return s.finish(!numbered, "", name+" done") // RFC 7162 section 3.2.10.2
}

// A result is what a search has found.
type result struct {
	box    *mailbox
	uid    bool
	places []int  // in the order of SORT
	modseq bool   // the search asked for modseqs
	source string // for ESEARCH: MAILBOX and UIDVALIDITY
}

// number returns what a client knows the message at a place by.
func (r *result) number(place int) uint32 {
	if r.uid {
		return r.box.Message(place).UID
	}
	return uint32(place + 1)
}

// tellPlain sends the responses of RFC 3501 section 7.2.5 and RFC 5256 section
// 4, with the highest modseq if that was asked for: RFC 7162 section 3.1.5.
func (s *session) tellPlain(name string, r *result) {
	s.w.Raw("* " + name)
	for _, place := range r.places {
		s.w.Raw(" ").Num(r.number(place))
	}
	if r.modseq && len(r.places) > 0 {
		s.w.Raw(" (MODSEQ ").Num64(int64(r.highest(r.places))).Raw(")")
	}
	s.w.CRLF()
}

func (r *result) highest(places []int) (modseq uint64) {
	for _, place := range places {
		modseq = max(modseq, r.box.Message(place).ModSeq)
	}
	return modseq
}

// extremes returns the first place and the last: by number, or as sorted (RFC 5267
// section 3.1).
func (r *result) extremes() (first, last int) {
	return r.places[0], r.places[len(r.places)-1]
}

// wanted returns the places of those that RETURN names, all of them for ALL and
// COUNT: RFC 5182 section 2.4, RFC 9394 section 3.1.
func (r *result) wanted(o *imap.ReturnOptions) (places []int) {
	if len(r.places) == 0 || o.All || o.Count || !o.Min && !o.Max && o.Partial == nil {
		return r.places
	}
	first, last := r.extremes()
	if o.Min {
		places = append(places, first)
	}
	if o.Max {
		places = append(places, last)
	}
	if o.Partial != nil {
		first, behind := o.Partial.Window(len(r.places))
		places = append(places, r.places[first:behind]...)
	}
	slices.Sort(places)
	return slices.Compact(places)
}

// saved returns what $ stands for from now on.
func (r *result) saved(o *imap.ReturnOptions) imap.NumSet {
	set := make(imap.NumSet, 0, 8)
	for _, place := range slices.Sorted(slices.Values(r.wanted(o))) {
		set.Add(r.box.Message(place).UID)
	}
	return set
}

// tellESearch sends an ESEARCH response: RFC 4731 section 3.1, RFC 9394 section
// 3.1.
func (s *session) tellESearch(r *result, o *imap.ReturnOptions) {
	s.w.Raw("* ESEARCH (TAG ").String(s.tag).Raw(r.source).Raw(")")
	if r.uid {
		s.w.Raw(" UID")
	}
	if len(r.places) > 0 {
		first, last := r.extremes()
		if o.Min {
			s.w.Raw(" MIN ").Num(r.number(first))
		}
		if o.Max {
			s.w.Raw(" MAX ").Num(r.number(last))
		}
		if o.All {
			s.w.Raw(" ALL ").Raw(r.set(r.places))
		}
	}
	if o.Count {
		s.w.Raw(" COUNT ").Num(uint32(len(r.places)))
	}
	if o.Partial != nil {
		first, behind := o.Partial.Window(len(r.places))
		s.w.Raw(" PARTIAL (" + o.Partial.String() + " ")
		if first >= behind {
			s.w.Raw("NIL)")
		} else {
			s.w.Raw(r.set(r.places[first:behind])).Raw(")")
		}
	}
	if r.modseq && len(r.places) > 0 {
		s.w.Raw(" MODSEQ ").Num64(int64(r.highest(r.wanted(o)))) // RFC 4731 section 3.2
	}
	s.w.CRLF()
}

// set writes places as a set of numbers, in their order.
func (r *result) set(places []int) string {
	var set imap.NumSet
	for _, place := range places {
		set.Add(r.number(place))
	}
	return set.String()
}
