package imapd

import (
	"fmt"
	"slices"
	"strings"

	"smail/imap"
	"smail/maildir"
	"smail/session/roles"
)

// maxMetadataEntries bounds what clients may note of one mailbox.
const maxMetadataEntries = 500

// metadataFolder returns where the metadata of a mailbox are, which is made if
// it is offered: "" for the server's own.
func (s *session) metadataFolder(mailbox string) (string, error) {
	if mailbox == "" {
		return "", nil
	}
	folder, err := s.folderName(mailbox)
	if err == nil {
		err = roles.MakeOffered(s.Store, folder)
	}
	return folder, err
}

// getMetadata: RFC 5464 section 4.2.
func (s *session) getMetadata(bool) error {
	var name string
	var o imap.MetadataOptions
	if !s.d.SP() || !s.d.GetMetadata(&name, &o) || !s.d.CRLF() {
		return s.d.Err()
	}
	folder, err := s.metadataFolder(name)
	if err != nil {
		return err
	}
	entries, err := s.Store.Metadata(folder)
	if err != nil {
		return err
	}
	wanted, tooLong := selectMetadata(entries, &o)
	for _, name := range o.Entries { // what was asked for by name is NIL where it is not there
		if entries[name] == nil && o.Depth == "0" && !slices.Contains(wanted, name) {
			wanted = append(wanted, name)
		}
	}
	if len(wanted) > 0 {
		s.tellEntries(name, entries, wanted)
	}
	code := ""
	if tooLong > 0 { // section 4.2.1
		code = fmt.Sprintf("METADATA LONGENTRIES %d", tooLong)
	}
	return s.ok(code, "GETMETADATA done")
}

// selectMetadata returns the names that GETMETADATA wants, and the size of the
// largest value that is larger than it wants.
func selectMetadata(entries map[string][]byte, o *imap.MetadataOptions) (names []string, tooLong int) {
	for name, value := range entries {
		if !slices.ContainsFunc(o.Entries, func(wanted string) bool { return within(name, wanted, o.Depth) }) {
			continue
		}
		if uint64(len(value)) > o.MaxSize {
			tooLong = max(tooLong, len(value))
			continue
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names, tooLong
}

// within says whether an entry is the one that is wanted, or below it: RFC 5464
// section 4.2.2.
func within(name, wanted, depth string) bool {
	rest, ok := strings.CutPrefix(name, wanted)
	switch {
	case !ok:
		return false
	case rest == "":
		return true
	case rest[0] != '/' || depth == "0":
		return false
	}
	return depth == "INFINITY" || strings.Count(rest, "/") == 1
}

// tellEntries sends a METADATA response with values: RFC 5464 section 4.4.1.
func (s *session) tellEntries(mailbox string, entries map[string][]byte, names []string) {
	s.w.Raw("* METADATA ").Mailbox(mailbox).Raw(" (")
	for i, name := range names {
		if i > 0 {
			s.w.Raw(" ")
		}
		s.w.AString(name).Raw(" ").Bytes(entries[name])
	}
	s.w.Raw(")").CRLF()
}

// tellMetadata sends LIST's METADATA response: RFC 9590 section 4. Entries that
// are not there are NIL.
func (s *session) tellMetadata(mailbox, folder string, o *imap.MetadataOptions) error {
	entries, err := s.Store.Metadata(folder)
	if err != nil {
		return err
	}
	s.tellEntries(mailbox, entries, o.Entries)
	return nil
}

// setMetadata: RFC 5464 section 4.3.
func (s *session) setMetadata(bool) error {
	var name string
	var changes []imap.MetadataEntry
	if !s.d.SP() || !s.d.SetMetadata(&name, &changes) || !s.d.CRLF() {
		return s.d.Err()
	}
	folder, err := s.metadataFolder(name)
	if err != nil {
		return err
	}
	for _, e := range changes {
		if e.Name == roles.Entry && e.Value != nil {
			if err := s.mayUse(folder, strings.Fields(string(e.Value))); err != nil {
				return err
			}
		}
	}
	err = s.Store.SetMetadata(folder, func(entries map[string][]byte) error {
		for _, e := range changes {
			if entries[e.Name] = e.Value; e.Value == nil {
				delete(entries, e.Name)
			}
		}
		if len(entries) > maxMetadataEntries {
			return imap.No("METADATA TOOMANY", "Too many entries")
		}
		return nil
	})
	if err == maildir.ErrMetadata {
		return imap.No("METADATA TOOMANY", "No room for more")
	}
	if err != nil {
		return err
	}
	for _, e := range changes {
		s.ownNote(folder, e.Name, e.Value)
	}
	return s.finish(true, "", "SETMETADATA done")
}

// mayUse refuses roles that are none, and those that another folder was given:
// RFC 6154 section 3.
func (s *session) mayUse(folder string, uses []string) error {
	for _, use := range uses {
		if folder == "" || folder == maildir.Inbox || !roles.Is(use) {
			return imap.No("USEATTR", "No such use for this mailbox")
		}
	}
	if len(uses) == 0 {
		return nil
	}
	folders, err := s.Store.Folders()
	if err != nil {
		return err
	}
	for _, other := range folders {
		entries, err := s.Store.Metadata(other)
		if err != nil {
			return err
		}
		for use := range strings.FieldsSeq(string(entries[roles.Entry])) {
			if other != folder && slices.ContainsFunc(uses, func(u string) bool { return equalFold(u, use) }) {
				return imap.No("USEATTR", "Another mailbox has that use")
			}
		}
	}
	return nil
}
