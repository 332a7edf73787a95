package imapd

import (
	"errors"
	"slices"
	"strings"

	goimap "github.com/emersion/go-imap/v2"

	"smail/imap"
	"smail/maildir"
	"smail/session/roles"
)

// A notifier is what the client wants to hear of without asking: RFC 5465.
type notifier struct {
	groups        []imap.NotifyGroup
	watch         *maildir.TreeWatch
	told          map[string]string // the last STATUS of each folder
	folders       []string          // that the client was told of
	subscriptions []string
}

// notify: RFC 5465 section 3.
func (s *session) notify(bool) error {
	var n imap.Notify
	if !s.d.SP() || !s.d.Notify(&n) || !s.d.CRLF() {
		return s.d.Err()
	}
	s.stopNotifying()
	if s.deaf = len(n.Groups) == 0; s.deaf {
		return s.finish(true, "", "NOTIFY done")
	}
	all, err := roles.List(s.Store)
	if err != nil {
		return err
	}
	nt := &notifier{groups: n.Groups, told: map[string]string{}, folders: all.Folders}
	if nt.subscriptions, err = s.Store.Subscriptions(); err != nil {
		return err
	}
	nt.watch = s.Store.WatchTree(all.Folders, s.conn.Interrupt)
	s.notifying = nt
	for _, folder := range all.Folders { // how they are now need not be told again
		if all.Offered[folder] || !s.wantsStatus(folder) {
			continue
		}
		if nt.told[folder], err = s.statusText(folder); err != nil {
			return err
		}
		if n.Status && !s.isSelected(folder) {
			s.tellNotified(folder)
		}
	}
	return s.finish(true, "", "NOTIFY done")
}

func (s *session) stopNotifying() {
	if s.notifying != nil {
		s.notifying.watch.Stop()
		s.notifying = nil
		s.conn.Calm()
	}
}

func (s *session) isSelected(folder string) bool { return s.box != nil && s.box.Name == folder }

// wants says whether the client wants to hear of an event in a folder that is not
// selected, by one of the groups that have it: RFC 5465 section 6.
func (s *session) wants(folder, event string) bool {
	for i := range s.notifying.groups {
		g := &s.notifying.groups[i]
		if strings.HasPrefix(g.Source.Kind, "SELECTED") {
			continue
		}
		in := g.Source.Kind == "PERSONAL" || g.Source.Kind == "INBOXES" || // into which mail may be filed, who knows
			g.Source.Kind == "SUBSCRIBED" && slices.Contains(s.notifying.subscriptions, folder)
		for _, name := range g.Source.Names {
			in = in || len(s.below(name, g.Source.Kind, []string{folder})) > 0
		}
		if in && g.Has(event) {
			return true
		}
	}
	return false
}

func (s *session) wantsStatus(folder string) bool { return s.wants(folder, "MESSAGENEW") }

// selectedGroup returns what the client wants of the selected mailbox.
func (s *session) selectedGroup() *imap.NotifyGroup {
	if s.notifying == nil || s.box == nil {
		return nil
	}
	for i := range s.notifying.groups {
		if g := &s.notifying.groups[i]; strings.HasPrefix(g.Source.Kind, "SELECTED") {
			return g
		}
	}
	return nil
}

// updateUnasked tells of the selected mailbox what the client has not asked for in a
// command, as far as NOTIFY lets: RFC 5465 sections 3.1 and 4.
func (s *session) updateUnasked() error {
	if s.notifying == nil {
		if s.deaf {
			return nil
		}
		return s.update(true)
	}
	g := s.selectedGroup()
	if g == nil || !g.Has("MESSAGENEW") {
		return nil
	}
	s.noFlags = !g.Has("FLAGCHANGE")
	defer func() { s.noFlags = false }()
	return s.update(g.Source.Kind == "SELECTED" || s.idling)
}

// news tells of what was heard, between commands and in IDLE.
func (s *session) news() error {
	heard, names := s.notifying.watch.Heard()
	if s.box != nil && slices.Contains(heard, s.box.Name) {
		if err := s.updateUnasked(); err != nil {
			return err
		}
	}
	if names {
		watched, err := s.newNames()
		if err != nil {
			return err
		}
		heard = union(heard, watched) // mail may have come before it was watched
	}
	for _, folder := range heard {
		if s.isSelected(folder) || !s.wantsStatus(folder) || !s.Store.Exists(folder) {
			continue
		}
		text, err := s.statusText(folder)
		if errors.Is(err, maildir.ErrNoFolder) || err != nil && !s.Store.Exists(folder) { // it is just being deleted
			continue
		}
		if err != nil {
			return err
		}
		told, known := s.notifying.told[folder]
		s.notifying.told[folder] = text
		if told != text && (known || !strings.HasPrefix(text, "MESSAGES 0 ")) { // else it is as LIST let expect
			s.tellNotified(folder)
		}
	}
	return nil
}

