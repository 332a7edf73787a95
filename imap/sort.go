package imap

import (
	"slices"
	"strings"
)

// A SortKey is one criterion of SORT: RFC 5256 section 3 and RFC 5957 section 3.
type SortKey struct {
	Name    string // ARRIVAL, CC, DATE, DISPLAYFROM, DISPLAYTO, FROM, SIZE, SUBJECT, TO
	Reverse bool
}

var sortKeys = []string{"ARRIVAL", "CC", "DATE", "DISPLAYFROM", "DISPLAYTO", "FROM", "SIZE", "SUBJECT", "TO"}

// Sort takes SORT's arguments: RETURN (RFC 5267 section 3.1), which is
// optional, criteria, charset and search keys.
func (d *Decoder) Sort(keys *[]SortKey, s *Search) bool {
	if !d.Next('(') {
		var name string
		if !d.Keyword(&name) {
			return false
		}
		if name != "RETURN" {
			return d.expected("a list of criteria")
		}
		s.Return = &ReturnOptions{}
		if !d.SP() || !d.returnOptions(s.Return) || !d.SP() {
			return false
		}
	}
	reverse := false
	ok := d.List(func() bool {
		var name string
		if !d.Keyword(&name) {
			return false
		}
		if name == "REVERSE" && !reverse {
			reverse = true
			return true
		}
		if !slices.Contains(sortKeys, name) {
			return d.fail(Bad("Unknown sort criterion"))
		}
		if len(*keys) < len(sortKeys) { // more say nothing new
			*keys = append(*keys, SortKey{name, reverse})
		}
		reverse = false
		return true
	})
	if ok && (len(*keys) == 0 || reverse) {
		return d.expected("a sort criterion")
	}
	return ok && d.SP() && d.charsetAndKeys(s)
}

// Thread takes THREAD's arguments: algorithm, charset and search keys.
func (d *Decoder) Thread(algorithm *string, s *Search) bool {
	return d.Keyword(algorithm) && d.SP() && d.charsetAndKeys(s)
}

func (d *Decoder) charsetAndKeys(s *Search) bool {
	var charset string
	return d.AString(&charset) && d.checkCharset(charset) && d.SP() && d.SearchKeys(&s.Key)
}

// A Source says which mailboxes ESEARCH searches: RFC 7377 section 2.2. With
// names they are below these, or just these.
type Source struct {
	Kind  string // SELECTED, INBOXES, PERSONAL, SUBSCRIBED, SUBTREE, SUBTREE-ONE, MAILBOXES
	Names []string
}

// maxSources bounds the mailboxes that one ESEARCH or NOTIFY names.
const maxSources = 1000

// Sources takes IN's list.
func (d *Decoder) Sources(all *[]Source) bool {
	return d.List(func() bool {
		var src Source
		if !d.Source(&src) {
			return false
		}
		*all = append(*all, src)
		return len(*all) <= maxSources || d.fail(Bad("Too many mailboxes"))
	})
}

// Source takes one kind of mailboxes, with names where it has such.
func (d *Decoder) Source(src *Source) bool {
	if !d.Keyword(&src.Kind) {
		return false
	}
	switch src.Kind {
	case "SELECTED", "SELECTED-DELAYED", "INBOXES", "PERSONAL", "SUBSCRIBED":
		return true
	case "SUBTREE", "SUBTREE-ONE", "MAILBOXES":
	default:
		return d.fail(Bad("Unknown kind of mailboxes"))
	}
	if !d.SP() {
		return false
	}
	name := func() bool {
		var name string
		if !d.Mailbox(&name) {
			return false
		}
		src.Names = append(src.Names, strings.TrimSuffix(name, "."))
		return len(src.Names) <= maxSources || d.fail(Bad("Too many mailboxes"))
	}
	if d.Next('(') {
		return d.List(name)
	}
	return name()
}

// MultiSearch takes ESEARCH's arguments: IN with sources, which is optional,
// and SEARCH's. sources stays nil without IN.
func (d *Decoder) MultiSearch(sources *[]Source, s *Search) bool {
	if d.ahead("IN ") {
		var in string
		if !d.Keyword(&in) || !d.SP() || !d.Sources(sources) || !d.SP() {
			return false
		}
		if *sources == nil {
			return d.expected("a kind of mailboxes")
		}
	}
	return d.Search(s)
}
