package front

import (
	"io"
	"net"
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
	if err := login.WriteHello(f.mail, hello); err != nil {
		return err
	}
	early, _ := f.r.Peek(f.r.Buffered())
	if _, err := f.mail.Write(append([]byte(f.early), early...)); err != nil {
		return err
	}
	f.r = nil
	go f.up()
	n, err := copyConn(f.conn, f.mail, f.mail.Close)
	if n == 0 && err == nil { // the session could not even say why
		logline.Error("session ended without a word")
		io.WriteString(f.conn, d.gone())
	}
	f.tls.CloseWrite()
	f.conn.Close()
	return nil // how it ended is in the session's log line
}

// up copies from the client to the session.
func (f *front) up() {
	copyConn(f.mail, f.conn, nil)
	f.mail.CloseWrite()
	f.mail.SetReadDeadline(time.Now().Add(lastWords))
}

// Sizes of a pump's buffer: the small one waits, the large one is used while
// there is much to copy.
const (
	smallBuffer = 2 << 10
	largeBuffer = 64 << 10
)

// copyConn copies until src ends. When dst takes no more, giveUp tells src's
// side.
func copyConn(dst, src net.Conn, giveUp func() error) (total int64, err error) {
	small := make([]byte, smallBuffer)
	buf := small
	for {
		n, err := src.Read(buf)
		if n > 0 {
			total += int64(n)
			dst.SetWriteDeadline(time.Now().Add(writeTimeout))
			if _, werr := dst.Write(buf[:n]); werr != nil {
				if giveUp != nil {
					giveUp()
				}
				return total, werr
			}
		}
		switch {
		case err == io.EOF:
			return total, nil
		case err != nil:
			return total, err
		case n == len(buf) && n == smallBuffer:
			buf = make([]byte, largeBuffer)
		case n < smallBuffer:
			buf = small
		}
	}
}
