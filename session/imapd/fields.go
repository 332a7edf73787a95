package imapd

import (
	"encoding/binary"
	"slices"
	"strings"

	"smail/message"
)

// commonFields are kept of every header, in lower case and in order.
var commonFields = []string{"bcc", "cc", "content-transfer-encoding", "content-type", "date", "delivered-to", "from", "importance",
	"in-reply-to", "list-id", "list-post", "list-unsubscribe", "message-id", "mime-version", "newsgroups", "organization", "priority",
	"references", "reply-to", "sender", "subject", "to", "user-agent", "x-label", "x-mailer", "x-original-to", "x-priority", "x-spam-flag"}

// A field that is kept has a code: its place in commonFields, or firstMore and its
// place in kindMore. A set of codes is a uint64.
const firstMore = 32

// maxKnownHeader bounds the fields that are kept of one header, maxMore the
// names besides commonFields.
const (
	maxKnownHeader = 16 << 10
	maxMore        = 20
)

// A fieldSet is the header fields that somebody wants, named in lower case.
type fieldSet struct {
	names  []string
	common uint64   // codes of those in commonFields
	more   []string // the others
}

func newFieldSet(names []string) fieldSet {
	set := fieldSet{names: slices.Clone(names)}
	for _, name := range names {
		if code, ok := slices.BinarySearch(commonFields, name); ok {
			set.common |= 1 << code
		} else if !slices.Contains(set.more, name) {
			set.more = append(set.more, name)
		}
	}
	return set
}

// fieldSet returns that of some names, which are mostly the same for all messages.
func (m *memory) fieldSet(names []string) *fieldSet {
	if !slices.Equal(m.set.names, names) {
		m.set = newFieldSet(names)
	}
	return &m.set
}

// more returns the names of fields that are known besides commonFields.
func (k *known) more() []string { return strings.Fields(string(k.parts[kindMore])) }

// hasFields says whether header fields are known, or known not to be there.
func (k *known) hasFields(set *fieldSet) bool {
	return k.parts[kindHeader] != nil && (len(set.more) == 0 || len(k.unknownFields(set)) == 0)
}

func (k *known) unknownFields(set *fieldSet) (unknown []string) {
	more := k.more()
	for _, name := range set.more {
		if !slices.Contains(more, name) {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

// learnFields keeps of a header what clients ask for, the named fields too.
func (k *known) learnFields(h message.Header, names []string) {
	set := newFieldSet(names)
	if k.hasFields(&set) {
		return
	}
	asked := k.unknownFields(&set)
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
	k.keep(kindFields, func(b []byte) []byte { return appendFieldIndex(b, fields, more) })
}

// appendFieldIndex appends a code and a length (uvarint) for each field of what
// learnFields has kept.
func appendFieldIndex(b []byte, h message.Header, more []string) []byte {
	for name, lines := range h.Fields() {
		lower := strings.ToLower(string(name))
		code, ok := slices.BinarySearch(commonFields, lower)
		if !ok {
			code = firstMore + slices.Index(more, lower)
		}
		b = binary.AppendUvarint(append(b, byte(code)), uint64(len(lines)))
	}
	return b
}

// A fieldWalk goes through the fields of a kindHeader, by kindFields.
type fieldWalk struct{ header, index []byte }

// next returns the next field and its code; nil behind the last.
func (w *fieldWalk) next() (code byte, lines []byte) {
	if len(w.index) == 0 {
		return 0, nil
	}
	size, n := binary.Uvarint(w.index[1:])
	if n <= 0 || size > uint64(len(w.header)) {
		return 0, nil
	}
	code, lines = w.index[0], w.header[:size]
	w.header, w.index = w.header[size:], w.index[1+n:]
	return code, lines
}

// codes returns those of a set.
func (k *known) codes(set *fieldSet) uint64 {
	codes := set.common
	if len(set.more) > 0 {
		for i, name := range k.more() {
			if slices.Contains(set.more, name) {
				codes |= 1 << (firstMore + i)
			}
		}
	}
	return codes
}

// appendFields appends the fields of a set as a HEADER.FIELDS section has them.
func (k *known) appendFields(b []byte, set *fieldSet) []byte {
	codes := k.codes(set)
	w := fieldWalk{k.parts[kindHeader], k.parts[kindFields]}
	for code, lines := w.next(); lines != nil; code, lines = w.next() {
		if codes&(1<<code) != 0 {
			b = append(b, lines...)
		}
	}
	return append(b, '\r', '\n')
}

// narrow returns a part of what is kept of the header that has the fields of a set.
func (k *known) narrow(set *fieldSet) message.Header {
	header := k.parts[kindHeader]
	codes := k.codes(set)
	first, end := len(header), len(header)
	w := fieldWalk{header, k.parts[kindFields]}
	for code, lines := w.next(); lines != nil; code, lines = w.next() {
		if codes&(1<<code) != 0 {
			end = len(header) - len(w.header)
			first = min(first, end-len(lines))
		}
	}
	return header[first:end]
}
