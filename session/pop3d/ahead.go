package pop3d

import (
	"bufio"
	"bytes"
	"io"

	"smail/pop3"
)

// maxAhead bounds a message that is read before it is asked for, in bytes as
// stored.
const maxAhead = 256 << 10

// An ahead is the reply to RETR of a message that has not been asked for yet:
// clients take them one after another, and while one is on its way there is
// time for the next.
type ahead struct {
	i     int // its number, from 0; -1: none
	reply bytes.Buffer
}

// readAhead makes the reply for message i, if that is a message and the client
// is waiting for nothing.
func (s *session) readAhead(i int) {
	s.ahead.i = -1
	if i >= len(s.doomed) || s.doomed[i] || s.r.Buffered() > 0 || s.w.Flush() != nil {
		return
	}
	f, size, err := s.box.OpenMessage(s.places[i])
	if err != nil {
		return // RETR will say so
	}
	defer f.Close()
	if size > maxAhead {
		return
	}
	s.ahead.reply.Reset()
	w := bufio.NewWriterSize(&s.ahead.reply, 4<<10)
	if s.writeMessage(w, f) == nil && w.Flush() == nil {
		s.ahead.i = i
	}
}

// writeMessage writes the reply to RETR.
func (s *session) writeMessage(w *bufio.Writer, f io.Reader) error {
	w.WriteString("+OK Message follows\r\n")
	d := pop3.NewDotWriter(w)
	if s.copied == nil {
		s.copied = make([]byte, bufferBytes)
	}
	if _, err := io.CopyBuffer(onlyWriter{d}, f, s.copied); err != nil {
		return err
	}
	return d.Close()
}

// onlyWriter hides everything but Write from io.Copy.
type onlyWriter struct{ io.Writer }
