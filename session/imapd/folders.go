package imapd

import (
	"errors"
	"strings"

	goimap "github.com/emersion/go-imap/v2"

	"smail/imap"
	"smail/maildir"
	"smail/session/roles"
)

// create: RFC 3501 section 6.3.3, USE: RFC 6154 section 3.
func (s *session) create(bool) error {
	var name string
	var uses []string
	if !s.d.SP() || !s.d.Mailbox(&name) {
		return s.d.Err()
	}
	if s.d.Try(' ') && !s.d.List(func() bool { return s.createParam(&uses) }) || !s.d.CRLF() {
		return s.d.Err()
	}
	folder, err := s.folderName(name)
	if err != nil {
		return err
	}
	if folder == maildir.Inbox {
		return maildir.ErrExists
	}
	if err := isNew(name); err != nil {
		return err
	}
	if err := s.mayUse(folder, uses); err != nil {
		return err
	}
	if err := s.Store.Create(folder); err != nil {
		return err
	}
	id, err := s.furnish(folder, uses)
	if err != nil { // then it was not created: RFC 3501 section 6.3.3
		return errors.Join(err, s.Store.Delete(folder))
	}
	s.ownNames()
	return s.finish(true, "MAILBOXID ("+id+")", "CREATE done") // RFC 8474 section 4.1
}

// furnish gives a new folder its roles and its id.
func (s *session) furnish(folder string, uses []string) (id string, err error) {
	if len(uses) > 0 {
		err := s.Store.SetMetadata(folder, func(entries map[string][]byte) error {
			entries[roles.Entry] = []byte(strings.Join(uses, " "))
			return nil
		})
		if err != nil {
			return "", err
		}
	}
	f, err := s.Store.OpenFolder(folder, true)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return mailboxID(f)
}

func (s *session) createParam(uses *[]string) bool {
	var word string
	if !s.d.Keyword(&word) {
		return false
	}
	if word != "USE" {
		return s.d.Fail(imap.Bad("Unknown CREATE parameter"))
	}
	return s.d.SP() && s.d.List(func() bool {
		var f goimap.Flag
		ok := s.d.Flag(&f)
		*uses = append(*uses, string(f))
		return ok
	})
}

// delete: RFC 3501 section 6.3.4.
func (s *session) delete(bool) error {
	folder, err := s.oneMailbox()
	if err != nil {
		return err
	}
	if folder == maildir.Inbox {
		return imap.No(goimap.ResponseCodeCannot, "INBOX stays")
	}
	if s.box != nil && s.box.Name == folder {
		s.closeBox()
	}
	if err := s.Store.Delete(folder); err != nil && !(err == maildir.ErrNoFolder && s.offers(folder)) {
		return err
	}
	s.ownNames()
	return s.finish(true, "", "DELETE done")
}

// rename: RFC 3501 section 6.3.5. INBOX stays, and its messages go.
func (s *session) rename(bool) error {
	var from, to string
	if !s.d.SP() || !s.d.Mailbox(&from) || !s.d.SP() || !s.d.Mailbox(&to) || !s.d.CRLF() {
		return s.d.Err()
	}
	source, err := s.folderName(from)
	if err != nil {
		return err
	}
	target, err := s.folderName(to)
	if err = errors.Join(err, isNew(to)); err != nil {
		return imap.No(goimap.ResponseCodeCannot, "Not a name for a mailbox")
	}
	switch {
	case target == maildir.Inbox:
		err = maildir.ErrExists
	case source == maildir.Inbox:
		err = s.renameInbox(target)
	default:
		if err := roles.MakeOffered(s.Store, source); err != nil {
			return err
		}
		s.closeTarget()
		if err = s.Store.Rename(source, target); err == nil && s.box != nil {
			if rest, ok := strings.CutPrefix(s.box.Name+separator, source+separator); ok { // it stays open
				s.box.Name = strings.TrimSuffix(target+separator+rest, separator)
			}
		}
	}
	if err != nil {
		return err
	}
	s.ownNames()
	return s.finish(true, "", "RENAME done")
}

func (s *session) renameInbox(target string) error {
	if err := s.Store.Create(target); err != nil {
		return err
	}
	inbox := (*maildir.Folder)(nil)
	if s.box != nil && s.box.Name == maildir.Inbox {
		inbox = s.box.Folder
	} else {
		f, err := s.Store.OpenFolder(maildir.Inbox, true)
		if err != nil {
			return err
		}
		defer f.Close()
		inbox = f
	}
	if err := inbox.Sync(); err != nil {
		return err
	}
	dest, err := s.Store.OpenTarget(target)
	if err != nil {
		return err
	}
	defer dest.Close()
	all := make([]int, inbox.Len())
	for i := range all {
		all[i] = i
	}
	_, _, err = inbox.Move(all, dest, func() error { return nil })
	return err
}

// subscribe: RFC 3501 section 6.3.6.
func (s *session) subscribe(bool) error { return s.setSubscribed(true) }

// unsubscribe: RFC 3501 section 6.3.7.
func (s *session) unsubscribe(bool) error { return s.setSubscribed(false) }

func (s *session) setSubscribed(on bool) error {
	folder, err := s.oneMailbox()
	if err != nil {
		return err
	}
	if all, err := roles.List(s.Store); err != nil {
		return err
	} else if all.Offered[folder] && !on { // as long as it is only offered it is subscribed to
		if err := roles.MakeOffered(s.Store, folder); err != nil {
			return err
		}
	}
	if err := s.Store.Subscribe(folder, on); err != nil {
		return err
	}
	s.ownNames()
	return s.finish(true, "", "Done")
}

// oneMailbox reads the one argument of many commands.
func (s *session) oneMailbox() (folder string, err error) {
	var name string
	if !s.d.SP() || !s.d.Mailbox(&name) || !s.d.CRLF() {
		return "", s.d.Err()
	}
	return s.folderName(name)
}
