package imapd

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	goimap "github.com/emersion/go-imap/v2"

	"smail/imap"
	"smail/logline"
	"smail/maildir"
)

// fetch: RFC 3501 section 6.4.5, UID FETCH: section 6.4.8.
func (s *session) fetch(uid bool) error {
	set, err := s.set()
	if err != nil {
		return err
	}
	var items imap.FetchItems
	if !s.d.SP() || !s.d.FetchItems(&items) || !s.d.CRLF() {
		return s.d.Err()
	}
	if items.Vanished && (!uid || !s.on.qresync || items.ChangedSince == nil) { // RFC 7162 section 3.2.6
		return imap.Bad("VANISHED is for UID FETCH with CHANGEDSINCE, after ENABLE QRESYNC")
	}
	if items.Partial != nil && !uid { // RFC 9394 section 3.3
		return imap.Bad("PARTIAL is for UID FETCH")
	}
	for i := range items.Sections {
		lowerAll(items.Sections[i].HeaderFields)
	}
	items.UID = items.UID || uid
	if items.ModSeq {
		s.enableCondStore()
	}
	if isIndexed(&items) && items.Partial == nil && items.ChangedSince == nil {
		return s.fetchFlags(set, uid, &items)
	}
	places, gone, err := s.pick(set, uid)
	if err != nil {
		return err
	}
	if items.Partial != nil { // before CHANGEDSINCE: RFC 9394 section 3.4
		first, behind := items.Partial.Window(len(places))
		places = places[first:behind]
	}
	if items.ChangedSince != nil {
		places = slices.DeleteFunc(places, func(i int) bool { return s.box.Message(i).ModSeq <= *items.ChangedSince })
		if items.Vanished {
			s.tellVanished(*items.ChangedSince, s.resolveUIDs(set), 0)
		}
	}
	lost, err := s.fetchAll(places, &items)
	if err != nil {
		return err
	}
	if (gone || lost) && !uid {
		return s.finishGone()
	}
	return s.finish(uid, "", "FETCH done")
}

// fetchFlags is FETCH of what the index has: clients ask for it most, of all
// messages, and so it makes no list of them.
func (s *session) fetchFlags(set imap.NumSet, uid bool, items *imap.FetchItems) error {
	spans, err := s.spans(set, uid)
	if err != nil {
		return err
	}
	gone := false
	for _, r := range spans {
		for place := r.first; place < r.behind; place++ {
			gone = s.fetchIndexed(place, items) || gone
		}
	}
	if s.w.Err() != nil {
		return s.w.Err()
	}
	if gone && !uid {
		return s.finishGone()
	}
	return s.finish(uid, "", "FETCH done")
}

// lowerAll puts names of header fields into the case in which they are kept.
func lowerAll(names []string) {
	for i, name := range names {
		names[i] = strings.ToLower(name)
	}
}

// resolveUIDs returns a set of UIDs without * and $.
func (s *session) resolveUIDs(set imap.NumSet) imap.NumSet {
	if set.IsSaved() {
		return s.saved
	}
	return set.Resolve(max(s.box.UIDNext(), 1) - 1)
}

// fetchAll sends the responses for messages; lost says whether some had gone.
func (s *session) fetchAll(places []int, items *imap.FetchItems) (lost bool, err error) {
	unseen := map[int]bool{}
	if setsSeen(items) && !s.box.readOnly {
		if unseen, err = s.markSeen(places); err != nil { // as on a full disk: who reads is to read
			if unseen = nil; !s.box.notSeen {
				logline.Warn("\\Seen not set", "reason", err.Error())
			}
			s.box.notSeen = true
		}
	}
	if isIndexed(items) {
		for _, i := range places {
			lost = s.fetchIndexed(i, items) || lost
		}
		return lost, s.w.Err()
	}
	var ready map[int]*reading
	for k, i := range places {
		if k%maxAhead == 0 {
			ready = s.prepareAhead(s.box, places[k:], items)
		}
		err := s.fetchOne(i, ready[i], items, unseen[i])
		if errors.Is(err, maildir.ErrGone) {
			lost = true
			continue
		}
		if err != nil {
			return false, err
		}
		if len(items.Sections) > 0 {
			s.count.fetched++
		}
	}
	return lost, nil
}

// setsSeen says whether fetching the items makes a message seen.
func setsSeen(items *imap.FetchItems) bool {
	return slices.ContainsFunc(items.Sections, func(b imap.Section) bool { return !b.Peek })
}

