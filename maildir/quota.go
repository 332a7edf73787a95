package maildir

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Maildir++ quota is in "maildirsize" of the Maildir, which an administrator
// or an MTA makes; without it there is no quota. The first line has the limits,
// "1073741824S,1000C": bytes, and perhaps messages. Each other has what has
// come or gone since: bytes and messages, "1234 1" or "-1234 -1". Whoever
// changes the Maildir appends a line; from time to time all is counted anew and
// the file replaced. Every message of every folder counts, as with Dovecot.
const (
	quotaName     = "maildirsize"
	maxQuotaFile  = 5120             // bytes; a longer file is counted anew
	quotaPatience = 15 * time.Minute // a Maildir that is full is counted anew so often
)

// A quota is what maildirsize says.
type quota struct {
	limits       string // the first line
	bytes, count int64  // there are
	maxBytes     int64  // 0: no limit
	maxCount     int64
	changes      int  // lines behind the first
	stale        bool // it must be counted anew
}

// parseQuota reads maildirsize; ok is false if it sets no limit.
func parseQuota(text []byte) (q quota, ok bool) {
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	q.limits = strings.TrimSpace(string(first))
	for limit := range strings.SplitSeq(q.limits, ",") {
		if len(limit) < 2 {
			continue
		}
		n, err := strconv.ParseInt(limit[:len(limit)-1], 10, 62)
		if err != nil || n < 0 {
			continue
		}
		switch limit[len(limit)-1] {
		case 'S':
			q.maxBytes = n
		case 'C':
			q.maxCount = n
		}
	}
	for line := range bytes.Lines(rest) {
		f := bytes.Fields(line)
		if len(f) != 2 {
			q.stale = q.stale || len(f) > 0
			continue
		}
		b, berr := strconv.ParseInt(string(f[0]), 10, 62)
		c, cerr := strconv.ParseInt(string(f[1]), 10, 62)
		if berr != nil || cerr != nil || b > 1<<60 || b < -1<<60 {
			q.stale = true
			continue
		}
		q.bytes, q.count, q.changes = q.bytes+b, q.count+c, q.changes+1
	}
	q.stale = q.stale || q.changes == 0 || text[len(text)-1] != '\n' || len(text) >= maxQuotaFile || q.bytes < 0 || q.count < 0 || bytes.IndexByte(text, 0) >= 0
	return q, q.maxBytes > 0 || q.maxCount > 0
}

// full says whether so much more would be too much.
func (q *quota) full(size, count int64) bool {
	return q.maxBytes > 0 && q.bytes+size > q.maxBytes || q.maxCount > 0 && q.count+count > q.maxCount
}

// quota reads the quota, and counts anew where that is due; ok is false where
// there is none.
func (s *Store) quota(size, count int64) (q quota, ok bool, err error) {
	path := filepath.Join(s.root, quotaName)
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return q, false, nil
	}
	text, err := readRegular(path, maxQuotaFile)
	if err != nil {
		return q, false, fmt.Errorf("quota: %w", err)
	}
	if q, ok = parseQuota(text); !ok {
		return q, false, nil
	}
	old := time.Since(time.Unix(st.Mtim.Sec, 0)) > quotaPatience
	if q.stale || q.full(size, count) && (q.changes > 1 || old) {
		err = s.recount(&q)
	}
	return q, true, err
}

// A Quota is how much there is in a Maildir, and how much there may be.
type Quota struct {
	Bytes, Messages       int64
	MaxBytes, MaxMessages int64 // 0: no limit
}

// Quota returns the quota; ok is false where there is none.
func (s *Store) Quota() (Quota, bool, error) {
	q, ok, err := s.quota(0, 0)
	return Quota{q.bytes, q.count, q.maxBytes, q.maxCount}, ok, err
}

// makeRoom refuses what the quota has no room for: EDQUOT.
func (s *Store) makeRoom(size, count int64) error {
	q, ok, err := s.quota(size, count)
	if err != nil || !ok {
		return err
	}
	if q.full(size, count) {
		return fmt.Errorf("quota %s of the Maildir: %w", q.limits, unix.EDQUOT)
	}
	return nil
}

