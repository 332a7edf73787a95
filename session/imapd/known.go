package imapd

import (
	"encoding/binary"
	"slices"

	"smail/message"
)

// A known is what the folder's cache has of one message, so that its file need
// not be opened: responses as they are sent, and the header fields that
// clients ask for. As an entry it is a version and then parts: a kind, a
// length (uvarint) and that many bytes. A kind that is not there is not known.
type known struct {
	parts [kinds][]byte
	dirty bool   // something is there that the cache has not
	made  []byte // what of it was made here
}

const entryVersion = 2

const (
	kindEnvelope        = iota // ENVELOPE
	kindStructure              // BODYSTRUCTURE
	kindBody                   // BODY
	kindHeader                 // commonFields and those in kindMore, with CRLF
	kindMore                   // names of further fields, a space between them
	kindPreview                // PREVIEW
	kindFields                 // where each field of kindHeader is: a code and its length
	kindGlobalStructure        // BODYSTRUCTURE for who knows message/global, where that is another
	kindGlobalBody             // BODY likewise
	kinds
)

// parse reads an entry; one that makes no sense is empty.
func (k *known) parse(entry []byte) {
	if len(entry) == 0 || entry[0] != entryVersion {
		return
	}
	for b := entry[1:]; len(b) > 0; {
		kind := b[0]
		size, n := binary.Uvarint(b[1:])
		if n <= 0 || kind >= kinds || size > uint64(len(b)-1-n) {
			*k = known{}
			return
		}
		k.parts[kind] = b[1+n : 1+n+int(size)]
		b = b[1+n+int(size):]
	}
}

// entry writes what is known.
func (k *known) entry() []byte {
	size := 1
	for _, part := range k.parts {
		size += 1 + binary.MaxVarintLen32 + len(part)
	}
	b := append(make([]byte, 0, size), entryVersion)
	for kind, part := range k.parts {
		if part != nil {
			b = append(b, byte(kind))
			b = binary.AppendUvarint(b, uint64(len(part)))
			b = append(b, part...)
		}
	}
	return b
}

// keep keeps what fn appends.
func (k *known) keep(kind int, fn func(b []byte) []byte) {
	at := len(k.made)
	k.made = fn(k.made)
	k.parts[kind], k.dirty = k.made[at:len(k.made):len(k.made)], true
}

// learnEnvelope keeps the ENVELOPE of a header.
func (k *known) learnEnvelope(h message.Header) {
	k.keep(kindEnvelope, func(b []byte) []byte { return appendEnvelope(b, h) })
}

// learnStructure keeps how a message is made up, as BODYSTRUCTURE or BODY.
func (k *known) learnStructure(p *message.Part, structure, body bool) {
	for _, form := range []struct {
		wanted       bool
		kind, global int
	}{{structure, kindStructure, kindGlobalStructure}, {body, kindBody, kindGlobalBody}} {
		if !form.wanted {
			continue
		}
		k.keep(form.kind, func(b []byte) []byte {
			return appendBodyStructure(b, p, structureForm{form.kind == kindStructure, false})
		})
		if hasGlobal(p) {
			k.keep(form.global, func(b []byte) []byte {
				return appendBodyStructure(b, p, structureForm{form.kind == kindStructure, true})
			})
		}
	}
}

// structure returns BODYSTRUCTURE or BODY, as the client understands it.
func (k *known) structure(kind, global int, knowsGlobal bool) []byte {
	if knowsGlobal && k.parts[global] != nil {
		return k.parts[global]
	}
	return k.parts[kind]
}

// hasGlobal says whether a part of message/global is among them.
func hasGlobal(p *message.Part) bool {
	return p.Message != nil && (p.Subtype == "global" || hasGlobal(p.Message)) || slices.ContainsFunc(p.Children, hasGlobal)
}
