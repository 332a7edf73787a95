package maildir

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Flags are the message flags that a file name holds: RFC 3501's system flags,
// Maildir's own "passed", and behind them the folder's keywords.
type Flags uint32

const (
	Draft   Flags = 1 << iota // D
	Flagged                   // F
	Passed                    // P: resent, forwarded or bounced
	Replied                   // R: \Answered
	Seen                      // S
	Trashed                   // T: \Deleted

	firstKeyword // a; up to z
)

// flagLetters in the order of their bits, which is the order of ASCII.
const flagLetters = "DFPRST"

// splitName takes a file name apart into its key, which stays as long as the
// message does, and its info, which other programs change as they like:
//
//	1700000000.M20P17.host,S=120,W=124:2,FS → 1700000000.M20P17.host,S=120,W=124 and 2,FS
func splitName(name string) (key, info string) {
	key, info, _ = strings.Cut(name, ":")
	return key, info
}

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
	b = append(b, ":2,"...)
	for i := 0; i < len(flagLetters); i++ {
		if flags&(1<<i) != 0 {
			b = append(b, flagLetters[i])
		}
	}
	unknown, extra, more := strings.Cut(rest, ",")
	b = append(b, unknown...)
	for n := range MaxKeywords {
		if flags&keyword(n) != 0 {
			b = append(b, 'a'+byte(n))
		}
	}
	if more {
		b = append(append(b, ','), extra...)
	}
	return string(b)
}

// sizeField reads ",S=123" or ",W=123" of a key; false if it is not there.
func sizeField(key string, field byte) (int64, bool) {
	marker := string([]byte{',', field, '='})
	i := strings.LastIndex(key, marker)
	if i < 0 {
		return 0, false
	}
	digits := key[i+len(marker):]
	if end := strings.IndexByte(digits, ','); end >= 0 {
		digits = digits[:end]
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil && n >= 0
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

// deliveredBefore orders keys by the time of their delivery, as Dovecot does
// before it gives out UIDs: seconds, then microseconds, then the key.
func deliveredBefore(a, b string) int {
	as, au := deliveryTime(a)
	bs, bu := deliveryTime(b)
	switch {
	case as != bs:
		return compare(as, bs)
	case au != bu:
		return compare(au, bu)
	}
	return strings.Compare(a, b)
}

func compare(a, b uint64) int {
	if a < b {
		return -1
	}
	return 1
}

func deliveryTime(key string) (sec, usec uint64) {
	secs, rest, _ := strings.Cut(key, ".")
	sec, _ = strconv.ParseUint(secs, 10, 64)
	if digits, ok := strings.CutPrefix(rest, "M"); ok {
		end := 0
		for end < len(digits) && digits[end] >= '0' && digits[end] <= '9' {
			end++
		}
		usec, _ = strconv.ParseUint(digits[:end], 10, 64)
	}
	return sec, usec
}
