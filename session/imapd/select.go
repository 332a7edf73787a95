package imapd

import (
	goimap "github.com/emersion/go-imap/v2"

	"smail/imap"
	"smail/maildir"
)

// selectBox: RFC 3501 section 6.3.1.
func (s *session) selectBox(bool) error { return s.openBox(false) }

// examine: RFC 3501 section 6.3.2.
func (s *session) examine(bool) error { return s.openBox(true) }

func (s *session) openBox(readOnly bool) error {
	var name string
	var p imap.SelectParams
	if !s.d.SP() || !s.d.Mailbox(&name) || !s.d.SelectParams(&p) || !s.d.CRLF() {
		return s.d.Err()
	}
	if p.QResync && !s.on.qresync { // RFC 7162 section 3.2.5
		return imap.Bad("QRESYNC needs ENABLE QRESYNC first")
	}
	if p.Seqs != nil && s.on.uidonly { // RFC 9586 section 3
		return errUIDRequired
	}
	s.on.condstore = s.on.condstore || p.CondStore
	if s.box != nil { // RFC 7162 section 3.2.11
		s.w.Status("*", goimap.StatusResponseTypeOK, "CLOSED", "Previous mailbox is closed")
	}
	s.closeBox() // even if the new one cannot be opened
	folder, err := s.folderName(name)
	if err != nil {
		return err
	}
	readOnly = readOnly || !s.Store.Writable(folder)
	f, err := s.openFolder(folder, readOnly)
	if err != nil {
		return err
	}
	s.box = &mailbox{Folder: f, readOnly: readOnly}
	if err := s.describe(name); err != nil {
		return err
	}
	if p.QResync && p.UIDValidity == f.UIDValidity {
		s.resync(&p)
	}
	if readOnly { // SELECT's too, where the file system is
		return s.ok("READ-ONLY", "Done")
	}
	return s.ok("READ-WRITE", "SELECT done")
}

// describe tells what a client must know of a mailbox: RFC 3501 section 6.3.1,
// RFC 9051 section 6.3.2.
func (s *session) describe(name string) error {
	b := s.box
	b.exists, b.recent = b.Len(), b.Recent()
	b.keywords = len(b.Keywords())
	s.tellFlagList()
	s.w.Raw("* ").Num(uint32(b.exists)).Raw(" EXISTS").CRLF()
	if s.on.rev2 {
		s.w.Raw(`* LIST () "` + separator + `" `).Mailbox(name).CRLF()
	} else {
		s.w.Raw("* ").Num(uint32(b.recent)).Raw(" RECENT").CRLF()
		if n := b.firstUnseen(); n > 0 && !s.on.uidonly {
			s.w.Raw("* OK [UNSEEN ").Num(n).Raw("] First unseen").CRLF()
		}
	}
	s.w.Raw("* OK [UIDVALIDITY ").Num(b.UIDValidity).Raw("] UIDs valid").CRLF()
	s.w.Raw("* OK [UIDNEXT ").Num(b.UIDNext()).Raw("] Next UID").CRLF()
	s.w.Raw("* OK [HIGHESTMODSEQ ").Num64(int64(b.HighestModSeq())).Raw("] Last change").CRLF()
	id, err := mailboxID(b.Folder)
	if err == nil { // RFC 8474 section 4.2
		s.w.Raw("* OK [MAILBOXID (" + id + ")] Id").CRLF()
	}
	return err
}

// firstUnseen returns the number of the first message without \Seen, 0 if
// there is none.
func (b *mailbox) firstUnseen() uint32 {
	for i := range b.Len() {
		if m := b.Message(i); m.Flags&maildir.Seen == 0 && !m.Gone {
			return uint32(i + 1)
		}
	}
	return 0
}

// resync tells what happened since the client was last here: RFC 7162 section
// 3.2.5.
func (s *session) resync(p *imap.SelectParams) {
	known := p.Known
	if known == nil {
		known = imap.NumSet{{Start: 1, Stop: 0}}
	}
	known = known.Resolve(max(s.box.UIDNext(), 1) - 1)
	s.tellVanished(p.ModSeq, known, s.box.agreed(p))
	for place := range s.box.Len() {
		if m := s.box.Message(place); m.ModSeq > p.ModSeq && !m.Gone && known.Contains(m.UID) {
			s.tellFlags(place, m, true)
		}
	}
}

