package imapd

import (
	"bufio"
	"compress/flate"
	"errors"
	"io"

	goimap "github.com/emersion/go-imap/v2"

	"smail/imap"
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
	deflate, err := flate.NewWriter(s.conn, flate.DefaultCompression)
	if err != nil {
		return err
	}
	s.w.Status(s.tag, goimap.StatusResponseTypeOK, "", "Compression is on")
	if err := s.flush(); err != nil {
		return err
	}
	s.deflate = deflate
	s.in = newInflater(&clientReader{s: s}, s.d.Buffered())
	return nil
}

// flush sends what has been gathered.
func (s *session) flush() error {
	err := s.w.Flush()
	if err == nil && s.deflate != nil {
		err = s.deflate.Flush()
	}
	return err
}

// Write is what the encoder writes to.
func (s *session) Write(p []byte) (int, error) {
	if s.deflate != nil {
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

// An inflater is a client's compressed stream. An interruption passes through
// it: package flate must not see one, for it gives up at the first error.
type inflater struct {
	raw      *clientReader
	buffered *bufio.Reader
	flate    io.ReadCloser
	out      []byte // more than flate ever holds back
	left     []byte // of out
	inflated int64
}

// newInflater reads from raw; early is what was read of it before.
func newInflater(raw *clientReader, early []byte) *inflater {
	raw.early = early
	in := &inflater{raw: raw, buffered: bufio.NewReaderSize(raw, 4<<10), out: make([]byte, 64<<10)}
	in.flate = flate.NewReader(in.buffered)
	return in
}

func (in *inflater) Read(p []byte) (int, error) {
	if len(in.left) == 0 {
		if _, err := in.buffered.Peek(1); err != nil { // an interruption, perhaps
			return 0, err
		}
		in.raw.patient = true
		n, err := in.flate.Read(in.out)
		in.raw.patient = false
		if n == 0 && err != nil {
			var corrupt flate.CorruptInputError
			if errors.As(err, &corrupt) || err == io.EOF { // the stream has ended, the connection has not
				err = imap.Bye("What comes is not compressed")
			}
			return 0, err
		}
		in.left = in.out[:n]
		if in.inflated += int64(n); in.inflated > inflateFree+inflateRatio*in.raw.count {
			return 0, imap.Bye("Compressed too well")
		}
	}
	n := copy(p, in.left)
	in.left = in.left[n:]
	return n, nil
}

// A clientReader reads from the client. While it is patient it keeps an
// interruption for later.
type clientReader struct {
	s       *session
	early   []byte
	count   int64
	patient bool
	pending bool
}

func (r *clientReader) Read(p []byte) (n int, err error) {
	if len(r.early) > 0 {
		n = copy(p, r.early)
		r.early = r.early[n:]
		r.count += int64(n)
		return n, nil
	}
	if r.pending && !r.patient {
		r.pending = false
		return 0, r.s.Interrupted
	}
	for {
		n, err = r.s.conn.Read(p)
		if n > 0 || err != r.s.Interrupted || !r.patient {
			r.count += int64(n)
			return n, err
		}
		r.pending = true
	}
}
