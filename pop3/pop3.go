// Package pop3 is the grammar of POP3 (RFC 1939) and its extensions: reading
// commands, writing replies. It knows no files, users or processes. The front
// uses it before login and the session after it.
package pop3

import (
	"bufio"
	"bytes"
	"io"
	"strings"

	"smail/internal/line"
)

// maxLineBytes bounds a command. RFC 2449 section 4 asks for 255 octets, RFC
// 5034 section 4 for more after AUTH.
const maxLineBytes = 8 << 10

// ErrLongLine ends a connection: what follows cannot be told from a command.
var ErrLongLine = line.ErrLong

// ReadLine reads a line without its end.
func ReadLine(r *bufio.Reader) (string, error) { return line.Read(r, maxLineBytes) }

// A Command is a keyword in capitals and what follows it.
type Command struct {
	Name string
	Rest string // as sent: a password may hold spaces
}

// Parse takes a line apart.
func Parse(line string) Command {
	name, rest, _ := strings.Cut(line, " ")
	return Command{strings.ToUpper(name), rest}
}

// Args returns the arguments that spaces separate.
func (c Command) Args() []string { return strings.Fields(c.Rest) }

// Response codes: RFC 2449 section 8, RFC 3206.
const (
	CodeAuth    = "[AUTH] "     // the name or the password is wrong
	CodeInUse   = "[IN-USE] "   // another program has the mailbox
	CodeSysTemp = "[SYS/TEMP] " // not the client's fault; it may come again
	CodeSysPerm = "[SYS/PERM] " // nor is it; somebody must mend it first
)

// A DotWriter writes the lines of a multi-line reply: LF becomes CRLF, a dot
// at the start of a line is doubled (RFC 1939 section 3).
type DotWriter struct {
	w    *bufio.Writer
	last byte
}

func NewDotWriter(w *bufio.Writer) *DotWriter { return &DotWriter{w: w, last: '\n'} }

func (d *DotWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		if rest[0] == '.' && d.last == '\n' {
			d.w.WriteByte('.')
		}
		line, ended := rest, false
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			line, ended = rest[:i], true
		}
		rest = rest[len(line):]
		if len(line) > 0 {
			d.w.Write(line)
			d.last = line[len(line)-1]
		}
		if ended {
			if rest = rest[1:]; d.last != '\r' {
				d.w.WriteByte('\r')
			}
			d.w.WriteByte('\n')
			d.last = '\n'
		}
	}
	return len(p), nil
}

// Close ends the reply.
func (d *DotWriter) Close() error {
	if d.last != '\n' {
		io.WriteString(d.w, "\r\n")
	}
	_, err := io.WriteString(d.w, ".\r\n")
	return err
}