// statusText is what STATUS says of a folder that is not selected: RFC 5465
// section 5.
func (s *session) statusText(folder string) (string, error) {
	items := []string{"MESSAGES", "UIDNEXT", "UIDVALIDITY", "UNSEEN"}
	if s.on.condstore || s.wants(folder, "FLAGCHANGE") { // RFC 5465 section 3.1
		items = append(items, "HIGHESTMODSEQ")
	}
	return s.statusItems(folder, items)
}

func (s *session) tellNotified(folder string) {
	if name, ok := s.mailboxName(folder); ok {
		s.w.Raw("* STATUS ").Mailbox(name).Raw(" (" + s.notifying.told[folder] + ")").CRLF()
	}
}

// ownNames takes note of folders and subscriptions that this session has changed, of
// which it is not told: RFC 5465 section 5.
func (s *session) ownNames() {
	if nt := s.notifying; nt != nil {
		if all, err := roles.List(s.Store); err == nil {
			nt.folders = all.Folders
			nt.watch.Add(all.Folders)
		}
		if names, err := s.Store.Subscriptions(); err == nil {
			nt.subscriptions = names
		}
	}
}

// ownMessages takes note of messages that this session has put into a folder.
func (s *session) ownMessages(folder string, first, last uint32) {
	if g := s.selectedGroup(); g != nil && g.New != nil && s.isSelected(folder) {
		s.box.own = append(s.box.own, imap.NumRange{Start: first, Stop: last})
	}
	if s.notifying != nil && !s.isSelected(folder) && s.wantsStatus(folder) {
		if text, err := s.statusText(folder); err == nil {
			s.notifying.told[folder] = text
		}
	}
}

// newNames tells of folders and subscriptions that have come or gone: RFC 5465
// section 5.4 and 5.5. It returns the folders that are watched from now on.
func (s *session) newNames() (watched []string, err error) {
	all, err := roles.List(s.Store)
	if err != nil {
		return nil, err
	}
	subscriptions, err := s.Store.Subscriptions()
	if err != nil {
		return nil, err
	}
	nt := s.notifying
	before, subscribed := nt.folders, nt.subscriptions
	nt.folders, nt.subscriptions = all.Folders, subscriptions
	watched = nt.watch.Add(all.Folders)
	for _, folder := range union(before, all.Folders) {
		now := slices.Contains(all.Folders, folder)
		if now == slices.Contains(before, folder) {
			continue
		}
		if !now {
			delete(nt.told, folder)
			s.tellName(folder, "MAILBOXNAME", goimap.MailboxAttrNonExistent)
		} else {
			s.tellName(folder, "MAILBOXNAME", goimap.MailboxAttr(all.Use[folder]))
		}
	}
	for _, folder := range union(subscribed, subscriptions) {
		now := slices.Contains(subscriptions, folder)
		if now == slices.Contains(subscribed, folder) {
			continue
		}
		if now {
			s.tellName(folder, "SUBSCRIPTIONCHANGE", goimap.MailboxAttrSubscribed)
		} else {
			s.tellName(folder, "SUBSCRIPTIONCHANGE", "")
		}
	}
	return watched, nil
}

// tellName sends a LIST response if the client wants such of the folder.
func (s *session) tellName(folder, event string, attr goimap.MailboxAttr) {
	name, ok := s.mailboxName(folder)
	if !ok || !s.wants(folder, event) {
		return
	}
	s.w.Raw("* LIST (" + string(attr) + `) "` + separator + `" `).Mailbox(name).CRLF()
}

// fetchNew sends what the client wants of messages from place first on, which
// are new, and not its own: RFC 5465 section 5.2.
func (s *session) fetchNew(first int) error {
	g := s.selectedGroup()
	if g == nil || g.New == nil || first >= s.box.exists {
		return nil
	}
	places := make([]int, 0, s.box.exists-first)
	for place := first; place < s.box.exists; place++ {
		if !s.box.own.Contains(s.box.Message(place).UID) {
			places = append(places, place)
		}
	}
	s.box.own = nil
	items := *g.New
	items.UID = true
	_, err := s.fetchAll(places, &items)
	return err
}
