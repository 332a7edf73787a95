package imap

import (
	"bytes"
	"strconv"

	"smail/message"
)

// AppendEnvelope appends the ENVELOPE of a header: RFC 3501 section 7.4.2.
func AppendEnvelope(b []byte, h message.Header) []byte {
	b = append(b, '(')
	b = AppendNString(b, h.Get("Date"))
	b = append(b, ' ')
	b = AppendNString(b, h.Get("Subject"))
	from := message.ParseAddresses(h.Get("From"))
	for _, name := range []string{"From", "Sender", "Reply-To", "To", "Cc", "Bcc"} {
		list := message.ParseAddresses(h.Get(name))
		if len(list) == 0 && (name == "Sender" || name == "Reply-To") {
			list = from
		}
		b = append(b, ' ')
		b = appendAddresses(b, list)
	}
	b = append(b, ' ')
	b = AppendNString(b, h.Get("In-Reply-To"))
	b = append(b, ' ')
	b = AppendNString(b, h.Get("Message-ID"))
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
			b = AppendNString(b, s)
		}
		b = append(b, ')')
	}
	return append(b, ')')
}

// AppendBodyStructure appends BODYSTRUCTURE, or BODY without extended: RFC
// 3501 section 7.4.2.
func AppendBodyStructure(b []byte, p *message.Part, extended bool) []byte {
	b = append(b, '(')
	if p.IsMultipart() {
		b = appendMultipart(b, p, extended)
	} else {
		b = appendSinglePart(b, p, extended)
	}
	return append(b, ')')
}

func appendMultipart(b []byte, p *message.Part, extended bool) []byte {
	if len(p.Children) == 0 { // the grammar wants one
		b = append(b, `("text" "plain" NIL NIL NIL "7bit" 0 0)`...)
	}
	for _, child := range p.Children {
		b = AppendBodyStructure(b, child, extended)
	}
	b = append(b, ' ')
	b = AppendString(b, p.Subtype)
	if !extended {
		return b
	}
	b = append(b, ' ')
	b = appendParams(b, p.Params)
	return appendExtension(b, p)
}

func appendSinglePart(b []byte, p *message.Part, extended bool) []byte {
	b = AppendString(b, p.Type)
	b = append(b, ' ')
	b = AppendString(b, p.Subtype)
	b = append(b, ' ')
	b = appendParams(b, p.Params)
	b = append(b, ' ')
	b = AppendNString(b, p.Header.Get("Content-ID"))
	b = append(b, ' ')
	b = AppendNString(b, p.Header.Get("Content-Description"))
	b = append(b, ' ')
	encoding := p.Header.Get("Content-Transfer-Encoding")
	if len(encoding) == 0 {
		encoding = []byte("7bit")
	}
	b = AppendString(b, bytes.ToLower(encoding))
	b = append(b, ' ')
	b = strconv.AppendInt(b, p.BodySize(), 10)
	if p.Message != nil {
		b = append(b, ' ')
		b = AppendEnvelope(b, p.Message.Header)
		b = append(b, ' ')
		b = AppendBodyStructure(b, p.Message, extended)
	}
	if p.Message != nil || p.Type == "text" {
		b = append(b, ' ')
		b = strconv.AppendInt(b, p.BodyLines(), 10)
	}
	if !extended {
		return b
	}
	b = append(b, ' ')
	b = AppendNString(b, p.Header.Get("Content-MD5"))
	return appendExtension(b, p)
}

// appendExtension appends what both kinds of part end with: disposition,
// language and location.
func appendExtension(b []byte, p *message.Part) []byte {
	b = append(b, ' ')
	if value, params := p.Header.Field("Content-Disposition"); len(value) > 0 {
		b = append(b, '(')
		b = AppendString(b, bytes.ToLower(value))
		b = append(b, ' ')
		b = appendParams(b, params)
		b = append(b, ')')
	} else {
		b = append(b, "NIL"...)
	}
	b = append(b, ' ')
	b = AppendNString(b, p.Header.Get("Content-Language"))
	b = append(b, ' ')
	return AppendNString(b, p.Header.Get("Content-Location"))
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
		b = AppendString(b, p.Name)
		b = append(b, ' ')
		b = AppendString(b, p.Value)
	}
	return append(b, ')')
}
