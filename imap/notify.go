package imap

import (
	"slices"
	"strings"

	goimap "github.com/emersion/go-imap/v2"
)

// A Notify is what NOTIFY asks for: RFC 5465 section 8. Without groups nothing
// is to be told.
type Notify struct {
	Status bool // tell how the mailboxes are now
	Groups []NotifyGroup
}

// A NotifyGroup is some mailboxes, and of what in them the client wants to hear.
type NotifyGroup struct {
	Source Source
	Events []string // in capitals
	New    *FetchItems
}

// Has says whether the group has an event.
func (g *NotifyGroup) Has(event string) bool { return slices.Contains(g.Events, event) }

// notifyEvents are the events that are supported.
var notifyEvents = []string{"FLAGCHANGE", "MAILBOXMETADATACHANGE", "MAILBOXNAME", "MESSAGEEXPUNGE", "MESSAGENEW",
	"SERVERMETADATACHANGE", "SUBSCRIPTIONCHANGE"}

// errBadEvent: RFC 5465 section 5.
var errBadEvent = No("BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange"+
	" MailboxMetadataChange ServerMetadataChange)", "Some of these events are not supported")

// maxGroups bounds what one NOTIFY may ask for.
const maxGroups = 100

// Notify takes NOTIFY's arguments.
func (d *Decoder) Notify(n *Notify) bool {
	var word string
	if !d.Keyword(&word) {
		return false
	}
	if word == "NONE" {
		return true
	}
	if word != "SET" {
		return d.expected("SET or NONE")
	}
	if !d.SP() {
		return false
	}
	if !d.Next('(') {
		if !d.Keyword(&word) || word != "STATUS" {
			return d.expected("STATUS or a list")
		}
		if n.Status = true; !d.SP() {
			return false
		}
	}
	for {
		var g NotifyGroup
		if !d.notifyGroup(&g) {
			return false
		}
		if g.ofSelected() && slices.ContainsFunc(n.Groups, NotifyGroup.ofSelected) {
			return d.fail(Bad("Only one of SELECTED and SELECTED-DELAYED may be there"))
		}
		if n.Groups = append(n.Groups, g); len(n.Groups) > maxGroups {
			return d.fail(No(goimap.ResponseCodeLimit, "Too many mailboxes"))
		}
		if !d.Try(' ') {
			return d.err == nil
		}
	}
}

func (g NotifyGroup) ofSelected() bool { return strings.HasPrefix(g.Source.Kind, "SELECTED") }

func (d *Decoder) notifyGroup(g *NotifyGroup) bool {
	if !d.Expect('(') || !d.Source(&g.Source) || !d.SP() {
		return false
	}
	if g.Source.Kind == "SUBTREE-ONE" { // it is ESEARCH's: RFC 7377 section 2.2
		return d.expected("SUBTREE or MAILBOXES")
	}
	if d.Next('(') {
		if !d.List(func() bool { return d.notifyEvent(g) }) {
			return false
		}
		if len(g.Events) == 0 {
			return d.expected("an event")
		}
	} else {
		var word string
		if !d.Keyword(&word) || word != "NONE" {
			return d.expected("events or NONE")
		}
	}
	if !d.Expect(')') {
		return false
	}
	// Section 5: numbers would be wrong if only one of them were told.
	if g.Has("MESSAGENEW") != g.Has("MESSAGEEXPUNGE") || g.Has("FLAGCHANGE") && !g.Has("MESSAGENEW") {
		return d.fail(Bad("MessageNew and MessageExpunge go together, and FlagChange with them"))
	}
	return true
}

func (d *Decoder) notifyEvent(g *NotifyGroup) bool {
	var event string
	if !d.Keyword(&event) {
		return false
	}
	if !slices.Contains(notifyEvents, event) {
		return d.fail(errBadEvent)
	}
	if g.ofSelected() && !strings.HasPrefix(event, "MESSAGE") && event != "FLAGCHANGE" { // section 6.1
		return d.fail(Bad("%s is no event of the selected mailbox", event))
	}
	g.Events = append(g.Events, event)
	if event != "MESSAGENEW" {
		return true
	}
	if !d.ahead(" (") {
		return d.err == nil
	}
	if !g.ofSelected() {
		return d.fail(Bad("Only of the selected mailbox messages can be fetched"))
	}
	g.New = &FetchItems{}
	return d.SP() && d.itemList(g.New)
}
