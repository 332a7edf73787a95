package imapd

import (
	"errors"
	"slices"
	"strings"

	"smail/imap"
	"smail/maildir"
	"smail/session/roles"
)

// A notifier is what the client wants to hear of without asking: RFC 5465.
type notifier struct {
	groups        []imap.NotifyGroup
	watch         *maildir.TreeWatch
	told          map[string]string            // the last STATUS of each folder
	notes         map[string]map[string][]byte // the metadata of folders, of the server for "", as far as they are told
	folders       []string                     // that the client was told of
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
	nt := &notifier{groups: n.Groups, told: map[string]string{}, notes: map[string]map[string][]byte{}, folders: all.Folders}
	if nt.subscriptions, err = s.subscriptions(all); err != nil {
		return err
	}
	nt.watch = s.Store.WatchTree(all.Folders, nt.hasNotes(), s.conn.Interrupt)
	s.notifying = nt
	s.ownNotes()
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
	heard := s.notifying.watch.Heard()
	if s.box != nil && slices.Contains(heard.Folders, s.box.Name) {
		if err := s.updateUnasked(); err != nil {
			return err
		}
	}
	if heard.Names {
		watched, err := s.newNames(heard.Renamed)
		if err != nil {
			return err
		}
		heard.Folders = union(heard.Folders, watched) // mail may have come before it was watched
		heard.Metadata = union(heard.Metadata, watched)
	}
	for _, folder := range heard.Metadata {
		if err := s.newNotes(folder); err != nil {
			return err
		}
	}
	for _, folder := range heard.Folders {
		if err := s.newStatus(folder); err != nil {
			return err
		}
	}
	return nil
}

// newStatus tells how a folder is that is not selected, if that is new.
func (s *session) newStatus(folder string) error {
	if s.isSelected(folder) || !s.wantsStatus(folder) || !s.Store.Exists(folder) {
		return nil
	}
	text, err := s.statusText(folder)
	if errors.Is(err, maildir.ErrNoFolder) || err != nil && !s.Store.Exists(folder) { // it is just being deleted
		return nil
	}
	if err != nil {
		return err
	}
	told, known := s.notifying.told[folder]
	s.notifying.told[folder] = text
	if told != text && (known || !strings.HasPrefix(text, "MESSAGES 0 ")) { // else it is as LIST let expect
		s.tellNotified(folder)
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

// ownMessages takes note of messages that this session has put into a folder.
func (s *session) ownMessages(folder string, first, last uint32) {
	if s.isSelected(folder) && s.fetchesNew() {
		s.box.own = append(s.box.own, imap.NumRange{Start: first, Stop: last})
	}
	if s.notifying != nil && !s.isSelected(folder) && s.wantsStatus(folder) {
		if text, err := s.statusText(folder); err == nil {
			s.notifying.told[folder] = text
		}
	}
}

// fetchesNew says whether the client wants anything of messages that come.
func (s *session) fetchesNew() bool {
	g := s.selectedGroup()
	return g != nil && g.New != nil || slices.ContainsFunc(s.box.contexts, func(c *context) bool { return c.fetch != nil })
}

// fetchNew sends what the client wants of messages from place first on, which are
// new, and not its own: by NOTIFY (RFC 5465 section 5.2), and by searches that they
// have come into (section 7).
func (s *session) fetchNew(first int, added []addition) error {
	if first >= s.box.exists || !s.fetchesNew() {
		return nil
	}
	sources, wanted := []*imap.FetchItems{}, make([]uint16, s.box.exists-first) // by message: which of the sources
	want := func(place int, items *imap.FetchItems) {
		if items == nil || place < first || s.box.own.Contains(s.box.Message(place).UID) {
			return
		}
		if !slices.Contains(sources, items) { // NOTIFY's, and maxContexts
			sources = append(sources, items)
		}
		wanted[place-first] |= 1 << slices.Index(sources, items)
	}
	if g := s.selectedGroup(); g != nil {
		for place := first; place < s.box.exists; place++ {
			want(place, g.New)
		}
	}
	for _, a := range added {
		want(a.place, a.c.fetch)
	}
	s.box.own = nil
	for i := 0; i < len(wanted); {
		var places []int
		from := wanted[i]
		for ; i < len(wanted) && wanted[i] == from; i++ {
			places = append(places, first+i)
		}
		items := imap.FetchItems{UID: true}
		for k, source := range sources {
			if from&(1<<k) != 0 {
				items.Merge(source)
			}
		}
		if from == 0 {
			continue
		}
		if _, err := s.fetchAll(places, &items); err != nil {
			return err
		}
	}
	return nil
}
