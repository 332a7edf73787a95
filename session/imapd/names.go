package imapd

import (
	"strings"

	"smail/imap"
	"smail/maildir"
)

// A client's mailbox name is UTF-8 behind the namespace's prefix; a folder's
// is modified UTF-7 without it.

// courierPrefix is before all names at a Courier. Clients that have learned it there go
// on with it: it is understood, but not told of. A Dovecot has folders of such names,
// below INBOX.
const courierPrefix = maildir.Inbox + separator

// folderName returns the folder of a mailbox. A trailing separator, with which
// clients say that they will make children, is passed over.
func (s *session) folderName(mailbox string) (string, error) {
	mailbox = strings.TrimSuffix(mailbox, separator)
	if mailbox == maildir.Inbox {
		return mailbox, nil
	}
	if s.Prefix != "" {
		rest, ok := cutPrefix(mailbox, s.Prefix)
		if !ok {
			return "", maildir.ErrNoFolder
		}
		return s.encoded(rest), nil
	}
	rest, ok := cutPrefix(mailbox, courierPrefix)
	if !ok {
		return s.encoded(mailbox), nil
	}
	below, alias := s.encoded(courierPrefix+rest), s.encoded(rest)
	if s.isAlias(below, alias) {
		return alias, nil
	}
	return below, nil
}

// isAlias says whether the client of a Courier means a folder, rather than one below
// INBOX: as what is there has it. Where no Courier has been there are no such clients.
func (s *session) isAlias(below, alias string) bool {
	if !s.Store.FromCourier() {
		return false
	}
	for below != maildir.Inbox {
		switch {
		case s.Store.Exists(below):
			return false
		case s.Store.Exists(alias):
			return true
		}
		below, alias = below[:strings.LastIndex(below, separator)], alias[:max(strings.LastIndex(alias, separator), 0)]
	}
	return true
}

// cutPrefix cuts a prefix off in whatever case, from what is more than that.
func cutPrefix(name, prefix string) (rest string, ok bool) {
	if len(name) <= len(prefix) || !strings.EqualFold(name[:len(prefix)], prefix) {
		return "", false
	}
	return name[len(prefix):], true
}

// encoded returns a folder's name, but as Courier has it, in UTF-8, as far down as there
// is such a folder.
func (s *session) encoded(name string) string {
	whole := imap.EncodeMailbox(name)
	if whole == name || s.Store.Exists(whole) {
		return whole
	}
	for end := len(name); end > 0; end = strings.LastIndex(name[:end], separator) {
		plain := name[:end]
		if encoded := imap.EncodeMailbox(plain); encoded != plain && s.Store.Exists(plain) && !s.Store.Exists(encoded) {
			return plain + imap.EncodeMailbox(name[end:])
		}
	}
	return whole
}

// mailboxName returns the mailbox of a folder, by the session's own prefix; false for a
// folder whose name is neither modified UTF-7 nor UTF-8.
func (s *session) mailboxName(folder string) (string, bool) {
	return mailboxName(s.Prefix, folder)
}

func mailboxName(prefix, folder string) (string, bool) {
	if folder == maildir.Inbox {
		return folder, true
	}
	name, err := imap.DecodeMailbox(folder)
	if err != nil {
		name, err = imap.CheckMailbox(folder)
	}
	return prefix + name, err == nil
}

// isNew refuses names that RFC 5198 section 2 has no use for, of which RFC 6855 section
// 3 lets no mailbox be made: those of other programs' making are served.
func isNew(name string) error {
	if strings.ContainsFunc(name, func(r rune) bool { return r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 }) {
		return maildir.ErrName
	}
	return nil
}
