package imapd

import (
	"slices"
	"strings"

	goimap "github.com/emersion/go-imap/v2"

	"smail/imap"
	"smail/logline"
	"smail/maildir"
	"smail/session/roles"
)

const separator = string(maildir.Separator)

// A listed mailbox is one that LIST may tell of.
type listed struct {
	name       string // as the client knows it
	folder     string
	exists     bool
	children   bool
	subscribed bool
	childInfo  bool // something below it is subscribed to, and does not show
}

// list: RFC 3501 section 6.3.8, LIST-EXTENDED: RFC 5258, with CHILDREN (RFC
// 3348), SPECIAL-USE (RFC 6154 section 2), LIST-STATUS (RFC 5819) and
// LIST-METADATA (RFC 9590).
func (s *session) list(bool) error {
	var l imap.List
	if !s.d.SP() || !s.d.ListArgs(&l) || !s.d.CRLF() {
		return s.d.Err()
	}
	if l.RecursiveMatch && !l.Subscribed { // RFC 5258 section 3.1
		return imap.Bad("RECURSIVEMATCH says how to select by another option")
	}
	if !l.Extended && l.Patterns[0] == "" { // asks for the separator
		s.w.Raw(`* LIST (\Noselect) "` + separator + `" ""`).CRLF()
		return s.ok("", "LIST done")
	}
	all, err := roles.List(s.Store)
	if err != nil {
		return err
	}
	subscriptions, err := s.subscriptions(all)
	if err != nil {
		return err
	}
	folders := all.Folders
	if l.Subscribed {
		folders = union(folders, subscriptions)
	}
	for _, m := range s.tree(&l, folders, subscriptions, all) {
		if err := s.listOne(&l, m, all); err != nil {
			return err
		}
	}
	return s.finish(true, "", "LIST done")
}

// listOne tells of a mailbox if LIST asks for it.
func (s *session) listOne(l *imap.List, m *listed, all *roles.Listing) error {
	use := all.Use[m.folder]
	switch {
	case !s.matches(l, m.name), l.SpecialUse && use == "":
		return nil
	case l.Subscribed && !m.subscribed && !m.childInfo:
		return nil
	case !l.Subscribed && !m.exists && !m.children:
		return nil
	}
	s.tellListed(m, attributes(m, use, l.Extended || s.on.rev2, l.Subscribed || l.ReturnSubscribed))
	if m.childInfo {
		s.w.Raw(` ("CHILDINFO" ("SUBSCRIBED"))`)
	}
	s.w.CRLF()
	if m.exists && (m.subscribed || !l.Subscribed) {
		return s.listMore(l, m, all)
	}
	return nil
}

// attributes returns a mailbox's: RFC 5258 section 3. The older way to say that it does
// not exist is another's, and subscriptions are for those who ask.
func attributes(m *listed, use string, extended, subscribed bool) []goimap.Flag {
	attrs := []goimap.Flag{goimap.Flag(goimap.MailboxAttrHasNoChildren)}
	if m.children {
		attrs[0] = goimap.Flag(goimap.MailboxAttrHasChildren)
	}
	if !m.exists && extended {
		attrs = append(attrs, goimap.Flag(goimap.MailboxAttrNonExistent))
	} else if !m.exists {
		attrs = append(attrs, goimap.Flag(goimap.MailboxAttrNoSelect))
	}
	if m.subscribed && subscribed {
		attrs = append(attrs, goimap.Flag(goimap.MailboxAttrSubscribed))
	}
	if use != "" {
		attrs = append(attrs, goimap.Flag(use))
	}
	return attrs
}

// tellListed begins a LIST response.
func (s *session) tellListed(m *listed, attrs []goimap.Flag) {
	s.w.Raw("* LIST ").Flags(attrs).Raw(` "` + separator + `" `).Mailbox(m.name)
}

// listMore sends what LIST wants of a mailbox besides. What cannot be told is
// left out: RFC 5819 section 2. An offered mailbox is made, as by STATUS.
func (s *session) listMore(l *imap.List, m *listed, all *roles.Listing) error {
	var failed error
	if all.Offered[m.folder] && len(l.Status) > 0 {
		failed = roles.MakeOffered(s.Store, m.folder)
	}
	if l.Metadata != nil && failed == nil && s.Store.Exists(m.folder) {
		failed = s.tellMetadata(m.name, m.folder, l.Metadata)
	}
	if len(l.Status) > 0 && failed == nil {
		failed = s.tellStatus(m.name, m.folder, l.Status)
	}
	if failed != nil && failed != maildir.ErrNoFolder {
		logline.Error("not told by LIST", "reason", failed.Error())
	}
	return s.w.Err()
}

