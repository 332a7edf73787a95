package imapd

import (
	"slices"
	"strings"

	goimap "github.com/emersion/go-imap/v2"

	"smail/imap"
	"smail/maildir"
	"smail/session/roles"
)

// A mailbox is the selected one, as far as the client knows it.
type mailbox struct {
	*maildir.Folder
	readOnly bool
	exists   int // messages that the client was told of
	recent   int
	keywords int // how many the client was told of
	contexts []*context
	vanished bool        // VANISHED was sent since the command in hand began
	notSeen  bool        // that \Seen could not be set was logged
	own      imap.NumSet // UIDs of this session's new messages, which NOTIFY does not fetch
}

// systemFlags pairs IMAP's flags with the store's, in the order in which they
// are told.
var systemFlags = []struct {
	name goimap.Flag
	bit  maildir.Flags
}{{goimap.FlagAnswered, maildir.Replied}, {goimap.FlagFlagged, maildir.Flagged}, {goimap.FlagDeleted, maildir.Trashed},
	{goimap.FlagSeen, maildir.Seen}, {goimap.FlagDraft, maildir.Draft}}

// allBits are the flags that a client can set.
const allBits = maildir.Replied | maildir.Flagged | maildir.Trashed | maildir.Seen | maildir.Draft | maildir.AllKeywords

// keywordsOf returns those of a client's flags that are keywords.
func keywordsOf(fs []goimap.Flag) (names []string) {
	for _, f := range fs {
		if !strings.HasPrefix(string(f), `\`) {
			names = append(names, string(f))
		}
	}
	return names
}

// bitsOf returns the store's system flags for a client's.
func bitsOf(fs []goimap.Flag) (bits maildir.Flags) {
	for _, f := range fs {
		for _, known := range systemFlags {
			if equalFold(string(f), string(known.name)) {
				bits |= known.bit
			}
		}
	}
	return bits
}

// pick resolves a set of numbers or UIDs to places of messages that the client
// knows. gone says whether some of them are no longer there.
func (s *session) pick(set imap.NumSet, uid bool) (places []int, gone bool, err error) {
	spans, err := s.spans(set, uid)
	for _, r := range spans {
		places = slices.Grow(places, r.behind-r.first)
		for place := r.first; place < r.behind; place++ {
			if s.box.Gone(place) {
				gone = true
				continue
			}
			places = append(places, place)
		}
	}
	return places, gone, err
}

// A span is the places from first on, below behind.
type span struct{ first, behind int }

// spans resolves a set of numbers or UIDs to spans of messages that the client
// knows, of which some may be gone.
func (s *session) spans(set imap.NumSet, uid bool) (spans []span, err error) {
	b := s.box
	switch {
	case !uid && s.on.uidonly:
		return nil, errUIDRequired
	case set.IsSaved():
		set, uid = s.saved, true
	}
	if uid {
		if b.exists == 0 {
			return nil, nil
		}
		for _, r := range set.Resolve(b.Message(b.exists - 1).UID) {
			first, _ := b.ByUID(r.Start)
			behind, found := b.ByUID(r.Stop)
			if found {
				behind++
			}
			if behind = min(behind, b.exists); first < behind {
				spans = append(spans, span{first, behind})
			}
		}
		return spans, nil
	}
	for _, r := range set {
		if r.Start > uint32(b.exists) || r.Stop > uint32(b.exists) || b.exists == 0 {
			return nil, imap.Bad("No message has that number")
		}
	}
	for _, r := range set.Resolve(uint32(b.exists)) {
		spans = append(spans, span{int(r.Start) - 1, int(r.Stop)})
	}
	return spans, nil
}

// errUIDRequired: RFC 9586 section 3.
var errUIDRequired = &goimap.Error{Type: goimap.StatusResponseTypeBad, Code: "UIDREQUIRED", Text: "UIDONLY is on: use the command with UID"}

// set reads a set of numbers.
func (s *session) set() (imap.NumSet, error) {
	var set imap.NumSet
	if !s.d.SP() || !s.d.NumSet(&set) {
		return nil, s.d.Err()
	}
	return set, nil
}

func (s *session) closeBox() {
	s.closeTarget()         // what is selected next may be the same
	s.saved = imap.NumSet{} // RFC 5182 section 2.1
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
		if err := roles.MakeOffered(s.Store, name); err != nil {
			return nil, err
		}
		f, err = s.Store.OpenTarget(name)
	}
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
