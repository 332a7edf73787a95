package imapd

import (
	"strings"

	"smail/imap"
	"smail/maildir"
)

// A client's mailbox name is UTF-8 behind the namespace's prefix; a folder's
// is modified UTF-7 without it.

// folderName returns the folder of a mailbox. A trailing separator, with which
// clients say that they will make children, is passed over.
func (s *session) folderName(mailbox string) (string, error) {
	mailbox = strings.TrimSuffix(mailbox, string(maildir.Separator))
	if mailbox == maildir.Inbox {
		return mailbox, nil
	}
	name, ok := strings.CutPrefix(mailbox, s.Prefix)
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

// mailboxName returns the mailbox of a folder; false for a folder whose name
// is not modified UTF-7.
func (s *session) mailboxName(folder string) (string, bool) {
	if folder == maildir.Inbox {
		return folder, true
	}
	name, err := imap.DecodeMailbox(folder)
	return s.Prefix + name, err == nil
}

// specialUse are the roles that common names stand for: RFC 6154.
var specialUse = map[string]string{
	"sent": `\Sent`, "sent items": `\Sent`, "sent messages": `\Sent`,
	"drafts": `\Drafts`, "trash": `\Trash`, "deleted items": `\Trash`, "deleted messages": `\Trash`,
	"junk": `\Junk`, "spam": `\Junk`, "junk e-mail": `\Junk`,
	"archive": `\Archive`, "archives": `\Archive`,
}

// uses returns the role of each folder that has one. A role goes to one folder.
func uses(folders []string) map[string]string {
	byFolder, taken := map[string]string{}, map[string]bool{}
	for _, f := range folders {
		use := specialUse[strings.ToLower(f)]
		if use != "" && !taken[use] {
			byFolder[f], taken[use] = use, true
		}
	}
	return byFolder
}
