// Package smtp is the grammar of SMTP that the front needs before login (RFC
// 5321, RFC 4954). After login go-smtp speaks it in the session.
package smtp

import (
	"bufio"
	"strings"

	"smail/internal/line"
)

// maxLineBytes bounds a command. RFC 4954 section 4 wants 12288 for AUTH.
const maxLineBytes = 12288

// ErrLongLine ends a connection: what follows cannot be told from a command.
var ErrLongLine = line.ErrLong

// A Command is a verb in capitals and what follows it.
type Command struct {
	Line string // as sent, without its end
	Verb string
	Rest string
}

// ReadCommand reads one command.
func ReadCommand(r *bufio.Reader) (Command, error) {
	text, err := ReadLine(r)
	if err != nil {
		return Command{}, err
	}
	verb, rest, _ := strings.Cut(text, " ")
	return Command{text, strings.ToUpper(verb), strings.TrimSpace(rest)}, nil
}

// ReadLine reads a line without its end.
func ReadLine(r *bufio.Reader) (string, error) { return line.Read(r, maxLineBytes) }

// Domain says whether EHLO's argument is a domain or an address literal that
// may stand in a Received line: RFC 5321 section 4.1.2, generously.
func Domain(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80 ||
			strings.IndexByte(".-_:[]!#$%&'*+/=?^`{|}~", c) >= 0) { // clients say what their machine is called
			return false
		}
	}
	return true
}

// Reply writes a reply of one or more lines (RFC 5321 section 4.2.1).
func Reply(code string, lines ...string) string {
	var b strings.Builder
	for i, l := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		b.WriteString(code + sep + l + "\r\n")
	}
	return b.String()
}
