package maildir

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// Flags are the message flags that a file name holds, RFC 3501's system flags,
// Maildir's own "passed", and behind them the folder's keywords, of which those
// without a letter are elsewhere: see more.go.
type Flags uint64

const (
	Draft   Flags = 1 << iota // D
	Flagged                   // F
	Passed                    // P: resent, forwarded or bounced
	Replied                   // R: \Answered
	Seen                      // S
	Trashed                   // T: \Deleted

	firstKeyword // a to z, and those that have no letter
)

// flagLetters in the order of their bits, which is the order of ASCII.
const flagLetters = "DFPRST"

// splitName takes a file name apart into its key, which stays as long as the
// message does, and its info, which other programs change as they like:
//
//	1700000000.M20P17.host,S=120,W=124:2,FS → 1700000000.M20P17.host,S=120,W=124 and 2,FS
func splitName(name []byte) (key, info []byte, found bool) { return bytes.Cut(name, []byte(":")) }

// parseInfo reads the flags of an info. What we do not know (other letters, what
// follows a second comma) comes back as rest, to be kept.
func parseInfo(info string) (flags Flags, rest string) {
	letters, found := strings.CutPrefix(info, "2,")
	if !found {
		return 0, ""
	}
	letters, extra, more := strings.Cut(letters, ",")
	var unknown []byte
	for i := 0; i < len(letters); i++ {
		c := letters[i]
		if bit := strings.IndexByte(flagLetters, c); bit >= 0 {
			flags |= 1 << bit
		} else if c >= 'a' && c <= 'z' {
			flags |= keyword(int(c - 'a'))
		} else {
			unknown = append(unknown, c)
		}
	}
	rest = string(unknown)
	if more {
		rest += "," + extra
	}
	return flags, rest
}

// joinName makes a file name of a key, flags and what parseInfo left as rest.
func joinName(key string, flags Flags, rest string) string {
	b := append(make([]byte, 0, len(key)+8+len(rest)), key...)
	return string(appendInfo(append(b, ':'), flags, rest))
}

// appendInfo appends what is behind the colon.
func appendInfo(b []byte, flags Flags, rest string) []byte {
	b = append(b, "2,"...)
	for i := 0; i < len(flagLetters); i++ {
		if flags&(1<<i) != 0 {
			b = append(b, flagLetters[i])
		}
	}
	unknown, extra, more := strings.Cut(rest, ",")
	b = append(b, unknown...)
	for n := range letters {
		if flags&keyword(n) != 0 {
			b = append(b, 'a'+byte(n))
		}
	}
	if more {
		b = append(append(b, ','), extra...)
	}
	return b
}

// restOf returns what parseInfo leaves of an info.
func restOf(info string) string {
	_, rest := parseInfo(info)
	return rest
}

// sizeField reads ",S=123" or ",W=123" of a key; -1 if it is not there.
func sizeField(key []byte, field byte) int64 {
	if bytes.IndexByte(key, ',') < 0 {
		return -1
	}
	i := bytes.LastIndex(key, []byte{',', field, '='})
	if i < 0 {
		return -1
	}
	n := int64(0)
	digits, _, _ := bytes.Cut(key[i+3:], []byte(","))
	for _, c := range digits {
		if c < '0' || c > '9' || n > 1<<53 {
			return -1
		}
		n = 10*n + int64(c-'0')
	}
	if len(digits) == 0 {
		return -1
	}
	return n
}

var (
	delivered atomic.Uint32
	now       = time.Now // tests step it
	hostname  = os.Hostname
)

// newKey makes a key that no other delivery on any host uses.
func newKey() string {
	host, _ := hostname()
	host = strings.NewReplacer("/", `\057`, ":", `\072`).Replace(host)
	t := now()
	return fmt.Sprintf("%d.M%06dP%dQ%d.%s", t.Unix(), t.Nanosecond()/1000, os.Getpid(), delivered.Add(1), host)
}

// A deliveryTime is what a key says of when the message was delivered.
type deliveryTime struct{ sec, usec uint64 }

func deliveryTimeOf(key []byte) (t deliveryTime) {
	t.sec, key = leadingNumber(key)
	if bytes.HasPrefix(key, []byte(".M")) {
		t.usec, _ = leadingNumber(key[2:])
	}
	return t
}

func leadingNumber(b []byte) (n uint64, rest []byte) {
	for len(b) > 0 && b[0] >= '0' && b[0] <= '9' && n < 1<<59 {
		n, b = 10*n+uint64(b[0]-'0'), b[1:]
	}
	return n, b
}

// deliveredBefore orders messages by the time of their delivery, as Dovecot
// does before it gives out UIDs: seconds, then microseconds, then the key.
func deliveredBefore(a, b *found) int {
	return cmp.Or(cmp.Compare(a.time.sec, b.time.sec), cmp.Compare(a.time.usec, b.time.usec), bytes.Compare(a.key, b.key))
}
