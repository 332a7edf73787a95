package login

import (
	"errors"
	"io"
)

// A Hello is the first thing that goes down the mail descriptor after a login:
// what the front knows and the session needs to take over the dialogue. The
// session uses it for its first reply and its log, and for nothing that grants
// a right.
type Hello struct {
	Tag     string // IMAP: the tag of the LOGIN or AUTHENTICATE that waits for its OK
	Greeted string // submission: the name given with EHLO
	TLS     string // "TLS1.3"
	Cipher  string // "TLS_AES_128_GCM_SHA256"
}

const maxHello = 1024

// WriteHello sends a Hello: length16 | version tag16 greeted16 tls16 cipher16.
func WriteHello(w io.Writer, h *Hello) error {
	b := []byte{version}
	for _, v := range []string{h.Tag, h.Greeted, h.TLS, h.Cipher} {
		b = append16(b, []byte(v))
	}
	if len(b) > maxHello {
		return errors.New("login: hello too long")
	}
	_, err := w.Write(append16(nil, b))
	return err
}

// ReadHello reads a Hello and not a byte more.
func ReadHello(r io.Reader) (*Hello, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := int(size[0])<<8 | int(size[1])
	if n > maxHello {
		return nil, errors.New("login: hello too long")
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	d := decoder{b: b}
	if d.byte() != version {
		return nil, errors.New("login: hello of another version")
	}
	h := &Hello{Tag: d.string16(maxHello), Greeted: d.string16(maxHello),
		TLS: d.string16(maxHello), Cipher: d.string16(maxHello)}
	if d.bad || len(d.b) != 0 {
		return nil, errors.New("login: malformed hello")
	}
	return h, nil
}
