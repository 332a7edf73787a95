package imap

import "slices"

// A List is what LIST asks for: RFC 3501 section 6.3.8, RFC 5258 section 6,
// RFC 5819 section 2, RFC 6154 section 2 and RFC 9590 section 3.
type List struct {
	Subscribed, SpecialUse, RecursiveMatch bool // only such
	Reference                              string
	Patterns                               []string
	ReturnSubscribed                       bool
	Status                                 []string // items
	Metadata                               *MetadataOptions
	Extended                               bool // none of it is RFC 3501's
}

// maxPatterns and maxPattern bound LIST's patterns; matching takes a pattern's
// length times the name's.
const (
	maxPatterns = 100
	maxPattern  = 1000
)

// ListArgs takes LIST's arguments.
func (d *Decoder) ListArgs(l *List) bool {
	if d.Next('(') {
		l.Extended = true
		if !d.selection(l) || !d.SP() {
			return false
		}
	}
	if !d.AString(&l.Reference) || !d.SP() {
		return false
	}
	pattern := func() bool {
		var p string
		if !d.ListMailbox(&p) {
			return false
		}
		if len(l.Reference)+len(p) > maxPattern || len(l.Patterns) >= maxPatterns {
			return d.fail(Bad("Pattern too long"))
		}
		l.Patterns = append(l.Patterns, p)
		return true
	}
	if d.Next('(') {
		l.Extended = true
		if !d.List(pattern) {
			return false
		}
	} else if !pattern() {
		return false
	}
	if !d.Try(' ') {
		return d.err == nil
	}
	l.Extended = true
	var word string
	if !d.Keyword(&word) {
		return false
	}
	if word != "RETURN" {
		return d.expected("RETURN")
	}
	return d.SP() && d.List(func() bool { return d.listReturn(l) })
}

func (d *Decoder) selection(l *List) bool {
	return d.List(func() bool {
		var name string
		if !d.Keyword(&name) {
			return false
		}
		switch name {
		case "SUBSCRIBED":
			l.Subscribed = true
		case "SPECIAL-USE":
			l.SpecialUse = true
		case "RECURSIVEMATCH":
			l.RecursiveMatch = true
		case "REMOTE": // none are
		default:
			return d.fail(Bad("Unknown LIST option"))
		}
		return true
	})
}

func (d *Decoder) listReturn(l *List) bool {
	var name string
	if !d.Keyword(&name) {
		return false
	}
	switch name {
	case "SUBSCRIBED":
		l.ReturnSubscribed = true
	case "CHILDREN", "SPECIAL-USE": // are told always
	case "STATUS":
		return d.SP() && d.StatusItems(&l.Status)
	case "METADATA":
		l.Metadata = &MetadataOptions{}
		return d.SP() && d.metadataEntries(l.Metadata)
	default:
		return d.fail(Bad("Unknown LIST option"))
	}
	return true
}

var statusItems = []string{"MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN", // RFC 3501 section 6.3.10
	"DELETED", "SIZE", // RFC 9051 section 6.3.11, RFC 8438
	"HIGHESTMODSEQ",   // RFC 7162 section 3.1.7
	"MAILBOXID",       // RFC 8474 section 4.3
	"APPENDLIMIT",     // RFC 7889 section 3.1
	"DELETED-STORAGE"} // RFC 9208 section 4.1.4

// StatusItems takes STATUS's list.
func (d *Decoder) StatusItems(items *[]string) bool {
	ok := d.List(func() bool {
		var item string
		if !d.Keyword(&item) {
			return false
		}
		if !slices.Contains(statusItems, item) {
			return d.fail(Bad("Unknown STATUS item"))
		}
		if !slices.Contains(*items, item) {
			*items = append(*items, item)
		}
		return true
	})
	if ok && len(*items) == 0 {
		return d.expected("a STATUS item")
	}
	return ok
}

// SelectParams are what stands behind SELECT's mailbox: RFC 7162 section 3.2.5.
type SelectParams struct {
	CondStore   bool
	QResync     bool
	UIDValidity uint32
	ModSeq      uint64
	Known       NumSet // UIDs that the client knows; nil: all
	Seqs, UIDs  NumSet // numbers and UIDs of some messages, as they were
}

// SelectParams takes them, if they are there.
func (d *Decoder) SelectParams(p *SelectParams) bool {
	if !d.Try(' ') {
		return d.err == nil
	}
	return d.List(func() bool {
		var name string
		if !d.Keyword(&name) {
			return false
		}
		switch name {
		case "CONDSTORE":
			p.CondStore = true
			return true
		case "QRESYNC":
			p.QResync = true
			return d.SP() && d.qresync(p)
		}
		return d.fail(Bad("Unknown SELECT parameter"))
	})
}

// qresync takes (uidvalidity modseq [known uids [(numbers uids)]]).
func (d *Decoder) qresync(p *SelectParams) bool {
	if !d.Expect('(') || !d.Number(&p.UIDValidity) || !d.SP() || !d.Number64(&p.ModSeq) {
		return false
	}
	match := func() bool {
		return d.Expect('(') && d.NumSet(&p.Seqs) && d.SP() && d.NumSet(&p.UIDs) && d.Expect(')')
	}
	if d.Try(' ') {
		if d.Next('(') {
			if !match() {
				return false
			}
		} else if !d.NumSet(&p.Known) || d.Try(' ') && !match() {
			return false
		}
	}
	return d.Expect(')')
}
