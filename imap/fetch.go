package imap

import (
	"bufio"
	"slices"
	"strings"

	goimap "github.com/emersion/go-imap/v2"
)

// FetchItems is what a FETCH asks for: RFC 3501 section 6.4.5 and what
// extensions add.
type FetchItems struct {
	Flags, UID, InternalDate, Size, Envelope bool

	Body, BodyStructure bool // without and with extension data

	ModSeq            bool // RFC 7162 section 3.1.5
	EmailID, ThreadID bool // RFC 8474 section 5
	SaveDate          bool // RFC 8514 section 4.2
	Preview           bool // RFC 8970 section 3.1
	Lazy              bool // only if it costs nothing

	Sections []Section

	ChangedSince *uint64       // RFC 7162 section 3.1.4.1
	Vanished     bool          // section 3.2.6
	Partial      *PartialRange // RFC 9394 section 3.4
}

// Merge adds what another list asks for, but not how it selects messages.
func (f *FetchItems) Merge(o *FetchItems) {
	f.Lazy = o.Lazy && (f.Lazy || !f.Preview) || f.Lazy && !o.Preview
	for item, also := range map[*bool]bool{&f.Flags: o.Flags, &f.UID: o.UID, &f.InternalDate: o.InternalDate, &f.Size: o.Size,
		&f.Envelope: o.Envelope, &f.Body: o.Body, &f.BodyStructure: o.BodyStructure, &f.ModSeq: o.ModSeq,
		&f.EmailID: o.EmailID, &f.ThreadID: o.ThreadID, &f.SaveDate: o.SaveDate, &f.Preview: o.Preview} {
		*item = *item || also
	}
	for _, section := range o.Sections {
		if !slices.ContainsFunc(f.Sections, func(s Section) bool { return s.Label == section.Label && s.Peek == section.Peek }) {
			f.Sections = append(f.Sections, section)
		}
	}
}

// A Section is BODY[...], BINARY[...], BINARY.SIZE[...] or one of the old names
// for such.
type Section struct {
	goimap.FetchItemBodySection
	Kind  SectionKind
	Label string // how it stands in the reply
}

// A SectionKind says how a section is sent: as it stands in the message,
// decoded (RFC 3516 section 4.2), or only how long it is then.
type SectionKind int

const (
	BodySection SectionKind = iota
	BinarySection
	BinarySize
)

// maxSections and maxPartDepth bound what one FETCH may ask for.
const (
	maxSections  = 100
	maxPartDepth = 100
	maxFields    = 1000
)

// FetchItems takes FETCH's items, a macro, one item, or a list, and the
// modifiers behind them.
func (d *Decoder) FetchItems(f *FetchItems) bool {
	ok := false
	if d.Next('(') {
		ok = d.itemList(f)
	} else {
		ok = d.fetchItem(f, true)
	}
	if !ok || !d.Try(' ') {
		return ok && d.err == nil
	}
	return d.List(func() bool { return d.fetchModifier(f) })
}

// itemList takes a list of items, of which there must be one.
func (d *Decoder) itemList(f *FetchItems) bool {
	empty := true
	ok := d.List(func() bool { empty = false; return d.fetchItem(f, false) })
	if ok && empty {
		return d.expected("an item")
	}
	return ok
}

func (d *Decoder) fetchModifier(f *FetchItems) bool {
	var name string
	if !d.Keyword(&name) {
		return false
	}
	switch name {
	case "CHANGEDSINCE":
		f.ChangedSince, f.ModSeq = new(uint64), true
		return d.SP() && d.Number64(f.ChangedSince)
	case "VANISHED":
		f.Vanished = true
		return true
	case "PARTIAL":
		if f.Partial != nil { // RFC 9394 section 3.1
			return d.fail(Bad("Only one PARTIAL may be there"))
		}
		f.Partial = &PartialRange{}
		return d.SP() && d.partialRange(f.Partial)
	}
	return d.fail(Bad("Unknown FETCH modifier"))
}

