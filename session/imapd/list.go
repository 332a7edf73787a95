package imapd

import (
	"slices"
	"strings"

	goimap "github.com/emersion/go-imap/v2"

	"smail/imap"
	"smail/maildir"
)

const separator = string(maildir.Separator)

// list: RFC 3501 section 6.3.8, with CHILDREN (RFC 3348) and the roles of
// SPECIAL-USE (RFC 6154 section 2).
func (s *session) list(bool) error {
	reference, pattern, err := s.listArgs()
	if err != nil {
		return err
	}
	if pattern == "" { // asks for the separator
		s.w.Raw(`* LIST (\Noselect) "` + separator + `" ""`).CRLF()
		return s.ok("", "LIST done")
	}
	folders, err := s.Store.Folders()
	if err != nil {
		return err
	}
	use := uses(folders)
	s.each(folders, reference+pattern, func(name, folder string, exists, children bool) {
		attrs := []goimap.Flag{goimap.Flag(goimap.MailboxAttrHasNoChildren)}
		if children {
			attrs[0] = goimap.Flag(goimap.MailboxAttrHasChildren)
		}
		if !exists {
			attrs = append(attrs, goimap.Flag(goimap.MailboxAttrNoSelect))
		}
		if u := use[folder]; u != "" {
			attrs = append(attrs, goimap.Flag(u))
		}
		s.w.Raw("* LIST ").Flags(attrs).Raw(` "` + separator + `" `).Mailbox(name).CRLF()
	})
	return s.ok("", "LIST done")
}

// lsub: RFC 3501 section 6.3.9.
func (s *session) lsub(bool) error {
	reference, pattern, err := s.listArgs()
	if err != nil {
		return err
	}
	names, err := s.Store.Subscriptions()
	if err != nil {
		return err
	}
	s.each(names, reference+pattern, func(name, _ string, subscribed, _ bool) {
		// A parent that is not subscribed to matters only to a pattern that
		// could not show the child: one with %.
		if !subscribed && !strings.HasSuffix(pattern, "%") {
			return
		}
		var attrs []goimap.Flag
		if !subscribed {
			attrs = []goimap.Flag{goimap.Flag(goimap.MailboxAttrNoSelect)}
		}
		s.w.Raw("* LSUB ").Flags(attrs).Raw(` "` + separator + `" `).Mailbox(name).CRLF()
	})
	return s.ok("", "LSUB done")
}

func (s *session) listArgs() (reference, pattern string, err error) {
	if !s.d.SP() || !s.d.AString(&reference) || !s.d.SP() || !s.d.ListMailbox(&pattern) || !s.d.CRLF() {
		return "", "", s.d.Err()
	}
	if len(reference)+len(pattern) > maxPattern {
		return "", "", imap.Bad("Pattern too long")
	}
	return reference, pattern, nil
}

// maxPattern bounds LIST's pattern; matching takes its length times the name's.
const maxPattern = 1000

// each calls tell for every mailbox that matches, parents that do not exist
// themselves included, in order.
func (s *session) each(folders []string, pattern string, tell func(name, folder string, exists, children bool)) {
	type entry struct {
		folder           string
		exists, children bool
	}
	all := map[string]*entry{}
	at := func(name string) *entry {
		if all[name] == nil {
			all[name] = &entry{}
		}
		return all[name]
	}
	for _, folder := range folders {
		name, ok := s.mailboxName(folder)
		if !ok {
			continue
		}
		e := at(name)
		e.folder, e.exists = folder, true
		for i := strings.LastIndex(name, separator); i > 0; i = strings.LastIndex(name[:i], separator) {
			if name[:i]+separator == s.Prefix {
				break
			}
			at(name[:i]).children = true
		}
	}
	if s.Prefix == maildir.Inbox+separator && len(folders) > 1 {
		at(maildir.Inbox).children = true
	}
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	wanted := pattern
	for _, name := range names {
		// Patterns come as clients write names: in modified UTF-7. INBOX has no case.
		encoded := imap.EncodeMailbox(name)
		match := imap.Match(wanted, encoded, maildir.Separator) ||
			name == maildir.Inbox && imap.Match(strings.ToUpper(wanted), name, maildir.Separator)
		if match {
			e := all[name]
			tell(name, e.folder, e.exists, e.children)
		}
	}
}

// status: RFC 3501 section 6.3.10.
func (s *session) status(bool) error {
	var name string
	var items []string
	if !s.d.SP() || !s.d.Mailbox(&name) || !s.d.SP() || !s.d.List(func() bool {
		var item string
		ok := s.d.Keyword(&item)
		items = append(items, item)
		return ok
	}) || !s.d.CRLF() {
		return s.d.Err()
	}
	for _, item := range items {
		if !slices.Contains([]string{"MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN"}, item) {
			return imap.Bad("Unknown STATUS item")
		}
	}
	folder, err := s.folderName(name)
	if err != nil {
		return err
	}
	f, err := s.Store.OpenFolder(folder, true)
	if err != nil {
		return err
	}
	defer f.Close()
	s.w.Raw("* STATUS ").Mailbox(name).Raw(" (")
	for i, item := range items {
		if i > 0 {
			s.w.Raw(" ")
		}
		s.w.Raw(item).Raw(" ").Num(statusOf(f, item))
	}
	s.w.Raw(")").CRLF()
	return s.finish(true, "", "STATUS done")
}

func statusOf(f *maildir.Folder, item string) uint32 {
	switch item {
	case "MESSAGES":
		return uint32(f.Len())
	case "UIDNEXT":
		return f.UIDNext()
	case "UIDVALIDITY":
		return f.UIDValidity
	}
	return uint32(f.Count(func(m maildir.Message) bool {
		return item == "UNSEEN" && m.Flags&maildir.Seen == 0 || item == "RECENT" && m.New
	}))
}
