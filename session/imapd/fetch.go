package imapd

import (
	"errors"

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
	items.UID = items.UID || uid
	places, gone, err := s.box.pick(set, uid)
	if err != nil {
		return err
	}
	unseen := map[int]bool{}
	if setsSeen(&items) && !s.box.readOnly {
		if unseen, err = s.markSeen(places); err != nil {
			return err
		}
	}
	for _, i := range places {
		err := s.fetchOne(i, &items, items.Flags || unseen[i])
		if errors.Is(err, maildir.ErrGone) {
			gone = true
			continue
		}
		if err != nil {
			return err
		}
		if len(allSections(&items)) > 0 {
			s.count.fetched++
		}
	}
	if gone && !uid {
		return s.finishGone()
	}
	return s.finish(uid, "", "FETCH done")
}

// finishGone ends a command by number of which another session has removed
// messages: RFC 2180 section 4.1.
func (s *session) finishGone() error {
	if err := s.update(false); err != nil {
		return err
	}
	return imap.No("EXPUNGEISSUED", "Some of these messages are gone")
}

// setsSeen says whether fetching the items makes a message seen.
func setsSeen(items *imap.FetchItems) bool {
	for _, b := range items.BodySection {
		if !b.Peek {
			return true
		}
	}
	return items.RFC822 || items.RFC822Text
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

// fetchOne sends the response for message i. Nothing is sent if the message
// has gone.
func (s *session) fetchOne(i int, items *imap.FetchItems, flags bool) error {
	r := reading{s: s, place: i, m: s.box.Message(i)}
	defer r.close()
	if err := r.prepare(items); err != nil {
		return err
	}
	m := s.box.Message(i)
	s.w.Raw("* ").Num(uint32(i + 1)).Raw(" FETCH (")
	sep := ""
	item := func(name string) *imap.Encoder {
		s.w.Raw(sep).Raw(name).Raw(" ")
		sep = " "
		return s.w
	}
	if items.UID {
		item("UID").Num(m.UID)
	}
	if flags {
		item("FLAGS").Flags(s.box.flagsOf(m))
	}
	if items.InternalDate {
		item("INTERNALDATE").DateTime(r.date)
	}
	if items.RFC822Size {
		item("RFC822.SIZE").Num64(r.m.CRLF)
	}
	if items.Envelope {
		item("ENVELOPE").Write(r.known.parts[kindEnvelope])
	}
	if items.Body {
		item("BODY").Write(r.known.parts[kindBody])
	}
	if items.BodyStructure != nil {
		item("BODYSTRUCTURE").Write(r.known.parts[kindStructure])
	}
	for _, section := range allSections(items) {
		item(section.label)
		if err := r.section(section.FetchItemBodySection); err != nil {
			if s.w.Err() != nil { // the client has gone
				return s.w.Err()
			}
			return unreadable(err)
		}
	}
	s.w.Raw(")").CRLF()
	return s.w.Err()
}

// unreadable ends the session: a literal was promised whose bytes cannot come.
func unreadable(err error) error {
	logline.Error("message not read", "reason", err.Error())
	return imap.Bye("A message could not be read to its end")
}

type labelled struct {
	*goimap.FetchItemBodySection
	label string
}

// allSections adds the sections that the old names stand for.
func allSections(items *imap.FetchItems) []labelled {
	var all []labelled
	for i, b := range items.BodySection {
		all = append(all, labelled{b, items.SectionLabels[i]})
	}
	if items.RFC822 {
		all = append(all, labelled{&goimap.FetchItemBodySection{}, "RFC822"})
	}
	if items.RFC822Header {
		all = append(all, labelled{&goimap.FetchItemBodySection{Specifier: goimap.PartSpecifierHeader}, "RFC822.HEADER"})
	}
	if items.RFC822Text {
		all = append(all, labelled{&goimap.FetchItemBodySection{Specifier: goimap.PartSpecifierText}, "RFC822.TEXT"})
	}
	return all
}
