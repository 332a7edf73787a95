package submitd

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// A conn joins go-smtp, which begins with a greeting and EHLO, to a client
// that has had both from the front: it feeds an EHLO of its own, swallows
// greeting and reply, and says instead what the client waits for.
//
// What follows DATA it keeps for a content. It gathers replies until it has to
// wait, since the library writes every line on its own; and after an error of
// reading it stays closed, since the library would take the rest of a message
// for commands.
type conn struct {
	server  *server
	client  io.ReadWriter
	in      *bufio.Reader
	begun   []byte // the first letters of the line that is being passed on
	feed    string // what the next reads return
	swallow bool
	reply   string // said when the greeting is swallowed
	closed  chan struct{}
	ended   error // why, once closed
	once    sync.Once
	over    bool // nothing more is said: go-smtp goes on with what it has read ahead

	mu  sync.Mutex // go-smtp writes from where it reads, but for panics
	out []byte
	err error
}

// inBuffer is how much is read from a client at once.
const inBuffer = 32 << 10

func newConn(s *server, client io.ReadWriter) *conn {
	c := &conn{server: s, client: client, feed: "EHLO front\r\n", swallow: true, closed: make(chan struct{})}
	c.in = bufio.NewReaderSize(flushing{c}, inBuffer)
	return c
}

func (c *conn) Read(p []byte) (int, error) {
	if c.feed != "" {
		n := copy(p, c.feed)
		c.feed = c.feed[n:]
		return n, nil
	}
	if err := c.failed(); err != nil {
		return 0, err
	}
	if _, err := c.in.Peek(1); err != nil {
		c.fail(err)
		return 0, c.failed()
	}
	b, _ := c.in.Peek(min(c.in.Buffered(), len(p)))
	return c.in.Read(p[:c.untilData(b)])
}

// untilData returns how many bytes there are up to a DATA command and with it,
// all of b if there is none. What is behind one is not for go-smtp.
func (c *conn) untilData(b []byte) (n int) {
	for n < len(b) {
		line := b[n:]
		i := bytes.IndexByte(line, '\n')
		if i >= 0 {
			line = line[:i+1]
		}
		n += len(line)
		c.begun = append(c.begun, line[:min(len(line), len("DATA")-len(c.begun))]...)
		if i >= 0 {
			isData := strings.EqualFold(string(c.begun), "DATA")
			if c.begun = c.begun[:0]; isData {
				return n
			}
		}
	}
	return n
}

// flushing says what was gathered before it waits for the client.
type flushing struct{ c *conn }

func (f flushing) Read(p []byte) (int, error) {
	if err := f.c.flush(); err != nil {
		return 0, err
	}
	for {
		if err := f.c.server.ended(); err != nil {
			fmt.Fprintf(f.c.client, "421 4.3.2 %s\r\n", err)
			f.c.over = true
			return 0, err
		}
		n, err := f.c.client.Read(p)
		if err == nil || err != f.c.server.Interrupted {
			return n, err
		}
	}
}

// ended says why the session is to end now: not within a message.
func (s *server) ended() error {
	if s.Ending == nil || s.within.Load() > 0 || s.Ending() == "" {
		return nil
	}
	return errors.New(s.Ending())
}

// fail ends the connection: nothing is read any more.
func (c *conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
}

func (c *conn) failed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

const flushAt = 8 << 10

func (c *conn) Write(p []byte) (int, error) {
	if c.swallow {
		// go-smtp writes line by line; the last of EHLO's has a space.
		if strings.HasPrefix(string(p), "250 ") {
			c.swallow = false
			c.out = append(c.out, c.reply...)
		}
		return len(p), nil
	}
	if c.over {
		return len(p), nil
	}
	if said := strings.TrimSpace(string(p)); strings.HasPrefix(said, "501 5.5.4 ") &&
		(strings.HasSuffix(said, " argument") || strings.HasSuffix(said, "Too many arguments")) {
		// A BDAT whose size is not known: its chunk would be taken for commands.
		c.fail(errors.New("BDAT without a size"))
		c.over = true
	}
	c.out = append(append(c.out, c.clean(p)...), "\r\n"...)
	if len(c.out) >= flushAt {
		return len(p), c.flush()
	}
	return len(p), nil
}

// clean returns a reply's line as it is told: with nothing of a client's in it that
// is no text, and to EHLO with this host's name (RFC 5321 section 4.1.1.1).
func (c *conn) clean(line []byte) []byte {
	line = bytes.Clone(bytes.TrimSuffix(line, []byte("\r\n")))
	for _, hello := range []string{"250-Hello ", "250 2.0.0 Hello "} {
		if bytes.HasPrefix(line, []byte(hello)) {
			return []byte(hello[:len("250-")] + c.server.Config.Hostname)
		}
	}
	for i, b := range line {
		if b < ' ' || b >= 0x7f {
			line[i] = ' '
		}
	}
	return line
}

func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.client.Write(c.out)
	c.out = c.out[:0]
	return err
}

func (c *conn) Close() error {
	c.once.Do(func() {
		c.flush()
		c.over = true
		c.fail(io.EOF)
		if err := c.failed(); errors.Is(err, os.ErrDeadlineExceeded) {
			c.ended = errors.New("idle for too long")
		} else if err != io.EOF { // which is QUIT, or the client hung up
			c.ended = err
		}
		close(c.closed)
	})
	return nil
}

// The session's own idle timeout counts for every read.
func (c *conn) SetDeadline(time.Time) error      { return nil }
func (c *conn) SetReadDeadline(time.Time) error  { return nil }
func (c *conn) SetWriteDeadline(time.Time) error { return nil }
func (c *conn) LocalAddr() net.Addr              { return addr{} }
func (c *conn) RemoteAddr() net.Addr             { return addr{} }

type addr struct{}

func (addr) Network() string { return "unix" }
func (addr) String() string  { return "client" }
