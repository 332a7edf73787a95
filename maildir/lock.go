package maildir

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrLocked says that another program held a lock for too long.
var ErrLocked = errors.New("locked by another program")

// The times of Dovecot's dotlocks.
const (
	lockPatience  = 60 * time.Second  // how long to wait for a lock
	lockUnchanged = 120 * time.Second // a lock that nobody touches that long is stale
	lockYoung     = 2 * time.Second   // a lock of a dead process may be just being made
)

// A dotlock is a file beside what it locks, with "pid:hostname" in it: the
// lock that Dovecot takes.
type dotlock struct {
	dir  int
	name string
	ino  uint64
}

// takeLock makes the lock file name in a folder, waiting for its turn no longer
// than it has patience, and removing a stale one.
func takeLock(dir int, name string, patience time.Duration) (*dotlock, error) {
	host, _ := hostname()
	content := fmt.Sprintf("%d:%s", os.Getpid(), host)
	deadline := time.Now().Add(patience)
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		fd, err := unix.Openat(dir, name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
		if err == nil {
			var st unix.Stat_t
			_, err = unix.Write(fd, []byte(content))
			err = errors.Join(err, unix.Fstat(fd, &st), unix.Close(fd))
			if err != nil {
				unix.Unlinkat(dir, name, 0)
				return nil, fmt.Errorf("write %s: %w", name, err)
			}
			return &dotlock{dir, name, st.Ino}, nil
		}
		if err != unix.EEXIST {
			return nil, fmt.Errorf("create %s: %w", name, err)
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%s: %w", name, ErrLocked)
		}
		if breakStale(dir, name, host) {
			continue
		}
		time.Sleep(wait)
	}
}

// release removes the lock, unless another has broken it and made his own.
func (l *dotlock) release() {
	var st unix.Stat_t
	if unix.Fstatat(l.dir, l.name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Ino == l.ino {
		unix.Unlinkat(l.dir, l.name, 0)
	}
}

// breakStale removes a lock whose owner has died, or that is too old. It is
// renamed first and looked at again: what turns out to be the new lock of a
// third is put back.
func breakStale(dir int, name, host string) bool {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err == unix.ENOENT
	}
	defer unix.Close(fd)
	var st, again unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return false
	}
	age := time.Since(time.Unix(st.Mtim.Unix()))
	buf := make([]byte, 300)
	n, _ := unix.Read(fd, buf)
	pid, owner, _ := strings.Cut(string(buf[:max(n, 0)]), ":")
	p, err := strconv.Atoi(pid)
	dead := err == nil && p > 0 && owner == host && age > lockYoung && syscall.Kill(p, 0) == syscall.ESRCH
	if !dead && age < lockUnchanged {
		return false
	}
	if unix.Fstatat(dir, name, &again, unix.AT_SYMLINK_NOFOLLOW) != nil || again.Ino != st.Ino {
		return true
	}
	aside := fmt.Sprintf("%s.%d", name, os.Getpid())
	if err := unix.Renameat(dir, name, dir, aside); err != nil {
		return err == unix.ENOENT
	}
	if unix.Fstatat(dir, aside, &again, unix.AT_SYMLINK_NOFOLLOW) == nil && again.Ino != st.Ino {
		unix.Renameat2(dir, aside, dir, name, unix.RENAME_NOREPLACE)
		return false
	}
	unix.Unlinkat(dir, aside, 0)
	return true
}
