package imapd

import (
	"strings"

	"smail/imap"
	"smail/maildir"
)

// A client's mailbox name is UTF-8 behind the namespace's prefix; a folder's
// is modified UTF-7 without it.

// courierPrefix is before all names at a Courier. Clients that have learned it
// there go on with it: it is understood, but not told of.
const courierPrefix = "INBOX."

// folderName returns the folder of a mailbox. A trailing separator, with which
// clients say that they will make children, is passed over.
func (s *session) folderName(mailbox string) (string, error) {
	mailbox = strings.TrimSuffix(mailbox, string(maildir.Separator))
	if mailbox == maildir.Inbox {
		return mailbox, nil
	}
	name, ok := strings.CutPrefix(mailbox, s.Prefix)
	if s.Prefix == "" && len(mailbox) > len(courierPrefix) && strings.EqualFold(mailbox[:len(courierPrefix)], courierPrefix) {
		name = mailbox[len(courierPrefix):]
	}
	if !ok {
		if s.Prefix == "" || len(mailbox) <= len(s.Prefix) || !strings.EqualFold(mailbox[:len(s.Prefix)], s.Prefix) {
			return "", maildir.ErrNoFolder
		}
		name = mailbox[len(s.Prefix):]
	}
	encoded := imap.EncodeMailbox(name)
	if encoded != name && !s.Store.Exists(encoded) && s.Store.Exists(name) {
		return name, nil // Courier names folders in UTF-8
	}
	return encoded, nil
}

// mailboxName returns the mailbox of a folder, by the session's own prefix;
// false for a folder whose name is not modified UTF-7.
func (s *session) mailboxName(folder string) (string, bool) {
	return mailboxName(s.Prefix, folder)
}

func mailboxName(prefix, folder string) (string, bool) {
	if folder == maildir.Inbox {
		return folder, true
	}
	name, err := imap.DecodeMailbox(folder)
	return prefix + name, err == nil
}
