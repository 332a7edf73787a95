// Package inflate reads a DEFLATE stream (RFC 1951) of an interactive protocol.
//
// compress/flate holds back what it has decoded until a block ends that was
// flushed in full, which clients need not send (zlib's Z_PARTIAL_FLUSH), and it
// gives up for good when its source is interrupted. This reader hands out
// whatever the bytes so far say before it waits for more, and passes errors of
// the source on without losing its place.
package inflate

import (
	"errors"
	"io"
	"iter"
)

// ErrCorrupt is that the stream is none.
var ErrCorrupt = errors.New("inflate: corrupt stream")

const (
	windowSize = 32 << 10
	outSize    = 16 << 10 // handed out at once
)

// A Reader inflates a stream.
type Reader struct {
	src     io.Reader
	in      []byte // read, not used yet
	buf     [2 << 10]byte
	bits    uint32
	count   uint // bits in bits
	window  []byte
	out     []byte // decoded, not handed out yet
	left    []byte // handed out, not taken yet
	next    func() ([]byte, bool)
	yield   func([]byte) bool
	err     error // of the source, to be passed on once
	corrupt error
	read    int64
}

// NewReader returns a reader of src.
func NewReader(src io.Reader) *Reader {
	r := &Reader{src: src, window: make([]byte, 0, 2*windowSize)}
	r.next, _ = iter.Pull(func(yield func([]byte) bool) {
		r.yield = yield
		for {
			last, err := r.block()
			if err != nil {
				r.corrupt = err
				break
			}
			if last {
				r.corrupt = io.EOF
				break
			}
		}
		r.handOut()
	})
	return r
}

// Count returns how many bytes were read of the source.
func (r *Reader) Count() int64 { return r.read }

// Read returns what has been decoded, an error of the source, io.EOF at the
// stream's end, or ErrCorrupt, of which the last two stay.
func (r *Reader) Read(p []byte) (int, error) {
	for len(r.left) == 0 {
		chunk, ok := r.next()
		switch {
		case r.err != nil:
			err := r.err
			r.err = nil
			return 0, err
		case !ok:
			return 0, r.corrupt
		}
		r.left = chunk
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// handOut gives the reader what has been decoded.
func (r *Reader) handOut() {
	if len(r.out) > 0 {
		r.yield(r.out)
		r.out = r.out[:0]
	}
}

// put takes a decoded byte.
func (r *Reader) put(c byte) {
	if len(r.window) == 2*windowSize {
		r.window = r.window[:copy(r.window, r.window[windowSize:])]
	}
	r.window = append(r.window, c)
	if r.out = append(r.out, c); len(r.out) == outSize {
		r.handOut()
	}
}

// need makes n bits available, at most 16. Before it waits for the source, what
// has been decoded is handed out.
func (r *Reader) need(n uint) {
	for r.count < n {
		for len(r.in) == 0 {
			r.handOut()
			k, err := r.src.Read(r.buf[:])
			r.in, r.read = r.buf[:k], r.read+int64(k)
			if err != nil && k == 0 {
				if err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				r.err = err
				r.yield(nil)
			}
		}
		r.bits |= uint32(r.in[0]) << r.count
		r.in, r.count = r.in[1:], r.count+8
	}
}

func (r *Reader) take(n uint) uint {
	if n == 0 {
		return 0
	}
	r.need(n)
	v := r.bits & (1<<n - 1)
	r.bits, r.count = r.bits>>n, r.count-n
	return uint(v)
}

// block decodes one block: RFC 1951 section 3.2.3.
func (r *Reader) block() (last bool, err error) {
	last = r.take(1) == 1
	switch r.take(2) {
	case 0:
		err = r.stored()
	case 1:
		err = r.compressed(&fixedLengths, &fixedDistances)
	case 2:
		var lengths, distances code
		if err = r.codes(&lengths, &distances); err == nil {
			err = r.compressed(&lengths, &distances)
		}
	default:
		err = ErrCorrupt
	}
	return last, err
}

// stored copies a block that is not compressed: section 3.2.4.
func (r *Reader) stored() error {
	drop := r.count % 8
	r.bits, r.count = r.bits>>drop, r.count-drop
	n := r.take(16)
	if r.take(16) != n^0xffff {
		return ErrCorrupt
	}
	for range n {
		r.put(byte(r.take(8)))
	}
	return nil
}

// Lengths and distances of section 3.2.5: what they begin with, and how many
// bits more they have.
var (
	lengthBase = [29]uint{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthBits = [29]uint{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distBase   = [30]uint{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
	distBits   = [30]uint{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
)

func (r *Reader) compressed(lengths, distances *code) error {
	for {
		symbol, err := r.symbol(lengths)
		switch {
		case err != nil:
			return err
		case symbol < 256:
			r.put(byte(symbol))
			continue
		case symbol == 256:
			return nil
		case symbol > 285:
			return ErrCorrupt
		}
		length := lengthBase[symbol-257] + r.take(lengthBits[symbol-257])
		if symbol, err = r.symbol(distances); err != nil || symbol > 29 {
			return ErrCorrupt
		}
		distance := int(distBase[symbol] + r.take(distBits[symbol]))
		if distance > len(r.window) || distance > windowSize {
			return ErrCorrupt
		}
		for range length {
			r.put(r.window[len(r.window)-distance])
		}
	}
}
