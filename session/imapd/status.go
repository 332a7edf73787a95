package imapd

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"smail/imap"
	"smail/maildir"
	"smail/session/roles"
)

// status: RFC 3501 section 6.3.10.
func (s *session) status(bool) error {
	var name string
	var items []string
	if !s.d.SP() || !s.d.Mailbox(&name) || !s.d.SP() || !s.d.StatusItems(&items) || !s.d.CRLF() {
		return s.d.Err()
	}
	folder, err := s.folderName(name)
	if err != nil {
		return err
	}
	if err := roles.MakeOffered(s.Store, folder); err != nil {
		return err
	}
	if err := s.tellStatus(name, folder, items); err != nil {
		return err
	}
	if s.box != nil && s.box.Name == folder { // RFC 5530 section 3
		return s.finish(true, "CLIENTBUG", "STATUS done, of the mailbox that is open")
	}
	return s.finish(true, "", "STATUS done")
}

// tellStatus sends a STATUS response.
func (s *session) tellStatus(name, folder string, items []string) error {
	if slices.Contains(items, "HIGHESTMODSEQ") { // RFC 7162 section 3.1
		s.enableCondStore()
	}
	text, err := s.statusItems(folder, items)
	if err != nil {
		return err
	}
	s.w.Raw("* STATUS ").Mailbox(name).Raw(" (" + text + ")").CRLF()
	return nil
}

// statusItems returns items with their values, as STATUS has them.
func (s *session) statusItems(folder string, items []string) (string, error) {
	f, err := s.Store.OpenFolder(folder, true)
	if err != nil {
		return "", err
	}
	defer f.Close()
	values := make([]string, len(items))
	for i, item := range items {
		value, err := s.statusOf(f, item)
		if err != nil {
			return "", err
		}
		values[i] = item + " " + value
	}
	return strings.Join(values, " "), nil
}

func (s *session) statusOf(f *maildir.Folder, item string) (string, error) {
	n := int64(0)
	switch item {
	case "MESSAGES":
		n = int64(f.Len())
	case "UIDNEXT":
		n = int64(f.UIDNext())
	case "UIDVALIDITY":
		n = int64(f.UIDValidity)
	case "UNSEEN":
		n = int64(f.Count(func(m maildir.Message) bool { return m.Flags&maildir.Seen == 0 }))
	case "RECENT":
		n = int64(f.Count(func(m maildir.Message) bool { return m.New }))
	case "DELETED":
		n = int64(f.Count(func(m maildir.Message) bool { return m.Flags&maildir.Trashed != 0 }))
	case "HIGHESTMODSEQ":
		n = int64(f.HighestModSeq())
	case "APPENDLIMIT":
		n = s.MaxMessageSize
	case "MAILBOXID":
		id, err := mailboxID(f)
		return "(" + id + ")", err
	case "SIZE", "DELETED-STORAGE":
		var err error
		if n, err = s.sizeOf(f, item == "DELETED-STORAGE"); err != nil {
			return "", err
		}
	}
	return imap.FormatNumber(n), nil
}

// sizeOf adds up the sizes of a folder's messages, or of those with \Deleted.
// RFC 8438 section 2: it is the sum of RFC822.SIZE.
func (s *session) sizeOf(f *maildir.Folder, deleted bool) (sum int64, err error) {
	defer f.Flush()
	box := &mailbox{Folder: f}
	for place := range f.Len() {
		m := f.Message(place)
		if m.Gone || deleted && m.Flags&maildir.Trashed == 0 {
			continue
		}
		if m.CRLF < 0 {
			r := s.read(box, place)
			err := r.measure()
			r.close()
			if errors.Is(err, maildir.ErrGone) {
				continue
			}
			if err != nil {
				return 0, err
			}
			m.CRLF = r.m.CRLF
		}
		sum += m.CRLF
	}
	return sum, nil
}

// mailboxID returns what a folder is known by, whatever its name: RFC 8474
// section 4.
func mailboxID(f *maildir.Folder) (string, error) {
	guid, err := f.FolderGUID()
	if guid == "" { // Dovecot version 1, or a folder where nothing can be written
		guid = imap.FormatNumber(int64(f.UIDValidity))
	}
	return objectID("F", guid), err
}

// objectID makes an id of the letters that RFC 8474 section 3 allows.
func objectID(kind, guid string) string {
	sum := sha256.Sum256([]byte(guid))
	return kind + hex.EncodeToString(sum[:16])
}
