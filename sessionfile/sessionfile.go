// Package sessionfile keeps the session file, /run/smail/sessions: who has
// logged in from where. The monitor writes it at each login; it decides
// whether a peer may send without a login of its own; smailctl shows it.
//
// It is text, a header and a line a login, fields separated by one space:
//
//	smail-sessions 1 1795421472
//	1234.567 4711 123400 1000 alice 192.0.2.7 imaps
//
// The header carries when the system was booted, in seconds of Unix time: a
// file of an earlier boot is void. (The kernel's boot id would say so too, but
// differs between the mount namespaces of one container.)
// The fields of a line are the time of the login in seconds since boot
// (CLOCK_BOOTTIME, which nobody can step), the pid of the session (of the monitor
// that waits for it, with pam_session held) and the time
// that process started in clock ticks since boot (proc(5), field 22 of stat),
// uid, user, the peer's address (IPv4-mapped ones unmapped, no zone), and the
// service. A line whose process has gone is kept for the relay window.
//
// Only root writes it: a new file is renamed over the old one under a lock on
// the file beside it that ends in ".lock". A line that does not parse is dropped.
package sessionfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	magic      = "smail-sessions 1 "
	bootSlack  = 60 // seconds by which the clock may have been set since, and a record seem younger than it is
	maxBytes   = 4 << 20
	maxRecords = 10000
)

// A Record is one login.
type Record struct {
	At      time.Duration // since boot
	PID     int
	Start   uint64 // when PID started, in clock ticks since boot
	UID     int
	User    string
	Addr    netip.Addr
	Service string

	line string // as read
}

// Now returns the time since boot, suspended time included.
func Now() time.Duration {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // cannot fail on Linux
	return time.Duration(ts.Nano())
}

// New returns the record of a login of this process, made now.
func New(uid int, user string, addr netip.Addr, service string) Record {
	start, _ := startTime(os.Getpid())
	return Record{At: Now(), PID: os.Getpid(), Start: start, UID: uid, User: user,
		Addr: addr.Unmap().WithZone(""), Service: service}
}

// Live says whether the session of the login still runs.
func (r Record) Live() bool {
	start, err := startTime(r.PID)
	return err == nil && start == r.Start
}

// Read returns the records of this boot. A missing file has none.
func Read(path string) ([]Record, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var st syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &st); err != nil {
		return nil, fmt.Errorf("stat %s: %w", path, err)
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFREG || st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return nil, fmt.Errorf("%s is not a file of root's", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxBytes))
	if err != nil {
		return nil, err
	}
	return parse(text, bootTime()), nil
}

func parse(text []byte, boot int64) []Record {
	header, rest, _ := strings.Cut(string(text), "\n")
	stamp, ok := strings.CutPrefix(header, magic)
	if at, err := strconv.ParseInt(stamp, 10, 64); !ok || err != nil || at < boot-bootSlack || at > boot+bootSlack {
		return nil
	}
	recs := make([]Record, 0, strings.Count(rest, "\n"))
	for line := range strings.Lines(rest) {
		if r, ok := parseRecord(strings.TrimSuffix(line, "\n")); ok && len(recs) < maxRecords {
			recs = append(recs, r)
		}
	}
	return recs
}

func parseRecord(line string) (Record, bool) {
	f := strings.Split(line, " ")
	if len(f) != 7 {
		return Record{}, false
	}
	at, err1 := strconv.ParseFloat(f[0], 64)
	pid, err2 := strconv.ParseUint(f[1], 10, 31)
	start, err3 := strconv.ParseUint(f[2], 10, 64)
	uid, err4 := strconv.ParseUint(f[3], 10, 31)
	addr, err5 := netip.ParseAddr(f[5])
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil || !(at >= 0 && at < 1e9) ||
		pid == 0 || !plain(f[4]) || !plain(f[6]) || addr != addr.Unmap().WithZone("") {
		return Record{}, false
	}
	return Record{time.Duration(at * 1e9), int(pid), start, int(uid), f[4], addr, f[6], line}, true
}

func (r Record) String() string {
	return fmt.Sprintf("%.3f %d %d %d %s %s %s", r.At.Seconds(), r.PID, r.Start, r.UID, r.User, r.Addr, r.Service)
}