// agreed returns up to which UID the client has just those messages that are
// here, by numbers and UIDs that it remembers: RFC 7162 section 3.2.5.2.
func (b *mailbox) agreed(p *imap.SelectParams) (last uint32) {
	seqs, uids := p.Seqs.Numbers(), p.UIDs.Numbers()
	for i := range min(len(seqs), len(uids)) {
		n := int(seqs[i])
		if n < 1 || n > b.Len() || b.Message(n-1).UID != uids[i] {
			break
		}
		last = uids[i]
	}
	return last
}

// tellVanished tells which of the UIDs in a set have gone since a modseq: RFC
// 7162 section 3.2.10. Up to agreed none has.
func (s *session) tellVanished(since uint64, set imap.NumSet, agreed uint32) {
	var vanished imap.NumSet
	if uids, ok := s.box.Vanished(since); ok {
		for _, uid := range uids {
			if set.Contains(uid) {
				vanished.Add(uid)
			}
		}
	} else {
		vanished = s.box.missing(set, agreed)
	}
	if len(vanished) > 0 {
		s.w.Raw("* VANISHED (EARLIER) ").Raw(vanished.String()).CRLF()
	}
}

// missing returns those UIDs of a set behind agreed that no message has.
func (b *mailbox) missing(set imap.NumSet, agreed uint32) (missing imap.NumSet) {
	for _, r := range set {
		next := uint64(max(r.Start, agreed+1))
		stop := min(uint64(r.Stop), uint64(b.UIDNext())-1)
		for i, _ := b.ByUID(uint32(next)); next <= stop; i++ {
			uid := stop + 1
			if i < b.Len() {
				uid = min(uid, uint64(b.Message(i).UID))
			}
			if uid > next {
				missing = append(missing, imap.NumRange{Start: uint32(next), Stop: uint32(uid - 1)})
			}
			next = uid + 1
		}
	}
	return missing
}

// close: RFC 3501 section 6.4.2. Deleted messages go without a word.
func (s *session) close(bool) error {
	if !s.d.CRLF() {
		return s.d.Err()
	}
	if !s.box.readOnly {
		if err := s.expungeDeleted(everything); err != nil {
			return err
		}
	}
	s.closeBox()
	return s.ok("", "CLOSE done") // without HIGHESTMODSEQ: RFC 7162 section 3.2.8
}

// unselect: RFC 3691 section 2.
func (s *session) unselect(bool) error {
	if !s.d.CRLF() {
		return s.d.Err()
	}
	s.closeBox()
	return s.ok("", "UNSELECT done")
}

// expunge: RFC 3501 section 6.4.3, UID EXPUNGE: RFC 4315 section 2.1.
func (s *session) expunge(uid bool) error {
	set := everything
	if uid {
		set = nil
	}
	if uid && (!s.d.SP() || !s.d.NumSet(&set)) || !s.d.CRLF() {
		return s.d.Err()
	}
	if set.IsSaved() {
		set = s.saved
	}
	if err := s.writable(); err != nil {
		return err
	}
	if err := s.expungeDeleted(set); err != nil {
		return err
	}
	return s.finish(true, "", "EXPUNGE done")
}

// everything is all UIDs.
var everything = imap.NumSet{{Start: 1, Stop: 0}}

// expungeDeleted removes those of the messages whose UIDs are in a set that
// have \Deleted.
func (s *session) expungeDeleted(set imap.NumSet) error {
	if err := s.box.Sync(); err != nil { // others may have taken \Deleted back
		return err
	}
	n := s.box.Len()
	if n > 0 {
		set = set.Resolve(s.box.Message(n - 1).UID)
	}
	var doomed []int
	for i := range n {
		if m := s.box.Message(i); m.Flags&maildir.Trashed != 0 && !m.Gone && set.Contains(m.UID) {
			doomed = append(doomed, i)
		}
	}
	s.count.expunged += len(doomed)
	return s.box.Expunge(doomed, func(now maildir.Flags) bool { return now&maildir.Trashed != 0 })
}