func (d *Decoder) fetchItem(f *FetchItems, macro bool) bool {
	var name string
	if !d.word(&name, "a FETCH item", func(c byte) bool { return isAtomChar(c) && c != '[' }) {
		return false
	}
	name = strings.ToUpper(name)
	if d.Next('[') {
		kind, peek := BodySection, strings.HasSuffix(name, ".PEEK")
		switch name {
		case "BODY", "BODY.PEEK":
		case "BINARY", "BINARY.PEEK":
			kind = BinarySection
		case "BINARY.SIZE":
			kind, peek = BinarySize, true
		default:
			return d.fail(Bad("Unknown FETCH item"))
		}
		return d.section(f, kind, peek)
	}
	switch name {
	case "ALL", "FAST", "FULL":
		if !macro {
			return d.fail(Bad("%s stands alone", name))
		}
		f.Flags, f.InternalDate, f.Size = true, true, true
		f.Envelope = name != "FAST"
		f.Body = name == "FULL"
		return true
	case "PREVIEW":
		f.Preview = true
		return d.previewModifiers(f)
	case "RFC822", "RFC822.HEADER", "RFC822.TEXT":
		return d.oldSection(f, name)
	}
	items := map[string]*bool{"FLAGS": &f.Flags, "UID": &f.UID, "INTERNALDATE": &f.InternalDate, "RFC822.SIZE": &f.Size,
		"ENVELOPE": &f.Envelope, "BODYSTRUCTURE": &f.BodyStructure, "BODY": &f.Body, "MODSEQ": &f.ModSeq,
		"EMAILID": &f.EmailID, "THREADID": &f.ThreadID, "SAVEDATE": &f.SaveDate}
	item := items[name]
	if item == nil {
		return d.fail(Bad("Unknown FETCH item"))
	}
	*item = true
	return true
}

// previewModifiers takes " (LAZY)": RFC 8970 section 3.1. What follows PREVIEW
// may also be the next item, or FETCH's own modifiers.
func (d *Decoder) previewModifiers(f *FetchItems) bool {
	if !d.ahead(" (LAZY)") {
		return d.err == nil
	}
	f.Lazy = true
	return d.SP() && d.List(func() bool { return d.Keyword(new(string)) })
}

// oldSection takes the names that RFC 3501 section 6.4.5 keeps from before.
func (d *Decoder) oldSection(f *FetchItems, name string) bool {
	s := Section{Label: name}
	switch name {
	case "RFC822.HEADER":
		s.Specifier, s.Peek = goimap.PartSpecifierHeader, true
	case "RFC822.TEXT":
		s.Specifier = goimap.PartSpecifierText
	}
	return d.addSection(f, s)
}

func (d *Decoder) addSection(f *FetchItems, s Section) bool {
	if len(f.Sections) >= maxSections {
		return d.fail(Bad("More than %d sections", maxSections))
	}
	f.Sections = append(f.Sections, s)
	return true
}

// section takes [section] and <offset.size>.
func (d *Decoder) section(f *FetchItems, kind SectionKind, peek bool) bool {
	s := Section{Kind: kind}
	s.Peek = peek
	if !d.Expect('[') || !d.sectionSpec(&s.FetchItemBodySection) || !d.Expect(']') {
		return false
	}
	if kind != BodySection && s.Specifier != goimap.PartSpecifierNone {
		return d.fail(Bad("BINARY takes the number of a part"))
	}
	if kind != BinarySize && d.Try('<') {
		var offset, size uint64
		if !d.Number64(&offset) || !d.Expect('.') || !d.Number64(&size) || !d.Expect('>') {
			return false
		}
		if size == 0 {
			return d.fail(Bad("A partial FETCH asks for at least one byte"))
		}
		s.Partial = &goimap.SectionPartial{Offset: int64(offset), Size: int64(size)}
	}
	s.Label = sectionLabel(&s)
	return d.addSection(f, s)
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
		if !d.SP() || !d.headerFields(fields) {
			return false
		}
		return len(*fields) > 0 || d.expected("the name of a field")
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

// ParseSection reads what stands between the brackets of BODY[...].
func ParseSection(text string, s *Section) error {
	d := NewDecoder(bufio.NewReader(strings.NewReader(text+"]")), BeforeLogin, func() error { return errMailbox })
	if !d.sectionSpec(&s.FetchItemBodySection) || !d.Expect(']') {
		return d.Err()
	}
	return nil
}

// sectionLabel writes a section as it stands in the reply: BODY[1.TEXT]<0>.
func sectionLabel(s *Section) string {
	e := Encoder{}
	e.Raw([]string{"BODY[", "BINARY[", "BINARY.SIZE["}[s.Kind])
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
			e.AString(name)
		}
		e.Raw(")")
	}
	e.Raw("]")
	if s.Partial != nil {
		e.Raw("<").Num64(s.Partial.Offset).Raw(">")
	}
	return string(e.buf)
}

// AString appends an atom where it can be one, else a string.
func (e *Encoder) AString(s string) *Encoder {
	for i := 0; i < len(s); i++ {
		if !isAStringChar(s[i]) {
			return e.String(s)
		}
	}
	if s == "" {
		return e.Raw(`""`)
	}
	return e.Raw(s)
}