// markSeen sets \Seen, and returns the places of messages that had it not:
// their replies tell the flags.
func (s *session) markSeen(places []int) (map[int]bool, error) {
	var unseen []int
	told := map[int]bool{}
	for _, i := range places {
		if s.box.Message(i).Flags&maildir.Seen == 0 {
			unseen = append(unseen, i)
			told[i] = true
		}
	}
	return told, s.box.SetFlags(unseen, func(f maildir.Flags) maildir.Flags { return f | maildir.Seen })
}

// isIndexed says whether the items are all in the folder's index: this is what
// clients ask for most, of all messages.
func isIndexed(items *imap.FetchItems) bool {
	return !items.InternalDate && !items.Size && !items.Envelope && !items.Body && !items.BodyStructure && !items.EmailID &&
		!items.ThreadID && !items.SaveDate && !items.Preview && len(items.Sections) == 0
}

// fetchIndexed sends the response for such items, unless the message is gone.
func (s *session) fetchIndexed(i int, items *imap.FetchItems) (gone bool) {
	m := s.box.Message(i)
	if m.Gone {
		return true
	}
	b := s.appendHead(s.w.AvailableBuffer(), i, m)
	sep := ""
	modseq := items.ModSeq || items.Flags && s.on.condstore
	if items.UID && (!s.on.uidonly || !items.Flags && !modseq) { // there must be something
		b = strconv.AppendUint(append(b, "UID "...), uint64(m.UID), 10)
		sep = " "
	}
	if items.Flags {
		b = s.appendFlags(append(append(b, sep...), "FLAGS "...), m)
		sep = " "
	}
	if modseq {
		b = strconv.AppendUint(append(append(b, sep...), "MODSEQ ("...), m.ModSeq, 10)
		b = append(b, ')')
	}
	s.w.Write(append(b, ")\r\n"...))
	return false
}

// fetchOne sends the response for message i, which may have been read already.
// Nothing is sent if the message has gone. One that has just been seen has its flags
// told, and where the client keeps modseqs its UID: RFC 7162 section 3.2.4.
func (s *session) fetchOne(i int, r *reading, items *imap.FetchItems, seen bool) error {
	if r == nil {
		s.one = s.read(s.box, i)
		r = &s.one
	}
	defer r.close()
	if err := r.prepare(items); err != nil {
		return err
	}
	m := r.m
	if r.file != nil { // as it is now, if it had to be looked for
		m = s.box.Message(i)
	}
	s.fetchHead(i, m)
	sep := ""
	item := func(name string) *imap.Encoder {
		s.w.Raw(sep).Raw(name).Raw(" ")
		sep = " "
		return s.w
	}
	if (items.UID || seen && s.on.condstore) && !s.on.uidonly {
		item("UID").Num(m.UID)
	}
	flags := items.Flags || seen
	if flags {
		item("FLAGS")
		s.flags(m)
	}
	if items.ModSeq || flags && s.on.condstore {
		item("MODSEQ").Raw("(").Num64(int64(m.ModSeq)).Raw(")")
	}
	if items.InternalDate {
		item("INTERNALDATE").DateTime(r.date)
	}
	if items.Size {
		item("RFC822.SIZE").Num64(r.m.CRLF)
	}
	if items.Envelope {
		item("ENVELOPE").Write(r.known.parts[kindEnvelope])
	}
	if items.Body {
		item("BODY").Write(r.known.structure(kindBody, kindGlobalBody, s.on.rev2 || s.on.utf8))
	}
	if items.BodyStructure {
		item("BODYSTRUCTURE").Write(r.known.structure(kindStructure, kindGlobalStructure, s.on.rev2 || s.on.utf8))
	}
	r.identity(items, item)
	for k := range items.Sections {
		section := &items.Sections[k]
		item(section.Label)
		if err := r.section(section); err != nil {
			if s.w.Err() != nil { // the client has gone
				return s.w.Err()
			}
			return unreadable(err)
		}
	}
	return s.endOne(items)
}

func (s *session) endOne(items *imap.FetchItems) error {
	s.w.Raw(")").CRLF()
	if s.deflate != nil && sendsBody(items) {
		return s.apart()
	}
	return s.w.Err()
}

// sendsBody says whether more of a message is sent than its header.
func sendsBody(items *imap.FetchItems) bool {
	return slices.ContainsFunc(items.Sections, func(b imap.Section) bool {
		return b.Specifier != goimap.PartSpecifierHeader && b.Specifier != goimap.PartSpecifierMIME
	})
}

// unreadable ends the session: a literal was promised whose bytes cannot come.
func unreadable(err error) error {
	logline.Error("message not read", "reason", err.Error())
	return imap.Bye("A message could not be read to its end")
}
