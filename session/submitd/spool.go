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
)

// A readError says that the client's connection broke within a message.
type readError struct{ err error }

func (e *readError) Error() string { return "message not received: " + e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// SpoolDir is a disk, where /tmp may be memory.
var SpoolDir = "/var/tmp"

// newSpool makes a file without a name, for a message that is handed over only
// when it has come whole: no program ever gets half of one.
func newSpool() (*os.File, error) {
	fd, err := unix.Open(SpoolDir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(fd), "spool"), nil
	}
	f, err := os.CreateTemp(SpoolDir, "smail-")
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	os.Remove(f.Name())
	return f, nil
}

// newID names a message in the log, the trace and, if need be, its Message-ID.
func newID() string {
	return fmt.Sprintf("%x.%s", time.Now().UnixMicro(), strings.ToLower(rand.Text()[:10]))
}

// carry takes a message from the client to the next one, who has it when there
// is no error; said is his word. Nobody has any of it else.
func (t *transaction) carry(e *envelope, r io.Reader) (said string, size int64, err error) {
	in := bufio.NewReaderSize(&lineReader{r: r}, 64<<10)
	header, err := readHeader(in)
	if err != nil {
		return "", 0, err
	}
	m, err := t.mend(e, header)
	if err != nil {
		return "", 0, err
	}
	e.beyondASCII = e.mail.UTF8 && !isASCII(e.from, string(m.header), strings.Join(e.addresses(), ""))
	c, err := t.carrier(e)
	if err != nil {
		return "", 0, err
	}
	defer c.abort()
	own := t.ownCopy(m)
	defer own.abort()
	w := io.MultiWriter(c, own)
	if _, err := w.Write(m.header); err != nil {
		return "", 0, err
	}
	size, err = io.Copy(w, in)
	if err != nil {
		return "", 0, err
	}
	// go-smtp takes the connection's end within a chunk for the chunk's end.
	if err := t.conn.failed(); err != nil {
		return "", 0, &readError{err}
	}
	if said, err = c.commit(); err == nil {
		own.commit()
	}
	return said, size + int64(len(m.header)), err
}

// isASCII says whether texts are. A client may ask for SMTPUTF8 and not need it.
func isASCII(texts ...string) bool {
	for _, s := range texts {
		for i := range len(s) {
			if s[i] >= 0x80 {
				return false
			}
		}
	}
	return true
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
