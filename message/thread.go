package message

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// maxSubject bounds what is looked at of a subject: leaving out marks takes the
// square of it.
const maxSubject = 2 << 10

// BaseSubject returns what is left of a Subject without the marks of replies
// and forwards: RFC 5256 section 2.1. reply says whether there were any.
func BaseSubject(subject []byte) (base string, reply bool) {
	s := strings.Join(strings.Fields(UTF8(subject[:min(len(subject), maxSubject)])), " ")
	for len(s) > maxSubject { // what was no UTF-8 has grown
		_, last := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-last]
	}
	for {
		before := s
		for { // (2) trailers
			t := strings.TrimRight(s, " ")
			if len(t) >= 5 && strings.EqualFold(t[len(t)-5:], "(fwd)") {
				t, reply = t[:len(t)-5], true
			}
			if t == s {
				break
			}
			s = t
		}
		for { // (3) to (5) leaders and blobs
			t := strings.TrimLeft(s, " ")
			if rest, ok := cutLeader(t); ok {
				t, reply = rest, true
			}
			if rest, ok := cutBlob(t); ok && strings.TrimSpace(rest) != "" {
				t = rest
			}
			if t == s {
				break
			}
			s = t
		}
		// (6) [Fwd: ... ]
		if len(s) >= 6 && strings.EqualFold(s[:5], "[fwd:") && strings.HasSuffix(s, "]") {
			s, reply = s[5:len(s)-1], true
		}
		if s == before {
			return s, reply
		}
	}
}

// cutLeader removes *subj-blob and "re:", "fw:" or "fwd:", perhaps with a blob
// before the colon.
func cutLeader(s string) (string, bool) {
	for {
		rest, ok := cutBlob(s)
		if !ok {
			break
		}
		s = rest
	}
	word := ""
	for _, w := range []string{"fwd", "re", "fw"} {
		if len(s) > len(w) && strings.EqualFold(s[:len(w)], w) {
			word = w
			break
		}
	}
	if word == "" {
		return s, false
	}
	s = strings.TrimLeft(s[len(word):], " ")
	if rest, ok := cutBlob(s); ok {
		s = rest
	}
	return strings.CutPrefix(s, ":")
}

// cutBlob removes "[...]" and the spaces behind it.
func cutBlob(s string) (string, bool) {
	if !strings.HasPrefix(s, "[") {
		return s, false
	}
	i := strings.IndexAny(s[1:], "[]")
	if i < 0 || s[1+i] != ']' {
		return s, false
	}
	return strings.TrimLeft(s[i+2:], " "), true
}

// maxReferences bounds what is read of one message; the last are the nearest.
const maxReferences = 1000

// MessageIDs returns the ids in a References, In-Reply-To or Message-ID field,
// without the angle brackets, in their order: RFC 5322 section 3.6.4.
func MessageIDs(value []byte) (ids []string) {
	for {
		i := bytes.IndexByte(value, '<')
		if i < 0 {
			break
		}
		value = value[i+1:]
		j := bytes.IndexAny(value, "<>")
		if j < 0 {
			break
		}
		if value[j] == '>' {
			if id := bytes.TrimSpace(value[:j]); len(id) > 0 {
				ids = append(ids, normalID(string(id)))
			}
			value = value[j+1:]
		} else {
			value = value[j:]
		}
	}
	return ids[max(0, len(ids)-maxReferences):]
}

// normalID writes an id in one way, without white space and what only quotes: RFC
// 5256 section 3 has <"q"@t> be <q@t>.
func normalID(id string) string {
	id = strings.Join(strings.Fields(id), "")
	at := strings.LastIndexByte(id, '@')
	if at < 3 || id[0] != '"' || id[at-1] != '"' {
		return id
	}
	var b strings.Builder
	for local := id[1 : at-1]; local != ""; local = local[1:] {
		if local[0] == '\\' && len(local) > 1 {
			local = local[1:]
		}
		b.WriteByte(local[0])
	}
	return b.String() + id[at:]
}
