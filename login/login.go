// Package login is all that crosses between the front and the monitor, and
// the few words that the front gives the session.
//
// The monitor is root and trusts nothing it reads here: the front may have
// been taken over by a stranger. Frames are single packets on a SOCK_SEQPACKET
// socket, at most MaxFrame bytes; anything else ends the process that reads it.
// There are four kinds:
//
//	sign      front → monitor   once: the handshake's signature
//	password  front → monitor   at most MaxTries: a name and a password
//	recent    front → monitor   at most MaxTries: may this peer send without one?
//	answer    monitor → front   to each of them
package login

import (
	"errors"
	"fmt"
	"syscall"
)

// Descriptors of smail-front; 0 and 1 are /dev/null.
const (
	FDLog   = 2
	FDLogin = 3 // SOCK_SEQPACKET to the monitor
	FDMail  = 4 // SOCK_STREAM to what will be the session
	FDSetup = 5 // SOCK_STREAM: the client's connection and a Setup, read once and closed
)

// Descriptors of a submission session that has them.
const (
	FDRelayAuth = 3 // the file of relay_auth: to be read once and closed
	FDCounts    = 4 // what the user has sent
)

// Limits. A longer name or password is refused before it gets here.
const (
	MaxFrame    = 1024
	MaxName     = 255
	MaxPassword = 512
	MaxSign     = 400 // a TLS 1.2 key exchange with a P-521 share takes 201 bytes
	MaxTries    = 3   // logins a connection
)

const version = 1

// A Kind is the second byte of a frame.
type Kind byte

const (
	KindSign     Kind = 's'
	KindPassword Kind = 'p'
	KindRecent   Kind = 'r'
	KindAnswer   Kind = 'a'
)

// A Request is what the front asks; which fields hold depends on the kind.
type Request struct {
	Kind     Kind
	Name     string // password
	Password []byte // password
	Cert     byte   // sign: the number of the certificate in Setup.Chains
	Hash     byte   // sign: crypto.Hash, 0 for Ed25519
	PSS      bool   // sign: RSA-PSS rather than PKCS #1 v1.5
	Message  []byte // sign: what the handshake wants signed, not hashed
}

// A Status is the monitor's verdict.
type Status byte

const (
	OK          Status = 'o' // the mail descriptor now leads to the session
	Signed      Status = 's' // Data is the signature
	Refused     Status = 'r' // wrong name, wrong password or no permission: one answer for all
	Unavailable Status = 'u' // not the client's fault; it may come again
	Full        Status = 'f' // the user has as many sessions as are allowed
)

// An Answer ends the wait of one Request.
type Answer struct {
	Status Status
	Data   []byte
}

var errFrame = errors.New("login: malformed frame")

// WriteRequest sends one request.
//
//	version kind | name16 password16        (password)
//	version kind | cert hash pss message16  (sign)
//	version kind                            (recent)
//
// where x16 is a 16-bit big-endian length and that many bytes.
func WriteRequest(fd int, r *Request) error {
	b := r.frame()
	err := send(fd, b)
	clear(b)
	return err
}

func (r *Request) frame() []byte {
	b := append(make([]byte, 0, MaxFrame), version, byte(r.Kind))
	switch r.Kind {
	case KindPassword:
		b = append16(b, []byte(r.Name))
		b = append16(b, r.Password)
	case KindSign:
		pss := byte(0)
		if r.PSS {
			pss = 1
		}
		b = append(b, r.Cert, r.Hash, pss)
		b = append16(b, r.Message)
	}
	return b
}

// ReadRequest waits for one request. It returns io.EOF's like as ErrEOF when
// the front has gone, and checks every length and byte that has a rule.
func ReadRequest(fd int) (*Request, error) {
	b, err := receive(fd)
	if err != nil {
		return nil, err
	}
	return parseRequest(b)
}

func parseRequest(b []byte) (*Request, error) {
	d := decoder{b: b}
	if d.byte() != version {
		return nil, fmt.Errorf("login: version is not %d", version)
	}
	r := &Request{Kind: Kind(d.byte())}
	switch r.Kind {
	case KindPassword:
		r.Name = string(d.bytes16(MaxName))
		r.Password = d.bytes16(MaxPassword)
	case KindSign:
		r.Cert, r.Hash, r.PSS = d.byte(), d.byte(), d.byte() == 1
		r.Message = d.bytes16(MaxSign)
	case KindRecent:
	default:
		return nil, errFrame
	}
	if d.bad || len(d.b) != 0 {
		return nil, errFrame
	}
	return r, nil
}

// WriteAnswer sends one answer: version kind status | data16.
func WriteAnswer(fd int, a Answer) error {
	b := append(make([]byte, 0, MaxFrame), version, byte(KindAnswer), byte(a.Status))
	return send(fd, append16(b, a.Data))
}

// ReadAnswer waits for the answer to the request just sent.
func ReadAnswer(fd int) (Answer, error) {
	b, err := receive(fd)
	if err != nil {
		return Answer{}, err
	}
	d := decoder{b: b}
	if d.byte() != version || d.byte() != byte(KindAnswer) {
		return Answer{}, errFrame
	}
	a := Answer{Status: Status(d.byte()), Data: d.bytes16(MaxFrame)}
	if d.bad || len(d.b) != 0 {
		return Answer{}, errFrame
	}
	return a, nil
}

// ErrEOF says that the other side has gone.
var ErrEOF = errors.New("login: the other side has gone")

// ErrTimeout says that the receive timeout set on the socket has passed.
var ErrTimeout = errors.New("login: time is up")

func send(fd int, b []byte) error {
	if len(b) > MaxFrame {
		return errFrame
	}
	for {
		err := syscall.Sendto(fd, b, syscall.MSG_NOSIGNAL, nil)
		if err != syscall.EINTR {
			return err
		}
	}
}

func receive(fd int) ([]byte, error) {
	b := make([]byte, MaxFrame+1) // one more, to see a longer packet
	for {
		n, err := syscall.Read(fd, b)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return nil, ErrTimeout
		case err == syscall.ECONNRESET || err == nil && n == 0:
			return nil, ErrEOF
		case err != nil:
			return nil, err
		case n > MaxFrame:
			return nil, errFrame
		default:
			return b[:n], nil
		}
	}
}
