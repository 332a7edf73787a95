package imapd

import (
	"fmt"
	"slices"
	"strconv"

	goimap "github.com/emersion/go-imap/v2"

	"smail/imap"
	"smail/maildir"
)

// update brings the mailbox up to date and tells the client: RFC 3501 section
// 5.2 and 7.
func (s *session) update(expunge bool) error {
	b := s.box
	if b == nil {
		return nil
	}
	b.Flush()
	if err := b.Sync(); err != nil {
		return err
	}
	var all []int // that have changed, for the searches that are kept up to date
	if len(b.contexts) > 0 {
		all = b.ChangedByAll()
	}
	var changed []int
	if !s.noFlags {
		changed = b.Changed()
	}
	var flags maildir.Flags
	for _, place := range changed {
		f, _ := b.Flags(place)
		flags |= f
	}
	b.LearnKeywords(flags)
	s.tellKeywords() // before a message has one
	for _, place := range changed {
		if m := b.Message(place); !m.Gone && place < b.exists {
			s.tellFlags(place, m, s.on.rev2 || s.notifying != nil)
		}
	}
	if err := s.tellRemoved(all, expunge); err != nil {
		return err
	}
	if expunge && len(b.contexts) > 0 {
		all = b.withoutGone(all)
	}
	if expunge {
		s.tellExpunged()
	}
	first := b.exists
	if b.Len() != b.exists {
		b.exists = b.Len()
		s.w.Raw("* ").Num(uint32(b.exists)).Raw(" EXISTS").CRLF()
		b.recent = -1
	}
	if recent := b.Recent(); recent != b.recent {
		b.recent = recent
		if !s.on.rev2 {
			s.w.Raw("* ").Num(uint32(recent)).Raw(" RECENT").CRLF()
		}
	}
	added, err := s.additions(all, first)
	if err != nil {
		return err
	}
	if err := s.fetchNew(first, added); err != nil {
		return err
	}
	for _, a := range added {
		s.tellChange(a.c, "ADDTO", a.at, b.Message(a.place).UID, a.place)
	}
	return nil
}

// withoutGone returns what places are called when those that are gone have none
// any more.
func (b *mailbox) withoutGone(places []int) (left []int) {
	gone := 0
	next := 0
	for _, place := range places {
		for ; next < place; next++ {
			if b.Message(next).Gone {
				gone++
			}
		}
		if !b.Message(place).Gone {
			left = append(left, place-gone)
		}
	}
	return left
}

// tellExpunged tells of messages that are gone: RFC 3501 section 7.4.1, or RFC
// 7162 section 3.2.10.
func (s *session) tellExpunged() {
	b := s.box
	numbers, uids := b.Forget()
	var vanished imap.NumSet
	for i, n := range numbers {
		if int(n) > b.exists {
			continue // it came and went before the client heard of it
		}
		b.exists--
		if s.on.qresync || s.on.uidonly {
			vanished.Add(uids[i])
		} else {
			s.w.Raw("* ").Num(n).Raw(" EXPUNGE").CRLF()
		}
	}
	if len(vanished) > 0 {
		s.w.Raw("* VANISHED ").Raw(vanished.String()).CRLF()
		b.vanished = true
	}
}

// appendHead begins a FETCH response; with UIDONLY it is a UIDFETCH: RFC 9586
// section 3.3.
func (s *session) appendHead(b []byte, place int, m maildir.Message) []byte {
	if s.on.uidonly {
		return append(strconv.AppendUint(append(b, "* "...), uint64(m.UID), 10), " UIDFETCH ("...)
	}
	return append(strconv.AppendUint(append(b, "* "...), uint64(place)+1, 10), " FETCH ("...)
}

func (s *session) fetchHead(place int, m maildir.Message) {
	s.w.Write(s.appendHead(s.w.AvailableBuffer(), place, m))
}

// tellFlags sends a FETCH response with the flags of a message, its modseq and
// UID where the client keeps such (RFC 7162 section 3.2.4), and its UID if that is
// asked for.
func (s *session) tellFlags(place int, m maildir.Message, uid bool) {
	s.fetchHead(place, m)
	if (uid || s.on.condstore) && !s.on.uidonly {
		s.w.Raw("UID ").Num(m.UID).Raw(" ")
	}
	s.w.Raw("FLAGS ")
	s.flags(m)
	if s.on.condstore {
		s.w.Raw(" MODSEQ (").Num64(int64(m.ModSeq)).Raw(")")
	}
	s.w.Raw(")").CRLF()
}

