package imapd

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"smail/imap"
	"smail/maildir"
	"smail/session/roles"
)

// esearch: RFC 7377 section 2.1, a search in several mailboxes.
func (s *session) esearch(bool) error {
	var sources []imap.Source
	var cmd imap.Search
	if !s.d.SP() || !s.d.MultiSearch(&sources, &cmd) || !s.d.CRLF() {
		return s.d.Err()
	}
	o := cmd.Return
	if o == nil {
		o = &imap.ReturnOptions{All: true}
	}
	if sources == nil {
		sources = []imap.Source{{Kind: "SELECTED"}}
	}
	for _, src := range sources {
		switch {
		case src.Kind == "SELECTED-DELAYED": // RFC 7377 section 2.2: it is NOTIFY's
			return imap.Bad("SELECTED-DELAYED is for NOTIFY")
		case src.Kind != "SELECTED" && (o.Save || o.Update):
			return imap.Bad("Only of the selected mailbox a search is saved or kept up to date")
		}
	}
	if o.Save || o.Update {
		if s.box == nil {
			return imap.Bad("No mailbox is selected")
		}
		return s.answerSearch("ESEARCH", true, nil, &cmd)
	}
	folders, err := s.sourceFolders(sources)
	if err != nil {
		return err
	}
	for _, folder := range folders {
		err := s.searchIn(folder, &cmd.Key, o)
		if err != nil && !errors.Is(err, maildir.ErrNoFolder) {
			return err
		}
	}
	return s.finish(!cmd.Key.HasNumbers(), "", "ESEARCH done")
}

// searchIn searches one folder and tells of what is found.
func (s *session) searchIn(folder string, key *imap.SearchKey, o *imap.ReturnOptions) error {
	name, ok := s.mailboxName(folder)
	if !ok {
		return nil
	}
	box, done, err := s.boxOf(name)
	if err != nil {
		return err
	}
	defer done()
	if key.HasNumbers() && box != s.box {
		return imap.Bad("Message numbers are those of the selected mailbox")
	}
	mine := key.Clone()
	q, err := s.newQuery(box, &mine)
	if err != nil {
		return err
	}
	places, err := q.run()
	if err != nil || len(places) == 0 {
		return err
	}
	s.tellESearch(&result{box: box, uid: true, places: places, modseq: q.modseq, source: s.sourceOf(box)}, o)
	return nil
}

// sourceOf says which mailbox a result is of: RFC 7377 section 2.1.
func (s *session) sourceOf(box *mailbox) string {
	name, _ := s.mailboxName(box.Name)
	return fmt.Sprintf(" MAILBOX %s UIDVALIDITY %d", imap.AppendMailbox(nil, name, s.w.UTF8), box.UIDValidity)
}

// sourceFolders returns the folders that sources stand for: RFC 7377 section
// 2.2, RFC 5465 section 6.
func (s *session) sourceFolders(sources []imap.Source) (folders []string, err error) {
	all, err := roles.List(s.Store)
	if err != nil {
		return nil, err
	}
	existing := slices.DeleteFunc(slices.Clone(all.Folders), func(f string) bool { return all.Offered[f] })
	for _, src := range sources {
		switch src.Kind {
		case "SELECTED", "SELECTED-DELAYED":
			if s.box == nil {
				return nil, imap.Bad("No mailbox is selected")
			}
			folders = append(folders, s.box.Name)
		case "PERSONAL", "INBOXES": // RFC 5465 section 6.3: what is delivered where is not known here
			folders = append(folders, existing...)
		case "SUBSCRIBED":
			subscribed, err := s.Store.Subscriptions()
			if err != nil {
				return nil, err
			}
			folders = append(folders, subscribed...)
		default:
			for _, name := range src.Names {
				folders = append(folders, s.below(name, src.Kind, existing)...)
			}
		}
	}
	slices.Sort(folders)
	return slices.Compact(folders), nil
}

// below returns a mailbox's folder and, for SUBTREE, those below it, for
// SUBTREE-ONE just one level.
func (s *session) below(name, kind string, existing []string) (folders []string) {
	folder, err := s.folderName(name)
	if err != nil {
		return nil
	}
	prefix := folder + separator
	if folder == maildir.Inbox && s.Prefix == prefix { // all are below INBOX to clients
		prefix = ""
	}
	for _, f := range existing {
		rest, ok := strings.CutPrefix(f, prefix)
		if f == folder || ok && (kind == "SUBTREE" || kind == "SUBTREE-ONE" && !strings.Contains(rest, separator)) {
			folders = append(folders, f)
		}
	}
	return folders
}
