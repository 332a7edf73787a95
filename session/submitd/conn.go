package submitd

import (
	"errors"
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
// It gathers replies until the next read, since the library writes every line
// on its own; and after an error of reading it stays closed, since the library
// would take the rest of a message for commands.
type conn struct {
	client  io.ReadWriter
	feed    string // what the next reads return
	swallow bool
	reply   string // said when the greeting is swallowed
	inData  bool   // the client was told to send a message
	heldCR  bool   // its last byte read was a CR
	closed  chan struct{}
	ended   error // why, once closed
	once    sync.Once

	mu  sync.Mutex // go-smtp writes from where it reads, but for panics
	out []byte
	err error
}

func newConn(client io.ReadWriter) *conn {
	return &conn{client: client, feed: "EHLO front\r\n", swallow: true, closed: make(chan struct{})}
}

func (c *conn) Read(p []byte) (int, error) {
	if c.feed != "" {
		n := copy(p, c.feed)
		c.feed = c.feed[n:]
		return n, nil
	}
	if err := c.flush(); err != nil {
		return 0, err
	}
	if err := c.failed(); err != nil {
		return 0, err
	}
	if c.inData || c.heldCR {
		return c.readData(p)
	}
	n, err := c.client.Read(p)
	if err != nil {
		c.fail(err)
	}
	return n, c.failed()
}

// readData reads the content that follows DATA. It marks every CR that no LF
// follows by making it NUL, which spooling refuses: go-smtp loses some of them,
// and others hide the end of the message from it. A CR that comes last waits
// for what follows.
func (c *conn) readData(p []byte) (int, error) {
	for {
		n := 0
		if c.heldCR {
			p[0], n = '\r', 1
		}
		m, err := c.client.Read(p[n:])
		if err != nil {
			c.fail(err)
		}
		if n += m; m == 0 && err != nil {
			return 0, c.failed()
		}
		c.heldCR = p[n-1] == '\r'
		if c.heldCR {
			n--
		}
		for i := range n {
			if p[i] == '\r' && (i+1 == n && c.heldCR || i+1 < n && p[i+1] != '\n') {
				p[i] = 0
			}
		}
		if n > 0 {
			return n, c.failed()
		}
	}
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
	c.inData = strings.HasPrefix(string(p), "354 ")
	if strings.HasPrefix(string(p), "501 5.5.4 ") && strings.HasSuffix(strings.TrimSpace(string(p)), "argument") {
		// A BDAT whose size is not known: its chunk would be taken for commands.
		defer c.fail(errors.New("BDAT without a size"))
	}
	c.out = append(c.out, p...)
	if len(c.out) >= flushAt {
		return len(p), c.flush()
	}
	return len(p), nil
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