// tellModSeq sends a FETCH response with just a message's UID and new modseq.
func (s *session) tellModSeq(place int, m maildir.Message) {
	s.fetchHead(place, m)
	if !s.on.uidonly {
		s.w.Raw("UID ").Num(m.UID).Raw(" ")
	}
	s.w.Raw("MODSEQ (").Num64(int64(m.ModSeq)).Raw("))").CRLF()
}

// appendFlags appends a message's flags, without \Recent to those who know none:
// RFC 9051 appendix E.
func (s *session) appendFlags(b []byte, m maildir.Message) []byte {
	b = append(b, '(')
	empty := len(b)
	for i := range systemFlags {
		if f := &systemFlags[i]; m.Flags&f.bit != 0 {
			b = append(append(b, f.name...), ' ')
		}
	}
	if m.Flags&maildir.AllKeywords != 0 {
		for _, name := range s.box.KeywordsOf(m.Flags) {
			b = append(append(b, name...), ' ')
		}
	}
	if m.Recent && !s.on.rev2 {
		b = append(b, `\Recent `...)
	}
	if len(b) > empty {
		b = b[:len(b)-1]
	}
	return append(b, ')')
}

func (s *session) flags(m maildir.Message) { s.w.Write(s.appendFlags(s.w.AvailableBuffer(), m)) }

// tellKeywords sends FLAGS and PERMANENTFLAGS where the client has not been
// told of all keywords: RFC 3501 section 7.2.6.
func (s *session) tellKeywords() {
	b := s.box
	names := b.Keywords()
	if len(names) == b.keywords {
		return
	}
	b.keywords = len(names)
	s.tellFlagList()
}

// seeded are the keywords that clients look for before they use them.
var seeded = []string{"$Forwarded", "$Junk", "$MDNSent", "$NotJunk", "$Phishing"}

func (s *session) tellFlagList() {
	var flags []goimap.Flag
	for _, f := range systemFlags {
		flags = append(flags, f.name)
	}
	names := s.box.Keywords()
	for _, name := range names {
		flags = append(flags, goimap.Flag(name))
	}
	room := len(names) < maildir.MaxKeywords
	for _, name := range seeded {
		if room && !slices.ContainsFunc(names, func(known string) bool { return equalFold(known, name) }) {
			flags = append(flags, goimap.Flag(name))
		}
	}
	s.w.Raw("* FLAGS ").Flags(flags).CRLF()
	switch {
	case s.box.readOnly:
		flags = nil
	case room:
		flags = append(flags, goimap.FlagWildcard)
	}
	s.w.Raw("* OK [PERMANENTFLAGS ").Flags(flags).Raw("] Flags that last").CRLF()
}

// finish tells what happened meanwhile, and ends a command. EXPUNGE is told
// only where it may be: not after FETCH, STORE or SEARCH by number (RFC 3501
// section 7.4.1).
func (s *session) finish(expunge bool, code, text string) error {
	if err := s.update(expunge); err != nil {
		return err
	}
	if s.box == nil || !s.on.qresync {
		return s.ok(code, text)
	}
	// RFC 7162 sections 3.2 and 3.2.7: a client that keeps a modseq must not believe
	// that it knows of what it was not told.
	switch withheld := s.box.Withheld(); {
	case withheld > 0:
		s.tellHighest(withheld-1, "Messages are gone of which you hear later")
		s.box.vanished = true
	case s.box.vanished && code == "":
		code = fmt.Sprintf("HIGHESTMODSEQ %d", s.box.HighestModSeq())
	case s.box.vanished:
		s.tellHighest(s.box.HighestModSeq(), "Highest")
	}
	return s.ok(code, text)
}

func (s *session) tellHighest(modseq uint64, text string) {
	s.w.Status("*", goimap.StatusResponseTypeOK, fmt.Sprintf("HIGHESTMODSEQ %d", modseq), text)
}

// enableCondStore follows the first command that shows that the client keeps
// modseqs: RFC 7162 section 3.1.
func (s *session) enableCondStore() {
	if !s.on.condstore && s.box != nil {
		s.tellHighest(s.box.HighestModSeq(), "Highest")
	}
	s.on.condstore = true
}

// finishGone ends a command by number of which another session has removed
// messages. It did what it could: RFC 5530 section 3, EXPUNGEISSUED.
func (s *session) finishGone() error {
	return s.finish(false, "EXPUNGEISSUED", "Done, but for messages that are gone")
}
