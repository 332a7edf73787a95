package inflate

import (
	"bytes"
	"compress/flate"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
)

// TestPartialFlush: what zlib's Z_PARTIAL_FLUSH leaves is handed out at once.
func TestPartialFlush(t *testing.T) {
	in, out := io.Pipe()
	r := NewReader(in)
	for _, step := range []struct{ hex, text string }{
		{"4a54f0f3f70fe0e50208", "a NOOP\r\n"}, {"a024308d2078b90002", "b NOOP NOOP NOOP\r\n"},
	} {
		b, _ := hex.DecodeString(step.hex)
		go out.Write(b)
		got := make([]byte, len(step.text))
		if _, err := io.ReadFull(r, got); err != nil || string(got) != step.text {
			t.Fatalf("got %q, %v, want %q", got, err, step.text)
		}
	}
}

// sample returns text of various kinds.
func sample(n int) []byte {
	rnd := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		switch {
		case i%5000 < 2000:
			b[i] = byte(rnd.IntN(256))
		case i%5000 < 4000 && i > 300:
			b[i] = b[i-1-rnd.IntN(300)]
		default:
			b[i] = 'x'
		}
	}
	return b
}

// A halting source returns an error before each byte.
type halting struct {
	r    io.Reader
	turn bool
}

var errHalt = errors.New("halt")

func (h *halting) Read(p []byte) (int, error) {
	if h.turn = !h.turn; h.turn {
		return 0, errHalt
	}
	return h.r.Read(p[:1])
}

// TestRoundTrip: streams of all levels come out as they went in, whatever the
// source does between bytes.
func TestRoundTrip(t *testing.T) {
	for level := -2; level <= 9; level++ {
		for _, n := range []int{0, 1, 100, 70000, 200000} {
			want := sample(n)
			var b bytes.Buffer
			w, _ := flate.NewWriter(&b, level)
			w.Write(want[:n/2])
			w.Flush()
			w.Write(want[n/2:])
			w.Close()
			r := NewReader(&halting{r: &b})
			var got []byte
			buf := make([]byte, 1000)
			var err error
			for err == nil || err == errHalt {
				var k int
				k, err = r.Read(buf)
				got = append(got, buf[:k]...)
			}
			if err != io.EOF || !bytes.Equal(got, want) {
				t.Errorf("level %d, %d bytes: %v, got %d bytes", level, n, err, len(got))
			}
		}
	}
}

// FuzzReader: on whatever bytes it says what compress/flate says.
func FuzzReader(f *testing.F) {
	for _, level := range []int{0, 1, 9} {
		var b bytes.Buffer
		w, _ := flate.NewWriter(&b, level)
		w.Write(sample(3000))
		w.Close()
		f.Add(b.Bytes())
	}
	f.Add([]byte("\x03\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		const most = 1 << 20
		want, werr := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(in)), most))
		got, err := io.ReadAll(io.LimitReader(NewReader(bytes.NewReader(in)), most))
		if werr == nil && (err != nil || !bytes.Equal(got, want)) {
			t.Errorf("got %d bytes and %v, want %d", len(got), err, len(want))
		}
		if werr != nil && err == nil {
			t.Errorf("took what is broken: %v", werr)
		}
	})
}
