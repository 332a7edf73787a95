package imapd

import (
	"slices"
	"strings"

	goimap "github.com/emersion/go-imap/v2"

	"smail/imap"
	"smail/maildir"
)

// A mailbox is the selected one, as far as the client knows it.
type mailbox struct {
	*maildir.Folder
	readOnly bool
	exists   int // messages that the client was told of
	recent   int
	keywords int // how many the client was told of
}

var systemFlags = []goimap.Flag{goimap.FlagAnswered, goimap.FlagFlagged, goimap.FlagDeleted, goimap.FlagSeen, goimap.FlagDraft}

// flagBits pairs IMAP's flags with the store's.
var flagBits = map[goimap.Flag]maildir.Flags{
	goimap.FlagAnswered: maildir.Replied, goimap.FlagFlagged: maildir.Flagged, goimap.FlagDeleted: maildir.Trashed,
	goimap.FlagSeen: maildir.Seen, goimap.FlagDraft: maildir.Draft,
}

// allBits are the flags that a client can set.
const allBits = maildir.Replied | maildir.Flagged | maildir.Trashed | maildir.Seen | maildir.Draft | maildir.AllKeywords

func (b *mailbox) flagsOf(m maildir.Message) []goimap.Flag {
	fs := make([]goimap.Flag, 0, 6)
	for _, f := range systemFlags {
		if m.Flags&flagBits[f] != 0 {
			fs = append(fs, f)
		}
	}
	for _, name := range b.KeywordsOf(m.Flags) {
		fs = append(fs, goimap.Flag(name))
	}
	if m.Recent {
		fs = append(fs, `\Recent`)
	}
	return fs
}

// keywordsOf returns those of a client's flags that are keywords.
func keywordsOf(fs []goimap.Flag) (names []string) {
	for _, f := range fs {
		if !strings.HasPrefix(string(f), `\`) {
			names = append(names, string(f))
		}
	}
	return names
}

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

func (s *session) tellFlagList() {
	flags := slices.Clone(systemFlags)
	for _, name := range s.box.Keywords() {
		flags = append(flags, goimap.Flag(name))
	}
	s.w.Raw("* FLAGS ").Flags(flags).CRLF()
	switch {
	case s.box.readOnly:
		flags = nil
	case len(s.box.Keywords()) < maildir.MaxKeywords:
		flags = append(flags, goimap.FlagWildcard)
	}
	s.w.Raw("* OK [PERMANENTFLAGS ").Flags(flags).Raw("] Flags that last").CRLF()
}

// bitsOf returns the store's system flags for a client's.
func bitsOf(fs []goimap.Flag) (bits maildir.Flags) {
	for _, f := range fs {
		for known, bit := range flagBits {
			if equalFold(string(f), string(known)) {
				bits |= bit
			}
		}
	}
	return bits
}

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
	s.tellKeywords()
	for _, place := range b.Changed() {
		if m := b.Message(place); !m.Gone && place < b.exists {
			s.tellFlags(place, m, false)
		}
	}
	if expunge {
		numbers, _ := b.Forget()
		for _, n := range numbers {
			if int(n) > b.exists {
				continue // it came and went before the client heard of it
			}
			s.w.Raw("* ").Num(n).Raw(" EXPUNGE").CRLF()
			b.exists--
		}
	}
	if b.Len() != b.exists {
		b.exists = b.Len()
		s.w.Raw("* ").Num(uint32(b.exists)).Raw(" EXISTS").CRLF()
		b.recent = -1
	}
	if recent := b.Recent(); recent != b.recent {
		b.recent = recent
		s.w.Raw("* ").Num(uint32(recent)).Raw(" RECENT").CRLF()
	}
	return nil
}

// tellFlags sends a FETCH response with the flags of message i.
func (s *session) tellFlags(i int, m maildir.Message, uid bool) {
	s.w.Raw("* ").Num(uint32(i + 1)).Raw(" FETCH (")
	if uid {
		s.w.Raw("UID ").Num(m.UID).Raw(" ")
	}
	s.w.Raw("FLAGS ").Flags(s.box.flagsOf(m)).Raw(")").CRLF()
}

// pick resolves a set of numbers or UIDs to places of messages that the client
// knows. gone says whether some of them are no longer there.
func (b *mailbox) pick(set imap.NumSet, uid bool) (places []int, gone bool, err error) {
	if !uid {
		for _, r := range set {
			if r.Start > uint32(b.exists) || r.Stop > uint32(b.exists) || b.exists == 0 {
				return nil, false, imap.Bad("No message has that number")
			}
		}
		for _, r := range set.Resolve(uint32(b.exists)) {
			for n := r.Start; n <= r.Stop; n++ {
				if b.Message(int(n - 1)).Gone {
					gone = true
					continue
				}
				places = append(places, int(n-1))
			}
		}
		return places, gone, nil
	}
	if b.exists == 0 {
		return nil, false, nil
	}
	for _, r := range set.Resolve(b.Message(b.exists - 1).UID) {
		for i, _ := b.ByUID(r.Start); i < b.exists; i++ {
			m := b.Message(i)
			if m.UID > r.Stop {
				break
			}
			if !m.Gone {
				places = append(places, i)
			}
		}
	}
	return places, false, nil
}

// set reads a set of numbers.
func (s *session) set() (imap.NumSet, error) {
	var set imap.NumSet
	if !s.d.SP() || !s.d.NumSet(&set) {
		return nil, s.d.Err()
	}
	return set, nil
}

func (s *session) closeBox() {
	s.closeTarget() // what is selected next may be the same
	if s.box != nil {
		s.box.Close()
		s.box = nil
	}
}

// writable says whether the selected mailbox may be changed.
func (s *session) writable() error {
	if s.box.readOnly {
		return imap.No(goimap.ResponseCodeNoPerm, "Mailbox is open for reading only")
	}
	return nil
}

// open opens another folder for a delivery into it; the selected one is used
// as it is, for two locks on one folder would wait for each other. The last one
// stays open: clients put many messages into one folder.
func (s *session) open(mailbox string) (*maildir.Folder, error) {
	name, err := s.folderName(mailbox)
	if err == maildir.ErrNoFolder {
		return nil, imap.No(goimap.ResponseCodeTryCreate, "No such mailbox")
	}
	if err != nil {
		return nil, err
	}
	if s.target != nil && s.target.Name == name && s.target.Exists() {
		return s.target, nil
	}
	if s.box != nil && s.box.Name == name && s.box.Exists() {
		return s.box.Folder, nil
	}
	s.closeTarget()
	f, err := s.Store.OpenTarget(name)
	if err == maildir.ErrNoFolder {
		return nil, imap.No(goimap.ResponseCodeTryCreate, "No such mailbox")
	}
	if err != nil {
		return nil, err
	}
	if s.box != nil && s.box.Same(f) {
		f.Close()
		return s.box.Folder, nil
	}
	s.target = f
	return f, nil
}

func (s *session) closeTarget() {
	if s.target != nil {
		s.target.Close()
		s.target = nil
	}
}