// plain says whether a name can stand in a line.
func plain(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != ""
}

// ErrTooMany says that the user has as many sessions as are allowed.
var ErrTooMany = errors.New("too many sessions of this user")

// Add writes the record of a login, and drops those whose pid is free and that
// are older than window; of dead ones of a user at an address the last is kept.
// maxPerUser bounds the live sessions of the user.
func Add(path string, r Record, window time.Duration, maxPerUser int) error {
	if !plain(r.User) || !plain(r.Service) {
		return fmt.Errorf("name %q cannot stand in the session file", r.User)
	}
	unlock, err := lock(path)
	if err != nil {
		return err
	}
	defer unlock()
	old, err := Read(path)
	if err != nil {
		return err
	}
	kept, live := keep(old, r, window)
	if live >= maxPerUser {
		return ErrTooMany
	}
	text := fmt.Appendf(nil, "%s%d\n", magic, bootTime())
	for i := len(kept) - 1; i >= 0; i-- {
		text = append(append(text, kept[i].line...), '\n')
	}
	return replace(path, append(text, r.String()+"\n"...))
}

// keep returns the records that still matter, the last first, and how many
// live ones are the user's.
func keep(old []Record, r Record, window time.Duration) (kept []Record, live int) {
	type place struct {
		user string
		addr netip.Addr
	}
	seen := map[place]bool{{r.User, r.Addr}: true}
	now := Now()
	for i := len(old) - 1; i >= 0 && len(kept) < maxRecords-1; i-- {
		o := old[i]
		if syscall.Kill(o.PID, 0) == syscall.ESRCH {
			if seen[place{o.User, o.Addr}] || now-o.At >= window {
				continue
			}
			seen[place{o.User, o.Addr}] = true
		} else if o.UID == r.UID && o.Live() {
			live++
		}
		kept = append(kept, o)
	}
	return kept, live
}

// lock takes the lock beside the file, and makes the folder where a reboot
// has emptied /run.
func lock(path string) (unlock func(), err error) {
	open := func() (*os.File, error) {
		return os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	}
	f, err := open()
	if errors.Is(err, os.ErrNotExist) {
		dir := filepath.Dir(path)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, err
		}
		if err := os.Chmod(dir, 0o755); err != nil { // whatever the umask is
			return nil, err
		}
		f, err = open()
	}
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

// replace renames a new file over the old one. The file is on a tmpfs and
// void after a reboot, so that nothing is synced.
func replace(path string, text []byte) error {
	tmp := path + ".new" // ours alone: the lock is held
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return err
	}
	if _, err = f.Write(text); err == nil {
		err = f.Chmod(0o644)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(tmp)
		return err
	}
	return os.Rename(tmp, path)
}

// Sender returns the one user who may send from addr without a login of his
// own: the file holds a login of exactly one user there that is live or, but
// for liveOnly, younger than window.
func Sender(recs []Record, addr netip.Addr, window time.Duration, liveOnly bool) (Record, bool) {
	addr = addr.Unmap().WithZone("")
	now := Now()
	var found Record
	for _, r := range recs {
		if r.Addr != addr || !r.Live() && (liveOnly || r.At > now || now-r.At >= window) {
			continue
		}
		if found.User != "" && found.UID != r.UID {
			return Record{}, false
		}
		found = r
	}
	return found, found.User != ""
}

// bootTime returns when the system was booted, in seconds of Unix time.
func bootTime() int64 {
	return time.Now().Add(-Now()).Unix()
}

// startTime is when a process started, in clock ticks since boot.
func startTime(pid int) (uint64, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	// The second field, the program's name, may hold anything: count from its end.
	_, rest, ok := bytes.Cut(b[max(0, bytes.LastIndexByte(b, ')')):], []byte(") "))
	f := bytes.Fields(rest)
	if !ok || len(f) < 20 {
		return 0, fmt.Errorf("/proc/%d/stat: unexpected form", pid)
	}
	if f[0][0] == 'Z' {
		return 0, fmt.Errorf("process %d has ended", pid)
	}
	return strconv.ParseUint(string(f[19]), 10, 64)
}
