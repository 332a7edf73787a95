package message

import (
	"bytes"
	"strings"
)

// maxAddresses bounds one field.
const maxAddresses = 10000

// An Address is one of a header field, raw: encoded words stay encoded. A
// group begins with an address that has only a mailbox, its name, and ends
// with an empty one (RFC 3501 section 7.4.2).
type Address struct {
	Name    []byte // nil: none
	Route   []byte
	Mailbox []byte
	Host    []byte
}

// ParseAddresses reads an address list (RFC 5322 section 3.4), obsolete forms
// included, and makes of broken ones what can be made.
func ParseAddresses(value []byte) []Address {
	p := addressParser{scanner: scanner{b: value}}
	for len(p.list) < maxAddresses {
		p.space()
		if len(p.b) == 0 {
			break
		}
		before := len(p.b)
		p.one()
		if len(p.b) == before { // cannot be understood: pass over it
			p.b = p.b[1:]
		}
	}
	if p.inGroup {
		p.list = append(p.list, Address{})
	}
	return p.list
}

type addressParser struct {
	scanner
	list    []Address
	inGroup bool
	quotes  bool // one of the words was quoted
}

// one takes one address, a group's name, or a separator.
func (p *addressParser) one() {
	switch p.b[0] {
	case ',':
		p.b = p.b[1:]
		return
	case ';':
		p.b = p.b[1:]
		if p.inGroup {
			p.list = append(p.list, Address{})
			p.inGroup = false
		}
		return
	case '<':
		p.angle(nil)
		return
	}
	words, comment := p.words()
	switch {
	case len(p.b) > 0 && p.b[0] == '<':
		p.angle(join(words))
	case len(p.b) > 0 && p.b[0] == ':' && !p.inGroup:
		p.b = p.b[1:]
		p.inGroup = true
		p.list = append(p.list, Address{Mailbox: join(words)})
	case len(words) > 0:
		a, name := p.spec(words)
		if name == nil {
			name = comment
		}
		p.add(a, name)
		if len(p.b) > 0 && p.b[0] == ':' {
			p.b = p.b[1:]
		}
	}
}

// words takes the atoms and quoted strings up to , ; : or <. The last comment
// is the old way to give a name.
func (p *addressParser) words() (words [][]byte, comment []byte) {
	p.quotes = false
	for len(p.b) > 0 {
		switch p.b[0] {
		case ' ', '\t':
			p.b = p.b[1:]
		case '(':
			comment = bytes.TrimSpace(p.comment())
		case '"':
			words = append(words, p.quoted())
			p.quotes = true
		case ',', ';', ':', '<':
			return words, comment
		case '[':
			words = append(words, p.until(']'))
			p.skip(']')
			words[len(words)-1] = append(bytes.Clone(words[len(words)-1]), ']')
		default:
			if w := p.token(`,;:<("[`); len(w) > 0 {
				words = append(words, w)
			}
		}
	}
	return words, comment
}

// angle takes <user@host>, perhaps with a route.
func (p *addressParser) angle(name []byte) {
	p.b = p.b[1:]
	inner := p.until('>')
	if len(p.b) > 0 {
		p.b = p.b[1:]
	}
	var route []byte
	if trimmed := bytes.TrimSpace(inner); len(trimmed) > 0 && trimmed[0] == '@' {
		if i := bytes.IndexByte(trimmed, ':'); i >= 0 {
			route, inner = trimmed[:i], trimmed[i+1:]
		}
	}
	s := addressParser{scanner: scanner{b: inner}}
	words, comment := s.words()
	a := Address{}
	if bytes.IndexByte(inner, '@') >= 0 {
		a, _ = s.spec(words)
	} else if len(words) > 0 {
		a.Mailbox = joinSpec(words)
	}
	a.Route = route
	if name == nil {
		name = comment
	}
	p.add(a, name)
}

func (p *addressParser) add(a Address, name []byte) {
	if len(name) > 0 {
		a.Name = name
	}
	if a.Mailbox == nil && a.Host == nil && a.Name == nil {
		return
	}
	if a.Mailbox == nil {
		a.Mailbox = []byte{}
	}
	if a.Host == nil {
		a.Host = []byte("MISSING_DOMAIN") // NIL would begin a group
	}
	p.list = append(p.list, a)
}

func join(words [][]byte) []byte { return bytes.Join(words, []byte(" ")) }

// joinSpec joins the words of an addr-spec, between which white space means nothing.
func joinSpec(words [][]byte) []byte { return bytes.Join(words, nil) }

// spec takes an addr-spec out of words, and what stands around it as a name. Words belong
// together where one ends, or the next begins, with a dot or the @ (RFC 5322 section 4.4);
// several without an @, or quoted ones, are a name alone.
func (p *addressParser) spec(words [][]byte) (a Address, name []byte) {
	if len(words) == 0 {
		return Address{}, nil
	}
	at := -1
	for i, w := range words {
		if bytes.IndexByte(w, '@') >= 0 {
			at = i
		}
	}
	if at < 0 && (len(words) > 1 || p.quotes) {
		return Address{Mailbox: []byte("MISSING_MAILBOX")}, join(words)
	}
	first, behind := max(at, 0), max(at, 0)+1
	for first > 0 && together(words[first-1], words[first]) {
		first--
	}
	for behind < len(words) && together(words[behind-1], words[behind]) {
		behind++
	}
	spec := joinSpec(words[first:behind])
	if around := append(words[:first:first], words[behind:]...); len(around) > 0 {
		name = join(around)
	}
	i := bytes.LastIndexByte(spec, '@')
	if i < 0 {
		return Address{Mailbox: spec}, name
	}
	return Address{Mailbox: spec[:i], Host: spec[i+1:]}, name
}

func together(a, b []byte) bool {
	const dots = ".@"
	return len(a) > 0 && strings.IndexByte(dots, a[len(a)-1]) >= 0 || len(b) > 0 && strings.IndexByte(dots, b[0]) >= 0
}
