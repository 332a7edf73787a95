package imapd

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"

	"smail/imap"
	"smail/maildir"
	"smail/session/roles"
)

// ownNames takes note of folders and subscriptions that this session has changed, of
// which it is not told: RFC 5465 section 5.
func (s *session) ownNames() {
	nt := s.notifying
	if nt == nil {
		return
	}
	if all, err := roles.List(s.Store); err == nil {
		nt.folders = all.Folders
		nt.watch.Add(all.Folders)
		if names, err := s.subscriptions(all); err == nil {
			nt.subscriptions = names
		}
	}
	s.ownNotes()
}

// newNames tells of folders and subscriptions that have come or gone, and of folders
// that have another name: RFC 5465 section 5.4 and 5.5. It returns the folders that
// are watched from now on.
func (s *session) newNames(renamed map[string]string) (watched []string, err error) {
	all, err := roles.List(s.Store)
	if err != nil {
		return nil, err
	}
	subscriptions, err := s.subscriptions(all)
	if err != nil {
		return nil, err
	}
	nt := s.notifying
	before, subscribed := nt.folders, nt.subscriptions
	nt.folders, nt.subscriptions = all.Folders, subscriptions
	watched = nt.watch.Add(all.Folders)
	come, gone := less(all.Folders, before), less(before, all.Folders)
	maps.DeleteFunc(renamed, func(now, old string) bool { return !slices.Contains(come, now) || !slices.Contains(gone, old) })
	var named []string // affected by MailboxName
	for _, folder := range union(come, gone) {
		if old := renamed[folder]; old != "" {
			if text, ok := nt.told[old]; ok {
				nt.told[folder] = text
			}
			if entries, ok := nt.notes[old]; ok {
				nt.notes[folder] = entries
			}
		} else if !slices.Contains(slices.Collect(maps.Values(renamed)), folder) {
			named = append(named, folder, s.parent(folder))
		}
	}
	for _, folder := range gone {
		delete(nt.told, folder)
		delete(nt.notes, folder)
	}
	changed := union(less(subscriptions, subscribed), less(subscribed, subscriptions))
	named = slices.DeleteFunc(union(named, nil), func(folder string) bool { return folder == "" || !s.wants(folder, "MAILBOXNAME") })
	changed = slices.DeleteFunc(changed, func(folder string) bool { return !s.wants(folder, "SUBSCRIPTIONCHANGE") })
	s.tellNames(all, union(named, changed), renamed)
	return watched, nil
}

// less returns what of a is not in b.
func less(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(name string) bool { return slices.Contains(b, name) })
}

// parent returns the folder that one is below of; "" where there is none.
func (s *session) parent(folder string) string {
	if i := strings.LastIndex(folder, separator); i > 0 {
		return folder[:i]
	}
	if s.Prefix == maildir.Inbox+separator && folder != maildir.Inbox {
		return maildir.Inbox
	}
	return ""
}

// tellNames sends LIST responses for folders as they are now, whether they are there
// or not, and for those that have another name, but not for what is below such: RFC
// 5465 section 5.4.
func (s *session) tellNames(all *roles.Listing, folders []string, renamed map[string]string) {
	for now, old := range renamed {
		if !s.wants(now, "MAILBOXNAME") && !s.wants(old, "MAILBOXNAME") {
			continue
		}
		if i := strings.LastIndex(now, separator); i < 0 || renamed[now[:i]]+now[i:] != old {
			folders = append(folders, now)
		}
	}
	folders = union(folders, nil)
	shown := union(union(all.Folders, s.notifying.subscriptions), folders)
	for _, m := range s.tree(&imap.List{}, shown, s.notifying.subscriptions, all) {
		if !slices.Contains(folders, m.folder) {
			continue
		}
		s.tellListed(m, attributes(m, all.Use[m.folder], true, true))
		if old, ok := s.mailboxName(renamed[m.folder]); ok && renamed[m.folder] != "" {
			s.w.Raw(` ("OLDNAME" (`).Mailbox(old).Raw("))")
		}
		s.w.CRLF()
	}
}

// hasNotes says whether the client wants to hear of metadata.
func (nt *notifier) hasNotes() bool {
	return slices.ContainsFunc(nt.groups, func(g imap.NotifyGroup) bool {
		return g.Has("MAILBOXMETADATACHANGE") || g.Has("SERVERMETADATACHANGE")
	})
}

// wantsNotes says whether the client wants to hear of a folder's metadata, or for ""
// of the server's.
func (s *session) wantsNotes(folder string) bool {
	if folder == "" {
		return slices.ContainsFunc(s.notifying.groups, func(g imap.NotifyGroup) bool { return g.Has("SERVERMETADATACHANGE") })
	}
	return s.wants(folder, "MAILBOXMETADATACHANGE")
}

// ownNotes takes note of the metadata of folders that the client was told of, or has
// made, but of none where it was told something already.
func (s *session) ownNotes() {
	nt := s.notifying
	for _, folder := range append([]string{""}, nt.folders...) {
		if _, known := nt.notes[folder]; known || !s.wantsNotes(folder) {
			continue
		}
		if entries, err := s.Store.Metadata(folder); err == nil {
			nt.notes[folder] = entries
		}
	}
}

// ownNote takes note of an entry that this session has changed.
func (s *session) ownNote(folder, entry string, value []byte) {
	if nt := s.notifying; nt != nil && nt.notes[folder] != nil {
		if nt.notes[folder][entry] = value; value == nil {
			delete(nt.notes[folder], entry)
		}
	}
}

// newNotes tells which metadata of a folder have changed: RFC 5465 sections 5.6 and
// 5.7, with the response of RFC 5464 section 4.4.2.
func (s *session) newNotes(folder string) error {
	if !s.wantsNotes(folder) {
		return nil
	}
	entries, err := s.Store.Metadata(folder)
	if errors.Is(err, maildir.ErrNoFolder) {
		return nil
	}
	if err != nil {
		return err
	}
	before := s.notifying.notes[folder]
	s.notifying.notes[folder] = entries
	var changed []string
	for _, all := range []map[string][]byte{before, entries} {
		for entry := range all {
			was, had := before[entry]
			if is, has := entries[entry]; had != has || !bytes.Equal(was, is) {
				changed = append(changed, entry)
			}
		}
	}
	name, ok := "", true
	if folder != "" {
		name, ok = s.mailboxName(folder)
	}
	if !ok || len(changed) == 0 {
		return nil
	}
	s.w.Raw("* METADATA ").Mailbox(name)
	for _, entry := range union(changed, nil) {
		s.w.Raw(" ").AString(entry)
	}
	s.w.CRLF()
	return nil
}
