package imapd

import (
	"encoding/binary"
	"slices"
	"strings"

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

const entryVersion = 1

const (
	kindEnvelope  = iota // ENVELOPE
	kindStructure        // BODYSTRUCTURE
	kindBody             // BODY
	kindHeader           // commonFields and those in kindMore, with CRLF
	kindMore             // names of further fields, a space between them
	kindPreview          // PREVIEW
	kinds
)

// commonFields are kept of every header, in lower case.
var commonFields = []string{"bcc", "cc", "content-transfer-encoding", "content-type", "date", "delivered-to", "from", "importance",
	"in-reply-to", "list-id", "list-post", "list-unsubscribe", "message-id", "mime-version", "newsgroups", "organization", "priority",
	"references", "reply-to", "sender", "subject", "to", "user-agent", "x-label", "x-mailer", "x-original-to", "x-priority", "x-spam-flag"}

var isCommon = func() map[string]bool {
	m := map[string]bool{}
	for _, name := range commonFields {
		m[name] = true
	}
	return m
}()

// maxKnownHeader bounds the fields that are kept of one header, maxMore the
// names besides commonFields.
const (
	maxKnownHeader = 16 << 10
	maxMore        = 20
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

// more returns the names of fields that are known besides commonFields.
func (k *known) more() []string { return strings.Fields(string(k.parts[kindMore])) }

// hasFields says whether the header fields of these names, in lower case, are
// known, or known not to be there.
func (k *known) hasFields(names []string) bool {
	return k.parts[kindHeader] != nil && len(k.unknownFields(names)) == 0
}

func (k *known) unknownFields(names []string) (unknown []string) {
	for _, name := range names {
		if !isCommon[name] && !slices.Contains(k.more(), name) && !slices.Contains(unknown, name) {
			unknown = append(unknown, name)
		}
	}
	return unknown
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

// learnFields keeps of a header what clients ask for, the named fields too.
func (k *known) learnFields(h message.Header, names []string) {
	if k.hasFields(names) {
		return
	}
	asked := k.unknownFields(names)
	if slices.ContainsFunc(asked, func(name string) bool { return strings.ContainsAny(name, " :\t\r\n") || name == "" }) {
		return // no header has such a field
	}
	more := append(k.more(), asked...)
	if len(more) > maxMore {
		more = asked
	}
	all := commonFields
	if len(more) > 0 {
		all = slices.Concat(all, more)
	}
	at := len(k.made)
	k.made = h.AppendSelect(k.made, all, false)
	fields := k.made[at:len(k.made):len(k.made)]
	if len(fields) > maxKnownHeader || len(more) > maxMore {
		return
	}
	k.parts[kindHeader], k.dirty = fields, true
	if k.parts[kindMore] = nil; len(more) > 0 {
		k.parts[kindMore] = []byte(strings.Join(more, " "))
	}
}

// learnStructure keeps how a message is made up, as BODYSTRUCTURE or BODY.
func (k *known) learnStructure(p *message.Part, structure, body bool) {
	if structure {
		k.keep(kindStructure, func(b []byte) []byte { return appendBodyStructure(b, p, true) })
	}
	if body {
		k.keep(kindBody, func(b []byte) []byte { return appendBodyStructure(b, p, false) })
	}
}
