package imapd

import (
	"bytes"
	"fmt"
	"strconv"

	"smail/imap"
	"smail/message"
)

// envelopeFields are what an ENVELOPE is made of, in its order.
var envelopeFields = [10]string{"Date", "Subject", "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "In-Reply-To", "Message-ID"}

// appendEnvelope appends the ENVELOPE of a header: RFC 3501 section 7.4.2.
func appendEnvelope(b []byte, h message.Header) []byte {
	var values [len(envelopeFields)][]byte
	h.GetLists(envelopeFields[:], values[:], 2, 8)
	b = append(b, '(')
	b = imap.AppendNString(b, values[0])
	b = append(b, ' ')
	b = imap.AppendNString(b, values[1])
	from := message.ParseAddresses(values[2])
	for i, value := range values[2:8] {
		list := from
		if i > 0 {
			if list = message.ParseAddresses(value); len(list) == 0 && i < 3 { // Sender and Reply-To
				list = from
			}
		}
		b = append(b, ' ')
		b = appendAddresses(b, list)
	}
	b = append(b, ' ')
	b = imap.AppendNString(b, values[8])
	b = append(b, ' ')
	b = imap.AppendNString(b, values[9])
	return append(b, ')')
}

func appendAddresses(b []byte, list []message.Address) []byte {
	if len(list) == 0 {
		return append(b, "NIL"...)
	}
	b = append(b, '(')
	for _, a := range list {
		b = append(b, '(')
		for i, s := range [][]byte{a.Name, a.Route, a.Mailbox, a.Host} {
			if i > 0 {
				b = append(b, ' ')
			}
			b = imap.AppendNString(b, s)
		}
		b = append(b, ')')
	}
	return append(b, ')')
}

// A structureForm is BODYSTRUCTURE if extended, else BODY; global is for clients that
// know what a part of message/global is: RFC 9051 section 9 has it, RFC 3501 does not.
type structureForm struct{ extended, global bool }

// appendBodyStructure appends how a message is made up: RFC 3501 section 7.4.2.
func appendBodyStructure(b []byte, p *message.Part, form structureForm) []byte {
	b = append(b, '(')
	if p.IsMultipart() {
		b = appendMultipart(b, p, form)
	} else {
		b = appendSinglePart(b, p, form)
	}
	return append(b, ')')
}

func appendMultipart(b []byte, p *message.Part, form structureForm) []byte {
	if len(p.Children) == 0 { // the grammar wants one
		b = fmt.Appendf(b, `("text" "plain" NIL NIL NIL "7bit" %d %d)`, p.BodySize(), p.BodyLines())
	}
	for _, child := range p.Children {
		b = appendBodyStructure(b, child, form)
	}
	b = append(b, ' ')
	b = imap.AppendString(b, p.Subtype)
	if !form.extended {
		return b
	}
	b = append(b, ' ')
	b = appendParams(b, p.Params)
	return appendExtension(b, p)
}

func appendSinglePart(b []byte, p *message.Part, form structureForm) []byte {
	b = imap.AppendString(b, p.Type)
	b = append(b, ' ')
	b = imap.AppendString(b, p.Subtype)
	b = append(b, ' ')
	b = appendParams(b, p.Params)
	b = append(b, ' ')
	var fields [4][]byte
	p.Header.GetAll([]string{"Content-ID", "Content-Description", "Content-Transfer-Encoding", "Content-MD5"}, fields[:])
	b = imap.AppendNString(b, fields[0])
	b = append(b, ' ')
	b = imap.AppendNString(b, fields[1])
	b = append(b, ' ')
	encoding := fields[2]
	if bytes.ContainsAny(encoding, "(;") {
		encoding = []byte(p.Encoding())
	}
	if len(encoding) == 0 {
		encoding = []byte("7bit")
	}
	b = imap.AppendString(b, bytes.ToLower(encoding))
	b = append(b, ' ')
	b = strconv.AppendInt(b, p.BodySize(), 10)
	enclosed := p.Message != nil && (form.global || p.Subtype != "global")
	if enclosed {
		b = append(b, ' ')
		b = appendEnvelope(b, p.Message.Header)
		b = append(b, ' ')
		b = appendBodyStructure(b, p.Message, form)
	}
	if enclosed || p.Type == "text" {
		b = append(b, ' ')
		b = strconv.AppendInt(b, p.BodyLines(), 10)
	}
	if !form.extended {
		return b
	}
	b = append(b, ' ')
	b = imap.AppendNString(b, fields[3])
	return appendExtension(b, p)
}

// appendExtension appends what both kinds of part end with: disposition,
// language and location.
func appendExtension(b []byte, p *message.Part) []byte {
	var fields [3][]byte
	p.Header.GetAll([]string{"Content-Disposition", "Content-Language", "Content-Location"}, fields[:])
	b = append(b, ' ')
	if value, params := message.ParseParams(fields[0]); len(value) > 0 {
		b = append(b, '(')
		b = imap.AppendString(b, bytes.ToLower(bytes.Fields(value)[0]))
		b = append(b, ' ')
		b = appendParams(b, params)
		b = append(b, ')')
	} else {
		b = append(b, "NIL"...)
	}
	b = append(b, ' ')
	b = appendLanguages(b, fields[1])
	b = append(b, ' ')
	return imap.AppendNString(b, fields[2])
}

// appendLanguages appends the tags of a Content-Language field (RFC 3282): one
// as a string, several as a list.
func appendLanguages(b, field []byte) []byte {
	field, _ = message.ParseParams(field) // without comments
	tags := bytes.FieldsFunc(field, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
	switch len(tags) {
	case 0:
		return append(b, "NIL"...)
	case 1:
		return imap.AppendString(b, tags[0])
	}
	start := byte('(')
	for _, tag := range tags {
		b = append(b, start)
		b = imap.AppendString(b, tag)
		start = ' '
	}
	return append(b, ')')
}

func appendParams(b []byte, params []message.Param) []byte {
	if len(params) == 0 {
		return append(b, "NIL"...)
	}
	b = append(b, '(')
	for i, p := range params {
		if i > 0 {
			b = append(b, ' ')
		}
		b = imap.AppendString(b, p.Name)
		b = append(b, ' ')
		b = imap.AppendString(b, p.Value)
	}
	return append(b, ')')
}
