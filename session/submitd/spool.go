package submitd

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
	"golang.org/x/sys/unix"

	"smail/message"
)

// A spool is a message on its way: a file without a name, with LF line ends.
// Only a message that has come whole and was found good is handed over, so
// that no program ever gets half of one.
type spool struct {
	*os.File
	size int64 // with LF line ends, as it is here
	crlf int64 // with CRLF
}

// A readError says that the client's connection broke within a message.
type readError struct{ err error }

func (e *readError) Error() string { return "message not received: " + e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// maxHeaderBytes bounds a header, which is held in memory.
const maxHeaderBytes = 1 << 20

var spoolDir = "/var/tmp" // a disk, where /tmp may be memory

func newSpool() (*spool, error) {
	fd, err := unix.Open(spoolDir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return &spool{File: os.NewFile(uintptr(fd), "spool")}, nil
	}
	f, err := os.CreateTemp(spoolDir, "smail-")
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	os.Remove(f.Name())
	return &spool{File: f}, nil
}

// receive reads a message to its end, mends its header and spools it.
func (t *transaction) receive(e *envelope, r io.Reader) (*spool, error) {
	s, err := newSpool()
	if err != nil {
		return nil, err
	}
	if err := t.fill(s, e, r); err != nil {
		s.Close()
		return nil, err
	}
	if _, err := s.Seek(0, io.SeekStart); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (t *transaction) fill(s *spool, e *envelope, r io.Reader) error {
	in := bufio.NewReaderSize(&lineReader{r: r}, 64<<10)
	header, err := readHeader(in)
	if err != nil {
		return err
	}
	lines := &lineCounter{w: s}
	w := bufio.NewWriterSize(lines, 64<<10)
	w.Write(t.mend(e, header))
	if _, err := io.Copy(onlyWriter{w}, in); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	s.size, err = s.Seek(0, io.SeekCurrent)
	s.crlf = s.size + lines.n
	return err
}

// A lineCounter counts the line ends that pass it.
type lineCounter struct {
	w io.Writer
	n int64
}

func (l *lineCounter) Write(p []byte) (int, error) {
	l.n += int64(bytes.Count(p, []byte("\n")))
	return l.w.Write(p)
}

// onlyWriter hides everything but Write from io.Copy.
type onlyWriter struct{ io.Writer }

// readHeader reads up to and with the empty line, or to the first line that is
// no header's: then the body has begun.
func readHeader(r *bufio.Reader) (message.Header, error) {
	var h message.Header
	lineStart := true
	for {
		first, err := r.Peek(1)
		if err == io.EOF {
			return h, nil
		}
		if err != nil {
			return nil, err
		}
		if lineStart {
			if first[0] == '\n' {
				r.Discard(1)
				return h, nil
			}
			if start, _ := r.Peek(maxFieldName); !isField(start) && (len(h) == 0 || first[0] != ' ' && first[0] != '\t') {
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

// dropped are the fields that no recipient may see, or that are the next one's
// to write.
var dropped = []string{"Bcc", "Resent-Bcc", "Return-Path"}

// mend returns the header as it is sent: with Received, Date and Message-ID,
// without what is not for recipients. RFC 6409 section 8.
func (t *transaction) mend(e *envelope, h message.Header) []byte {
	out := t.received(e)
	out = append(out, h.Without(dropped)...)
	if len(out) > 0 && out[len(out)-1] != '\n' {
		out = append(out, '\n')
	}
	if h.Get("Date") == nil {
		out = fmt.Appendf(out, "Date: %s\n", time.Now().Format(dateLayout))
	}
	if h.Get("Message-ID") == nil {
		out = fmt.Appendf(out, "Message-ID: <%s@%s>\n", e.id, t.Config.Hostname)
	}
	return append(out, '\n')
}

const dateLayout = "Mon, 2 Jan 2006 15:04:05 -0700"

// received writes the trace field: RFC 5321 section 4.4, RFC 3848, RFC 8314
// section 7.4 for the cipher.
func (t *transaction) received(e *envelope) []byte {
	with := "ESMTPS"
	if e.mail.UTF8 {
		with = "UTF8SMTPS"
	}
	if !t.Recent {
		with += "A"
	}
	from, literal := t.Greeted, t.Peer
	if from == "" {
		from = "localhost"
	}
	if literal == "" {
		literal, with = "local", "local"
	} else if strings.Contains(literal, ":") {
		literal = "[IPv6:" + literal + "]"
	} else {
		literal = "[" + literal + "]"
	}
	b := fmt.Appendf(nil, "Received: from %s (%s)\n\tby %s (smail) with %s id %s", from, literal, t.Config.Hostname, with, e.id)
	if t.TLS != "" {
		b = fmt.Appendf(b, "\n\t(%s)", t.TLS)
	}
	return fmt.Appendf(b, ";\n\t%s\n", time.Now().Format(dateLayout))
}

// newID names a message in the log, the trace and, if need be, its Message-ID.
func newID() string {
	return fmt.Sprintf("%x.%s", time.Now().UnixMicro(), strings.ToLower(rand.Text()[:10]))
}

// A lineReader turns CRLF into LF and refuses what other servers may take for
// the end of a line or of the message: a bare CR or LF, and NUL. Having read
// an error from below it says so as a readError.
type lineReader struct {
	r      io.Reader
	heldCR bool
	bad    error
}

var errBare = reply(550, smtp.EnhancedCode{5, 6, 0}, "A line ends with CR LF; a CR, a LF or a NUL alone is refused")

func (l *lineReader) Read(p []byte) (int, error) {
	if l.bad != nil {
		return 0, l.bad
	}
	for {
		n, err := l.r.Read(p)
		out, bad := l.convert(p[:n])
		switch {
		case bad != nil:
			l.bad = bad
		case err == io.EOF && l.heldCR:
			l.bad = errBare
		case err == io.EOF:
			l.bad = io.EOF
		case err != nil:
			if l.bad = err; !isReply(err) {
				l.bad = &readError{err}
			}
		}
		if out > 0 || l.bad != nil {
			return out, l.bad
		}
	}
}

// convert removes the CR of each CRLF from b, in place.
func (l *lineReader) convert(b []byte) (n int, err error) {
	if bytes.IndexByte(b, 0) >= 0 {
		return 0, errBare
	}
	for rest := b; len(rest) > 0; {
		if l.heldCR {
			if rest[0] != '\n' {
				return 0, errBare
			}
			b[n] = '\n'
			n, rest, l.heldCR = n+1, rest[1:], false
			continue
		}
		line := rest
		if i := bytes.IndexByte(rest, '\r'); i >= 0 {
			line, l.heldCR = rest[:i], true
		}
		if bytes.IndexByte(line, '\n') >= 0 {
			return 0, errBare
		}
		rest = rest[len(line):]
		if l.heldCR {
			rest = rest[1:]
		}
		n += copy(b[n:], line)
	}
	return n, nil
}

// isReply tells go-smtp's own refusals, as of too large a message.
func isReply(err error) bool {
	_, ok := err.(*smtp.SMTPError)
	return ok
}