// charge appends what has come or gone to maildirsize, where there is one. It
// is counted anew now and then: an error costs nothing.
func (s *Store) charge(size, count int64) {
	if size == 0 && count == 0 {
		return
	}
	fd, err := unix.Open(filepath.Join(s.root, quotaName), unix.O_RDWR|unix.O_APPEND|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	var last [1]byte
	if unix.Fstat(fd, &st) != nil || st.Size >= maxQuotaFile { // it is counted anew, or has no limit
		return
	}
	if n, err := unix.Pread(fd, last[:], max(st.Size-1, 0)); n != 1 || err != nil || last[0] != '\n' { // counted anew, too
		return
	}
	writeAll(fd, fmt.Appendf(nil, "%d %d\n", size, count))
}

// recount counts all messages and replaces maildirsize, but not where something came
// or went meanwhile: its line is in the file, and it may have been counted or not.
func (s *Store) recount(q *quota) error {
	folders, err := s.Folders()
	if err != nil {
		return fmt.Errorf("quota: %w", err)
	}
	q.bytes, q.count = 0, 0
	before := make([][2]unix.Timespec, len(folders))
	for i, name := range folders {
		before[i] = s.changeTimes(name)
		f, err := s.open(name, true)
		if err != nil {
			continue // deleted meanwhile
		}
		err = f.addUp(q)
		f.Close()
		if err != nil {
			return err
		}
	}
	for i, name := range folders {
		if s.changeTimes(name) != before[i] {
			return nil
		}
	}
	s.writeQuota(q)
	return nil
}

// changeTimes returns when something last came or went in a folder.
func (s *Store) changeTimes(folder string) (times [2]unix.Timespec) {
	for i, sub := range []string{"cur", "new"} {
		var st unix.Stat_t
		if unix.Stat(filepath.Join(s.path(folder), sub), &st) == nil {
			times[i] = st.Mtim
		}
	}
	return times
}

// writeQuota replaces maildirsize. Where that fails, what was counted counts.
func (s *Store) writeQuota(q *quota) {
	dir, err := unix.Open(s.root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(dir)
	tmp := "tmp/" + newKey() + ".size"
	fd, err := unix.Openat(dir, tmp, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return
	}
	var st unix.Stat_t
	if unix.Fstatat(dir, quotaName, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
		unix.Fchmod(fd, st.Mode&0o666) // an MTA of another user may read it
	}
	err = writeAll(fd, fmt.Appendf(nil, "%s\n%d %d\n", q.limits, q.bytes, q.count))
	unix.Close(fd)
	if err == nil {
		err = unix.Renameat(dir, tmp, dir, quotaName)
	}
	if err != nil {
		unix.Unlinkat(dir, tmp, 0)
	}
}

// addUp adds a folder's messages to a quota.
func (f *Folder) addUp(q *quota) (err error) {
	for _, dir := range []int{f.new, f.cur} {
		rerr := eachFile(dir, func(name []byte) {
			key, _, _ := splitName(name)
			size := sizeField(key, 'S')
			if size < 0 {
				var st unix.Stat_t
				if unix.Fstatat(dir, string(name), &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
					return
				}
				size = st.Size
			}
			q.bytes, q.count = q.bytes+size, q.count+1
		})
		if rerr != nil {
			return rerr
		}
	}
	return nil
}

// sizeOf returns a message's size in bytes, as far as the quota is concerned.
func (f *Folder) sizeOf(n int) int64 {
	r := f.record(n)
	if r.state&stateExpunged == 0 {
		if size := sizeField(f.ix.key(&r), 'S'); size >= 0 { // as it was counted
			return size
		}
	}
	if r.size < 0 && r.state&stateExpunged == 0 {
		if st, err := f.statMessage(n); err == nil {
			return st.Size
		}
	}
	return max(r.size, 0)
}

// hasQuota says whether sizes matter.
func (s *Store) hasQuota() bool {
	var st unix.Stat_t
	return unix.Lstat(filepath.Join(s.root, quotaName), &st) == nil
}
