package login

import (
	"encoding/binary"
	"errors"
	"time"
)

// A Setup is what the monitor tells a front on FDSetup, together with the
// client's connection. The front opens no file, so that all it needs is here.
type Setup struct {
	Service        string     // imaps, imap, pop3s, pop3, submissions, submission
	Hostname       string     // for greetings
	Peer           string     // the client's address, for the log
	Chains         [][][]byte // certificate chains, leaf first, DER; several for SNI
	LoginTimeout   time.Duration
	IdleTimeout    time.Duration
	MaxMessageSize int64 // submission: SIZE
	MaxRecipients  int   // submission: LIMITS RCPTMAX
	Recent         bool  // submission: MAIL without AUTH may ask the monitor
}

const (
	// MaxChains is what the byte Request.Cert can number.
	MaxChains = 255

	MaxSetup = 1 << 20 // bytes
	maxCert  = 64 << 10
)

var errSetup = errors.New("login: malformed setup")

// Marshal packs a Setup.
func (s *Setup) Marshal() []byte {
	b := []byte{version}
	for _, v := range []string{s.Service, s.Hostname, s.Peer} {
		b = append16(b, []byte(v))
	}
	recent := uint64(0)
	if s.Recent {
		recent = 1
	}
	for _, v := range []uint64{uint64(s.LoginTimeout), uint64(s.IdleTimeout), uint64(s.MaxMessageSize),
		uint64(s.MaxRecipients), recent} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	b = append(b, byte(len(s.Chains)))
	for _, chain := range s.Chains {
		b = append(b, byte(len(chain)))
		for _, der := range chain {
			b = append32(b, der)
		}
	}
	return b
}

// UnmarshalSetup unpacks what Marshal packed.
func UnmarshalSetup(b []byte) (*Setup, error) {
	d := decoder{b: b}
	if len(b) > MaxSetup || d.byte() != version {
		return nil, errSetup
	}
	s := &Setup{Service: d.string16(32), Hostname: d.string16(255), Peer: d.string16(64)}
	s.LoginTimeout = time.Duration(d.uint64())
	s.IdleTimeout = time.Duration(d.uint64())
	s.MaxMessageSize = int64(d.uint64())
	s.MaxRecipients = int(d.uint64())
	s.Recent = d.uint64() == 1
	for n := d.byte(); n > 0 && !d.bad; n-- {
		var chain [][]byte
		for m := d.byte(); m > 0 && !d.bad; m-- {
			size := d.uint32()
			if size > maxCert {
				return nil, errSetup
			}
			chain = append(chain, d.take(size))
		}
		s.Chains = append(s.Chains, chain)
	}
	if d.bad || len(d.b) != 0 {
		return nil, errSetup
	}
	return s, nil
}
