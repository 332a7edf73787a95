// Package sessionfile keeps the session file, /run/smail/sessions: who has
// logged in from where, and who still is. The monitor writes it at each login;
// it decides whether a peer may send without a login of its own; smailctl
// shows it, and smail-policyd tells the MTA.
//
// It is text in lines of 256 bytes, filled up with spaces, so that a login
// changes its own line in place: a header, and records.
//
//	smail-sessions 2 0f4c6f3e-... 1795421472 17
//	      1000 192.0.2.7 imaps + 1234.567 1300.100 3 0 4711:123400 0:0 0:0 alice 5f1ce0de
//
// The header carries the boot it is of, by the kernel's boot id and by when the
// system was booted in seconds of Unix time, and where the sweep for stale
// records goes on. A file is void where neither of the two is this boot's: the id
// differs between the mount namespaces of one container, the time where the clock
// was set.
//
// A record is a user's logins to a service from an address: uid, the address
// (IPv4-mapped ones unmapped, no zone), service; + or, once void for sending
// without a login, -, or = where it is of visits, sessions by a recent login, which
// vouch for nobody; the first and the last login in seconds since boot
// (CLOCK_BOOTTIME, which nobody can step); how many there were; how many times
// sending without one was granted; up to three live sessions, each as pid (of the
// monitor that waits for it, with pam_session held) and the time that process
// started in clock ticks since boot (proc(5), field 22 of stat); the user; and
// the CRC-32 (IEEE) of all before it. More sessions take another record.
//
// Only root writes it, under a lock on the file beside it that ends in ".lock".
// A line never crosses a page and is written by one pwrite(2), so that a writer
// killed at any point leaves the old line or the new one. Who reads takes no
// lock: a line whose sum is wrong is being written, and is read again.
package sessionfile

import (
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"smail/internal/boottime"
)

const (
	recordBytes = 256
	maxRecords  = 16383 // with the header 4 MiB
	maxLive     = 3     // processes a record
	maxName     = 64    // bytes of a user's name
	sumAt       = recordBytes - 1 - 8
)

// A Process is a session that may live: a pid can be given again, the time it
// started cannot.
type Process struct {
	PID   int
	Start uint64 // in clock ticks since boot
}

// A Record is a user's logins to a service from an address.
type Record struct {
	UID     int
	User    string
	Addr    netip.Addr
	Service string
	Void    bool          // does not let the peer send without a login
	Visit   bool          // is of sessions by a recent login, and thus void
	First   time.Duration // since boot
	Last    time.Duration
	Logins  int
	Relays  int // times that sending without a login was granted
	Live    []Process
}

// New returns the record of a login of this process, made now.
func New(uid int, user string, addr netip.Addr, service string) Record {
	start, _ := startTime(os.Getpid())
	now := boottime.Now().Truncate(time.Millisecond) // as it is written
	return Record{UID: uid, User: user, Addr: addr.Unmap().WithZone(""), Service: service,
		First: now, Last: now, Logins: 1, Live: []Process{{os.Getpid(), start}}}
}

// NewVisit returns the record of a session of this process that a recent login
// stands for: it is seen and can be ended, but vouches for nobody.
func NewVisit(uid int, user string, addr netip.Addr, service string) Record {
	r := New(uid, user, addr, service)
	r.Void, r.Visit = true, true
	return r
}

// Sessions returns the sessions of the record that still run.
func (r Record) Sessions() (running []Process) {
	for _, p := range r.Live {
		if p.Runs() {
			running = append(running, p)
		}
	}
	return running
}

// Runs says whether the process is still there.
func (p Process) Runs() bool {
	start, err := startTime(p.PID)
	return err == nil && start == p.Start
}

// Started returns when the process started, since boot.
func (p Process) Started() time.Duration {
	const ticks = 100 // a second, whatever the kernel's own clock is: proc(5)
	return time.Duration(p.Start) * time.Second / ticks
}

// within says whether the last login is younger than window.
func (r Record) within(window time.Duration) bool {
	now := boottime.Now()
	return r.Last <= now && now-r.Last < window
}

