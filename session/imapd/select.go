package imapd

import (
	"strings"

	"smail/imap"
	"smail/maildir"

	goimap "github.com/emersion/go-imap/v2"
)

// selectBox: RFC 3501 section 6.3.1.
func (s *session) selectBox(bool) error { return s.openBox(false) }

// examine: RFC 3501 section 6.3.2.
func (s *session) examine(bool) error { return s.openBox(true) }

func (s *session) openBox(readOnly bool) error {
	var name string
	if !s.d.SP() || !s.d.Mailbox(&name) || !s.d.CRLF() {
		return s.d.Err()
	}
	s.closeBox() // even if the new one cannot be opened
	folder, err := s.folderName(name)
	if err != nil {
		return err
	}
	f, err := s.Store.OpenFolder(folder, readOnly)
	if err != nil {
		return err
	}
	s.box = &mailbox{Folder: f, readOnly: readOnly}
	s.describe()
	if readOnly {
		return s.ok("READ-ONLY", "EXAMINE done")
	}
	return s.ok("READ-WRITE", "SELECT done")
}

// describe tells what a client must know of a mailbox: RFC 3501 section 6.3.1.
func (s *session) describe() {
	b := s.box
	firstUnseen := 0
	for i := 0; i < b.Len() && firstUnseen == 0; i++ {
		if m := b.Message(i); m.Flags&maildir.Seen == 0 && !m.Gone {
			firstUnseen = i + 1
		}
	}
	b.exists, b.recent = b.Len(), b.Recent()
	b.keywords = len(b.Keywords())
	s.tellFlagList()
	s.w.Raw("* ").Num(uint32(b.exists)).Raw(" EXISTS").CRLF()
	s.w.Raw("* ").Num(uint32(b.recent)).Raw(" RECENT").CRLF()
	if firstUnseen > 0 {
		s.w.Raw("* OK [UNSEEN ").Num(uint32(firstUnseen)).Raw("] First unseen").CRLF()
	}
	s.w.Raw("* OK [UIDVALIDITY ").Num(b.UIDValidity).Raw("] UIDs valid").CRLF()
	s.w.Raw("* OK [UIDNEXT ").Num(b.UIDNext()).Raw("] Next UID").CRLF()
}

// close: RFC 3501 section 6.4.2. Deleted messages go without a word.
func (s *session) close(bool) error {
	if !s.d.CRLF() {
		return s.d.Err()
	}
	if !s.box.readOnly {
		if err := s.expungeDeleted(nil); err != nil {
			return err
		}
	}
	s.closeBox()
	return s.ok("", "CLOSE done")
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
	var set imap.NumSet
	if uid && (!s.d.SP() || !s.d.NumSet(&set)) || !s.d.CRLF() {
		return s.d.Err()
	}
	if err := s.writable(); err != nil {
		return err
	}
	if err := s.expungeDeleted(set); err != nil {
		return err
	}
	return s.finish(true, "", "EXPUNGE done")
}

// expungeDeleted removes the messages with \Deleted; with a set only those
// whose UIDs are in it.
func (s *session) expungeDeleted(set imap.NumSet) error {
	if err := s.box.Sync(); err != nil { // others may have taken \Deleted back
		return err
	}
	n := s.box.Len()
	if set != nil && n > 0 {
		set = set.Resolve(s.box.Message(n - 1).UID)
	}
	var doomed []int
	for i := range n {
		if m := s.box.Message(i); m.Flags&maildir.Trashed != 0 && !m.Gone && (set == nil || set.Contains(m.UID)) {
			doomed = append(doomed, i)
		}
	}
	s.count.expunged += len(doomed)
	return s.box.Expunge(doomed)
}

// create: RFC 3501 section 6.3.3.
func (s *session) create(bool) error {
	folder, err := s.oneMailbox()
	if err != nil {
		return err
	}
	if folder == maildir.Inbox {
		return maildir.ErrExists
	}
	if err := s.Store.Create(folder); err != nil {
		return err
	}
	return s.ok("", "CREATE done")
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
	if err := s.Store.Delete(folder); err != nil {
		return err
	}
	return s.ok("", "DELETE done")
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
	if err != nil {
		return imap.No(goimap.ResponseCodeCannot, "Not a name for a mailbox")
	}
	switch {
	case target == maildir.Inbox:
		err = maildir.ErrExists
	case source == maildir.Inbox:
		err = s.renameInbox(target)
	default:
		if s.box != nil && (s.box.Name == source || strings.HasPrefix(s.box.Name, source+separator)) {
			s.closeBox()
		}
		err = s.Store.Rename(source, target)
	}
	if err != nil {
		return err
	}
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
	_, _, err = inbox.Move(all, dest)
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
	if err := s.Store.Subscribe(folder, on); err != nil {
		return err
	}
	return s.ok("", "Done")
}

// oneMailbox reads the one argument of many commands.
func (s *session) oneMailbox() (folder string, err error) {
	var name string
	if !s.d.SP() || !s.d.Mailbox(&name) || !s.d.CRLF() {
		return "", s.d.Err()
	}
	return s.folderName(name)
}
