package front

import (
	"io"
	"net"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"smail/login"
	"smail/logline"
)

// writeTimeout is how long a client may refuse to take what it asked for.
const writeTimeout = 5 * time.Minute

// lastWords is how long the session may take to end after the client has left.
const lastWords = 30 * time.Second

// pump copies between the client and the session until one of them ends. What
// the client sent early goes first, behind the Hello.
func (f *front) pump(hello *login.Hello, d dialogue) error {
	// SIGTERM comes when what started us ends, too. That is the session now, or
	// waits for it: its last words are still to be passed on.
	signal.Ignore(syscall.SIGTERM)
	early, _ := f.r.Peek(f.r.Buffered())
	err := login.WriteHello(f.mail, hello)
	if err == nil {
		_, err = f.mail.Write(append([]byte(f.early), early...))
	}
	f.r = nil
	n := int64(0)
	if err == nil {
		go f.up()
		n, _ = copyConn(f.conn, f.mail, writeTimeout, f.mail.Close)
	}
	if n == 0 { // the session could not even say why
		logline.Error("session ended without a word")
		io.WriteString(f.conn, d.gone())
	}
	f.tls.CloseWrite()
	f.conn.Close()
	return nil // how it ended is in the session's log line
}

// up copies from the client to the session.
func (f *front) up() {
	copyConn(f.mail, f.conn, 0, nil)
	f.mail.CloseWrite()
	f.mail.SetReadDeadline(time.Now().Add(lastWords))
}

// Sizes of a pump's buffer: the small one waits, the large one, two TLS records, is
// used while there is much to copy.
const (
	smallBuffer = 4 << 10
	largeBuffer = 32 << 10
)

// large keeps buffers for the next message, which most often comes soon: each new
// one would be cleared, and collected.
var large = sync.Pool{New: func() any { return new([largeBuffer]byte) }}

// copyConn copies until src ends. When dst takes no more, or nothing for a
// timeout that is not 0, giveUp tells src's side.
func copyConn(dst, src net.Conn, timeout time.Duration, giveUp func() error) (total int64, err error) {
	small := make([]byte, smallBuffer)
	buf := small
	var big *[largeBuffer]byte
	for {
		n, err := src.Read(buf)
		if n == smallBuffer && big == nil {
			big = large.Get().(*[largeBuffer]byte)
			buf = big[:]
			n = copy(buf, small)
			n += readReady(src, buf[n:])
		}
		if n > 0 {
			total += int64(n)
			if timeout > 0 {
				dst.SetWriteDeadline(time.Now().Add(timeout))
			}
			if _, werr := dst.Write(buf[:n]); werr != nil {
				if giveUp != nil {
					giveUp()
				}
				return total, werr
			}
			if timeout > 0 { // reading may have to write, too: TLS's key update
				dst.SetWriteDeadline(time.Time{})
			}
		}
		switch {
		case err == io.EOF:
			return total, nil
		case err != nil:
			return total, err
		case n < smallBuffer && big != nil:
			large.Put(big)
			buf, big = small, nil
		}
	}
}

// readReady reads what is there without waiting for it, where src can say.
func readReady(src net.Conn, b []byte) (n int) {
	conn, ok := src.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	raw.Read(func(fd uintptr) bool {
		n, _ = syscall.Read(int(fd), b)
		return true
	})
	return max(n, 0)
}