// lsub: RFC 3501 section 6.3.9.
func (s *session) lsub(bool) error {
	var l imap.List
	if !s.d.SP() || !s.d.AString(&l.Reference) || !s.d.SP() {
		return s.d.Err()
	}
	l.Patterns = make([]string, 1)
	if !s.d.ListMailbox(&l.Patterns[0]) || !s.d.CRLF() {
		return s.d.Err()
	}
	if len(l.Reference)+len(l.Patterns[0]) > 1000 {
		return imap.Bad("Pattern too long")
	}
	all, err := roles.List(s.Store)
	if err != nil {
		return err
	}
	names, err := s.subscriptions(all)
	if err != nil {
		return err
	}
	for _, m := range s.tree(&l, names, names, all) {
		// A parent that is not subscribed to matters only to a pattern that
		// could not show the child: one with %.
		if !s.matches(&l, m.name) || !m.subscribed && !strings.HasSuffix(l.Patterns[0], "%") {
			continue
		}
		var attrs []goimap.Flag
		if !m.subscribed {
			attrs = []goimap.Flag{goimap.Flag(goimap.MailboxAttrNoSelect)}
		}
		s.w.Raw("* LSUB ").Flags(attrs).Raw(` "` + separator + `" `).Mailbox(m.name).CRLF()
	}
	return s.finish(true, "", "LSUB done")
}

// subscriptions returns the folders that are subscribed to; those that are
// offered are.
func (s *session) subscriptions(all *roles.Listing) ([]string, error) {
	names, err := s.Store.Subscriptions()
	for _, folder := range all.Folders {
		if all.Offered[folder] && !slices.Contains(names, folder) {
			names = append(names, folder)
		}
	}
	return names, err
}

func union(a, b []string) []string {
	all := append(slices.Clone(a), b...)
	slices.Sort(all)
	return slices.Compact(all)
}

// prefixFor returns the prefix under which LIST shows mailboxes: the session's,
// or Courier's if the client asks for that.
func (s *session) prefixFor(l *imap.List) string {
	for _, p := range l.Patterns {
		p = l.Reference + p
		if s.Prefix == "" && len(p) >= len(courierPrefix) && strings.EqualFold(p[:len(courierPrefix)], courierPrefix) && s.Store.FromCourier() {
			return courierPrefix
		}
	}
	return s.Prefix
}

// matches says whether a mailbox's name matches one of LIST's patterns. They
// come as clients write names: in modified UTF-7, or in UTF-8 if that is on.
// INBOX has no case.
func (s *session) matches(l *imap.List, name string) bool {
	written := name
	if !s.d.UTF8 {
		written = imap.EncodeMailbox(name)
	}
	for _, p := range l.Patterns {
		p = l.Reference + p
		if imap.Match(p, written, maildir.Separator) ||
			name == maildir.Inbox && imap.Match(strings.ToUpper(p), name, maildir.Separator) {
			return true
		}
	}
	return false
}

// tree returns folders as mailboxes by name, with parents that are none
// themselves.
func (s *session) tree(l *imap.List, folders, subscriptions []string, all *roles.Listing) []*listed {
	byName, prefix := map[string]*listed{}, s.prefixFor(l)
	someHidden := false // that the client would not hear of but for CHILDINFO: RFC 5258 section 3.5
	at := func(name string) *listed {
		if byName[name] == nil {
			byName[name] = &listed{name: name}
		}
		return byName[name]
	}
	for _, folder := range folders {
		name, ok := mailboxName(prefix, folder)
		if s.Prefix == "" && prefix != "" { // what is below INBOX goes by its own name, and before others
			if _, below := cutPrefix(folder, courierPrefix); below {
				name, ok = mailboxName("", folder)
			} else if folder != maildir.Inbox && slices.Contains(folders, prefix+folder) {
				continue
			}
		}
		if !ok {
			continue
		}
		m := at(name)
		m.folder, m.exists = folder, slices.Contains(all.Folders, folder)
		m.subscribed = slices.Contains(subscriptions, folder)
		hidden := l.RecursiveMatch && m.subscribed && !s.matches(l, name)
		someHidden = someHidden || hidden && folder != maildir.Inbox
		for i := strings.LastIndex(name, separator); i > 0; i = strings.LastIndex(name[:i], separator) {
			if name[:i]+separator == prefix {
				break
			}
			parent := at(name[:i])
			parent.children = parent.children || m.exists
			parent.childInfo = parent.childInfo || hidden
		}
	}
	if prefix == maildir.Inbox+separator && len(folders) > 1 {
		inbox := at(maildir.Inbox)
		inbox.children, inbox.childInfo = true, someHidden
	}
	list := make([]*listed, 0, len(byName))
	for _, m := range byName {
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b *listed) int { return strings.Compare(a.name, b.name) })
	return list
}
