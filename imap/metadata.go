package imap

import (
	"math"
	"strings"
	"unicode"

	goimap "github.com/emersion/go-imap/v2"
)

// MetadataOptions say which entries GETMETADATA wants: RFC 5464 section 4.2.
type MetadataOptions struct {
	MaxSize uint64 // of a value; larger ones are left out
	Depth   string // 0, 1 or INFINITY
	Entries []string
}

// A MetadataEntry is a name with its value; nil for none.
type MetadataEntry struct {
	Name  string
	Value []byte
}

// maxMetadataValue bounds a value, below what a literal may have.
const maxMetadataValue = 60000

// maxEntries bounds what one command may name.
const maxEntries = 1000

// GetMetadata takes GETMETADATA's arguments. The options may stand before the
// mailbox, as RFC 5464 has it, or behind it.
func (d *Decoder) GetMetadata(mailbox *string, o *MetadataOptions) bool {
	o.MaxSize, o.Depth = math.MaxUint64, "0"
	if d.Next('(') && (!d.metadataOptions(o) || !d.SP()) {
		return false
	}
	if !d.Mailbox(mailbox) || !d.SP() {
		return false
	}
	if d.ahead("(MAXSIZE ") || d.ahead("(DEPTH ") {
		if !d.metadataOptions(o) || !d.SP() {
			return false
		}
	}
	return d.metadataEntries(o)
}

func (d *Decoder) metadataOptions(o *MetadataOptions) bool {
	return d.List(func() bool {
		var name string
		if !d.Keyword(&name) || !d.SP() {
			return false
		}
		switch name {
		case "MAXSIZE":
			return d.Number64(&o.MaxSize)
		case "DEPTH":
			if !d.Keyword(&o.Depth) {
				return false
			}
			if o.Depth == "0" || o.Depth == "1" || o.Depth == "INFINITY" {
				return true
			}
			return d.expected("0, 1 or infinity")
		}
		return d.fail(Bad("Unknown GETMETADATA option"))
	})
}

// metadataEntries takes one name of an entry, or a list.
func (d *Decoder) metadataEntries(o *MetadataOptions) bool {
	if o.Depth == "" {
		o.MaxSize, o.Depth = math.MaxUint64, "0"
	}
	entry := func() bool {
		var name string
		if !d.AString(&name) {
			return false
		}
		switch root := strings.ToLower(name); root { // with all that is below it
		case "/private", "/shared":
			name = root
		default:
			if !d.checkMetadataName(&name) {
				return false
			}
		}
		o.Entries = append(o.Entries, name)
		return len(o.Entries) <= maxEntries || d.fail(Bad("Too many entries"))
	}
	if d.Next('(') {
		return d.List(entry) && (len(o.Entries) > 0 || d.expected("the name of an entry"))
	}
	return entry()
}

// metadataName takes the name of an entry: RFC 5464 section 5. It has no case.
func (d *Decoder) metadataName(name *string) bool {
	if !d.AString(name) {
		return false
	}
	return d.checkMetadataName(name)
}

func (d *Decoder) checkMetadataName(name *string) bool {
	s := strings.ToLower(*name)
	if len(s) > 255 || !strings.HasPrefix(s, "/private/") && !strings.HasPrefix(s, "/shared/") ||
		strings.HasSuffix(s, "/") || strings.Contains(s, "//") || strings.ContainsAny(s, "*% ") || strings.ContainsFunc(s, unicode.IsControl) || !quotable(s) {
		return d.fail(Bad("Not the name of an entry"))
	}
	*name = s
	return true
}

// SetMetadata takes SETMETADATA's arguments: RFC 5464 section 4.3.
func (d *Decoder) SetMetadata(mailbox *string, entries *[]MetadataEntry) bool {
	if !d.Mailbox(mailbox) || !d.SP() {
		return false
	}
	return d.List(func() bool {
		var e MetadataEntry
		if !d.metadataName(&e.Name) || !d.SP() || !d.metadataValue(&e.Value) {
			return false
		}
		*entries = append(*entries, e)
		return len(*entries) <= maxEntries || d.fail(Bad("Too many entries"))
	})
}

// metadataValue takes a string, a literal, which may be binary, or NIL.
func (d *Decoder) metadataValue(value *[]byte) bool {
	switch {
	case d.Next('"'):
		var s string
		ok := d.String(&s)
		*value = []byte(s)
		return ok
	case d.Next('{') || d.Next('~'):
		var l Literal
		if !d.LiteralHeader(&l) {
			return false
		}
		if l.Size > maxMetadataValue { // RFC 5464 section 4.3
			return d.Refuse(l, No("METADATA MAXSIZE 60000", "Value is too large"))
		}
		b, ok := d.literal(l)
		*value = b
		return ok
	}
	var word string
	if !d.Keyword(&word) {
		return false
	}
	*value = nil
	return word == "NIL" || d.fail(No(goimap.ResponseCodeCannot, "Expected a string or NIL"))
}