// parse reads a line. ok is false for one that is empty, torn or not ours.
func parse(line []byte) (r Record, ok bool) {
	if len(line) != recordBytes || line[recordBytes-1] != '\n' || line[0] != ' ' {
		return r, false
	}
	sum, err := strconv.ParseUint(string(line[sumAt:recordBytes-1]), 16, 32)
	if err != nil || uint32(sum) != crc32.ChecksumIEEE(line[:sumAt]) {
		return r, false
	}
	f := strings.Fields(string(line[:sumAt]))
	if len(f) != 8+maxLive+1 {
		return r, false
	}
	uid, err1 := strconv.ParseUint(f[0], 10, 31)
	addr, err2 := netip.ParseAddr(f[1])
	first, err3 := seconds(f[4])
	last, err4 := seconds(f[5])
	logins, err5 := strconv.ParseUint(f[6], 10, 31)
	relays, err6 := strconv.ParseUint(f[7], 10, 31)
	if errors.Join(err1, err2, err3, err4, err5, err6) != nil || addr != addr.Unmap().WithZone("") || len(f[3]) != 1 || !strings.Contains("+-=", f[3]) {
		return r, false
	}
	r = Record{UID: int(uid), Addr: addr, Service: f[2], Void: f[3] != "+", Visit: f[3] == "=", First: first, Last: last,
		Logins: int(logins), Relays: int(relays), User: f[8+maxLive]}
	for _, p := range f[8 : 8+maxLive] {
		left, right, _ := strings.Cut(p, ":")
		pid, err1 := strconv.ParseUint(left, 10, 31)
		start, err2 := strconv.ParseUint(right, 10, 64)
		if err1 != nil || err2 != nil {
			return r, false
		}
		if pid > 0 {
			r.Live = append(r.Live, Process{int(pid), start})
		}
	}
	return r, plain(r.User, maxName) && plain(r.Service, maxService)
}

// seconds reads a time since boot, to the millisecond.
func seconds(s string) (time.Duration, error) {
	whole, milli, ok := strings.Cut(s, ".")
	n, err1 := strconv.ParseUint(whole, 10, 30)
	m, err2 := strconv.ParseUint(milli, 10, 10)
	if !ok || len(milli) != 3 || err1 != nil || err2 != nil {
		return 0, errors.New("not a time")
	}
	return time.Duration(n)*time.Second + time.Duration(m)*time.Millisecond, nil
}

// Where the fields stand that a scan looks at before it reads a line.
const (
	uidEnd     = 12 // and the space behind it
	addrEnd    = uidEnd + 40
	maxService = 11
)

// line writes the record as it stands in the file.
func (r Record) line() []byte {
	b := append(uidField(r.UID), addrField(r.Addr)...)
	b = fmt.Appendf(b, "%-*s %c %13.3f %13.3f %6d %6d ", maxService, r.Service, r.mark(),
		r.First.Truncate(time.Millisecond).Seconds(), r.Last.Truncate(time.Millisecond).Seconds(), min(r.Logins, 999999), min(r.Relays, 999999))
	for i := range maxLive {
		var p Process
		if i < len(r.Live) {
			p = r.Live[i]
		}
		b = fmt.Appendf(b, "%7d:%-11d ", p.PID, p.Start)
	}
	b = fmt.Appendf(b, "%-*s", sumAt-len(b), r.User)
	return fmt.Appendf(b, "%08x\n", crc32.ChecksumIEEE(b))
}

func (r Record) mark() byte {
	switch {
	case r.Visit:
		return '='
	case r.Void:
		return '-'
	}
	return '+'
}

func uidField(uid int) []byte { return fmt.Appendf(make([]byte, 0, recordBytes), " %10d ", uid) }

func addrField(a netip.Addr) []byte { return fmt.Appendf(nil, "%-39s ", a) }

// plain says whether a name can stand in a line.
func plain(s string, most int) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != "" && len(s) <= most
}
