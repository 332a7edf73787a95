package imap

import (
	"strings"

	goimap "github.com/emersion/go-imap/v2"
)

// FetchItems is what a FETCH asks for: RFC 3501 section 6.4.5. It is go-imap's
// FetchOptions with the old names kept apart, since their replies differ.
type FetchItems struct {
	goimap.FetchOptions
	Body          bool // BODY without extension data
	RFC822        bool
	RFC822Header  bool
	RFC822Text    bool
	SectionLabels []string // of BodySection: what stands in the reply
}

// maxSections and maxPartDepth bound what one FETCH may ask for.
const (
	maxSections  = 100
	maxPartDepth = 100
	maxFields    = 1000
)

// FetchItems takes FETCH's items: a macro, one item, or a list.
func (d *Decoder) FetchItems(f *FetchItems) bool {
	if d.Next('(') {
		return d.List(func() bool { return d.fetchItem(f, false) })
	}
	return d.fetchItem(f, true)
}

func (d *Decoder) fetchItem(f *FetchItems, macro bool) bool {
	var name string
	if !d.word(&name, "a FETCH item", func(c byte) bool { return isAtomChar(c) && c != '[' }) {
		return false
	}
	name = strings.ToUpper(name)
	if d.Next('[') {
		if name != "BODY" && name != "BODY.PEEK" {
			return d.fail(Bad("Unknown FETCH item"))
		}
		return d.section(f, name == "BODY.PEEK")
	}
	switch name {
	case "ALL", "FAST", "FULL":
		if !macro {
			return d.fail(Bad("%s stands alone", name))
		}
		f.Flags, f.InternalDate, f.RFC822Size = true, true, true
		f.Envelope = name != "FAST"
		f.Body = name == "FULL"
	case "FLAGS":
		f.Flags = true
	case "UID":
		f.UID = true
	case "INTERNALDATE":
		f.InternalDate = true
	case "RFC822.SIZE":
		f.RFC822Size = true
	case "ENVELOPE":
		f.Envelope = true
	case "BODYSTRUCTURE":
		f.BodyStructure = &goimap.FetchItemBodyStructure{Extended: true}
	case "BODY":
		f.Body = true
	case "RFC822":
		f.RFC822 = true
	case "RFC822.HEADER":
		f.RFC822Header = true
	case "RFC822.TEXT":
		f.RFC822Text = true
	default:
		return d.fail(Bad("Unknown FETCH item"))
	}
	return true
}

// section takes [section] and <offset.size>.
func (d *Decoder) section(f *FetchItems, peek bool) bool {
	s := &goimap.FetchItemBodySection{Peek: peek}
	if len(f.BodySection) >= maxSections {
		return d.fail(Bad("More than %d sections", maxSections))
	}
	if !d.Expect('[') || !d.sectionSpec(s) || !d.Expect(']') {
		return false
	}
	if d.Try('<') {
		var offset, size uint32
		if !d.Number(&offset) || !d.Expect('.') || !d.Number(&size) || !d.Expect('>') {
			return false
		}
		if size == 0 {
			return d.fail(Bad("A partial FETCH asks for at least one byte"))
		}
		s.Partial = &goimap.SectionPartial{Offset: int64(offset), Size: int64(size)}
	}
	f.BodySection = append(f.BodySection, s)
	f.SectionLabels = append(f.SectionLabels, sectionLabel(s))
	return true
}

func (d *Decoder) sectionSpec(s *goimap.FetchItemBodySection) bool {
	for {
		c, ok := d.peek()
		if !ok {
			return false
		}
		if c < '0' || c > '9' {
			break
		}
		var n uint32
		if !d.Number(&n) {
			return false
		}
		if n == 0 || n > 1<<30 || len(s.Part) >= maxPartDepth {
			return d.fail(Bad("Not the number of a part"))
		}
		s.Part = append(s.Part, int(n))
		if !d.Try('.') {
			return d.err == nil
		}
	}
	if d.Next(']') && len(s.Part) == 0 {
		return true
	}
	var word string
	if !d.word(&word, "a section", func(c byte) bool { return isAtomChar(c) && c != '[' }) {
		return false
	}
	switch word = strings.ToUpper(word); word {
	case "HEADER", "TEXT":
		s.Specifier = goimap.PartSpecifier(word)
	case "MIME":
		if len(s.Part) == 0 {
			return d.fail(Bad("MIME needs the number of a part"))
		}
		s.Specifier = goimap.PartSpecifierMIME
	case "HEADER.FIELDS", "HEADER.FIELDS.NOT":
		s.Specifier = goimap.PartSpecifierHeader
		fields := &s.HeaderFields
		if word == "HEADER.FIELDS.NOT" {
			fields = &s.HeaderFieldsNot
		}
		return d.SP() && d.headerFields(fields)
	default:
		return d.fail(Bad("Unknown section"))
	}
	return true
}

func (d *Decoder) headerFields(fields *[]string) bool {
	return d.List(func() bool {
		var name string
		if !d.AString(&name) {
			return false
		}
		if len(*fields) >= maxFields || !quotable(name) {
			return d.fail(Bad("Not a list of header fields"))
		}
		*fields = append(*fields, name)
		return true
	})
}

// sectionLabel writes a section as it stands in the reply: BODY[1.TEXT]<0>.
func sectionLabel(s *goimap.FetchItemBodySection) string {
	e := Encoder{}
	e.Raw("BODY[")
	for i, n := range s.Part {
		if i > 0 {
			e.Raw(".")
		}
		e.Num64(int64(n))
	}
	if s.Specifier != "" {
		if len(s.Part) > 0 {
			e.Raw(".")
		}
		e.Raw(string(s.Specifier))
	}
	fields := s.HeaderFields
	if s.HeaderFieldsNot != nil {
		e.Raw(".FIELDS.NOT")
		fields = s.HeaderFieldsNot
	} else if fields != nil {
		e.Raw(".FIELDS")
	}
	if fields != nil {
		e.Raw(" (")
		for i, name := range fields {
			if i > 0 {
				e.Raw(" ")
			}
			e.astring(name)
		}
		e.Raw(")")
	}
	e.Raw("]")
	if s.Partial != nil {
		e.Raw("<").Num64(s.Partial.Offset).Raw(">")
	}
	return string(e.buf)
}

// astring appends an atom where it can be one.
func (e *Encoder) astring(s string) {
	for i := 0; i < len(s); i++ {
		if !isAStringChar(s[i]) {
			e.String(s)
			return
		}
	}
	if s == "" {
		e.Raw(`""`)
		return
	}
	e.Raw(s)
}
