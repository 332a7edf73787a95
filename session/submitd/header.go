package submitd

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"smail/message"
)

// maxHeaderBytes bounds a header, which is held in memory.
const maxHeaderBytes = 1 << 20

// readHeader reads up to and with the empty line, or to the first line that is
// no header's: then the body has begun.
func readHeader(r *bufio.Reader) (message.Header, error) {
	var h message.Header
	lineStart := true
	for {
		start, err := r.Peek(maxFieldName)
		if len(start) == 0 && err == io.EOF {
			return h, nil
		}
		if len(start) == 0 {
			return nil, err
		}
		if lineStart {
			if start[0] == '\n' {
				r.Discard(1)
				return h, nil
			}
			if !isField(start) && (len(h) == 0 || start[0] != ' ' && start[0] != '\t') {
				return h, nil
			}
		}
		line, err := r.ReadSlice('\n')
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return nil, err
		}
		if len(h)+len(line) > maxHeaderBytes {
			return nil, reply(552, smtp.EnhancedCode{5, 3, 4}, "Header larger than %d bytes", maxHeaderBytes)
		}
		h = append(h, line...)
		lineStart = err == nil
	}
}

// maxFieldName is how far a field's name may reach: RFC 5322 section 2.1.1
// keeps a line of it below that.
const maxFieldName = 100

// isField says whether a line begins as a header field does: a name and a colon.
func isField(line []byte) bool {
	name, _, found := bytes.Cut(line, []byte(":"))
	name = bytes.TrimRight(name, " \t")
	for _, c := range name {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	return found && len(name) > 0
}

// A text is a message's header as it goes out.
type text struct {
	header []byte // with the empty line
	bcc    []byte // fields that only the sender's own copy has
}

// hidden are the fields that no recipient may see.
var hidden = []string{"Bcc", "Resent-Bcc"}

// mend returns the header as it is sent: with Received, Date and Message-ID,
// a sender that is the user, and without what is not for recipients. RFC 6409
// section 8.
func (t *transaction) mend(e *envelope, h message.Header) (*text, error) {
	out := t.received(e)
	kept, err := t.author(h.Without(append(hidden, "Return-Path"))) // which is the last one's to write
	if err != nil {
		return nil, err
	}
	out = append(out, kept...)
	if h.Get("Date") == nil {
		out = fmt.Appendf(out, "Date: %s\n", time.Now().Format(dateLayout))
	}
	if h.Get("Message-ID") == nil {
		out = fmt.Appendf(out, "Message-ID: <%s@%s>\n", e.id, t.Config.Hostname)
	}
	m := &text{header: append(out, '\n')}
	for name, lines := range h.Fields() {
		if isOneOf(name, hidden) {
			m.bcc = append(m.bcc, lines...)
		}
	}
	return m, nil
}

func isOneOf(name []byte, names []string) bool {
	for _, n := range names {
		if strings.EqualFold(string(name), n) {
			return true
		}
	}
	return false
}

const dateLayout = "Mon, 2 Jan 2006 15:04:05 -0700"

// received writes the trace field: RFC 5321 section 4.4, RFC 3848, RFC 8314
// section 7.4 for the cipher. Where the client's address is to be hidden there
// is no "from" at all.
func (t *transaction) received(e *envelope) []byte {
	with := "ESMTPS"
	if e.mail.UTF8 {
		with = "UTF8SMTPS"
	}
	if !t.Recent {
		with += "A"
	}
	from, literal := t.Greeted, t.Peer
	if literal == "" {
		literal, with = "local", "local"
	} else if strings.Contains(literal, ":") {
		literal = "[IPv6:" + literal + "]"
	} else {
		literal = "[" + literal + "]"
	}
	if from == "" {
		from = "localhost"
	} else if !isASCII(from) { // it must not make the message one for SMTPUTF8
		from = literal
	}
	b := []byte("Received:")
	if !t.Config.HideClientAddress {
		b = fmt.Appendf(b, " from %s (%s)\n\t", from, literal)
	} else {
		b = append(b, ' ')
	}
	b = fmt.Appendf(b, "by %s (smail) with %s id %s", t.Config.Hostname, with, e.id)
	if t.TLS != "" {
		b = fmt.Appendf(b, "\n\t(%s)", t.TLS)
	}
	return fmt.Appendf(b, ";\n\t%s\n", time.Now().Format(dateLayout))
}
