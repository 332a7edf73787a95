package imapd

import (
	"bufio"
	"bytes"
	"compress/flate"
	"io"

	goimap "github.com/emersion/go-imap/v2"

	"smail/imap"
	"smail/internal/inflate"
)

// compress: RFC 4978 section 3. What the client sends from now on is inflated
// before anything looks at it, so that all limits are on the clear text.
func (s *session) compress(bool) error {
	var name string
	if !s.d.SP() || !s.d.Keyword(&name) || !s.d.CRLF() {
		return s.d.Err()
	}
	if name != "DEFLATE" {
		return imap.Bad("Unknown compression")
	}
	if s.deflate != nil {
		return imap.No("COMPRESSIONACTIVE", "Compression is on")
	}
	packed := bufio.NewWriterSize(s.conn, 16<<10) // deflate writes a little at a time
	deflate, err := flate.NewWriter(packed, flate.DefaultCompression)
	if err != nil {
		return err
	}
	s.w.Status(s.tag, goimap.StatusResponseTypeOK, "", "Compression is on")
	if err := s.flush(); err != nil {
		return err
	}
	s.deflate, s.packed = deflate, packed
	s.in = newInflater(s.conn, s.d.Buffered())
	return nil
}

// flush sends what has been gathered.
func (s *session) flush() error {
	err := s.w.Flush()
	if err != nil || !s.packing { // an empty block behind COMPRESS's OK confuses clients
		return err
	}
	s.packing = false
	if err = s.deflate.Flush(); err == nil {
		err = s.packed.Flush()
	}
	return err
}

// apart makes what follows compress without what went before. Else whoever sends
// the user mail and sees how much he is sent could tell whether his own words are
// in another's message: they would be short.
func (s *session) apart() error {
	err := s.w.Flush()
	if err == nil {
		err = s.deflate.Flush()
	}
	s.deflate.Reset(s.packed)
	return err
}

// Write is what the encoder writes to.
func (s *session) Write(p []byte) (int, error) {
	if s.deflate != nil {
		s.packing = true
		return s.deflate.Write(p)
	}
	return s.conn.Write(p)
}

// Limits on what a client may inflate: a stream of zeros shrinks to a
// thousandth, which no mail does.
const (
	inflateFree  = 16 << 20 // bytes that may come of anything
	inflateRatio = 250
)

// An inflater is a client's compressed stream.
type inflater struct {
	*inflate.Reader
	inflated int64
}

// newInflater reads from the client; early is what was read of it before.
func newInflater(conn io.Reader, early []byte) *inflater {
	return &inflater{Reader: inflate.NewReader(io.MultiReader(bytes.NewReader(early), conn))}
}

func (in *inflater) Read(p []byte) (int, error) {
	n, err := in.Reader.Read(p)
	if err == inflate.ErrCorrupt || err == io.EOF { // the stream has ended, the connection has not
		return n, imap.Bye("What comes is not compressed")
	}
	if in.inflated += int64(n); in.inflated > inflateFree+inflateRatio*in.Count() {
		return 0, imap.Bye("Compressed too well")
	}
	return n, err
}
