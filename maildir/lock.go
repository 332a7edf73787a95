package maildir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"smail/internal/boottime"
)

// ErrLocked says that another program held a lock for too long.
var ErrLocked = errors.New("locked by another program")

// The times of Dovecot's dotlocks.
const (
	lockPatience  = 60 * time.Second  // how long to wait for a lock
	lockUnchanged = 120 * time.Second // a lock that nobody touches that long is stale
	lockYoung     = 2 * time.Second   // a lock of a dead process may be just being made
	lockSlack     = 5 * time.Second   // by which the clock may have been set since a lock was made
	lockTouch     = 10 * time.Second  // so often the holder shows that it lives
)

// A dotlock is a file beside what it locks, with "pid:hostname" in it: the
// lock that Dovecot takes.
type dotlock struct {
	dir   int
	name  string
	ino   uint64
	mu    sync.Mutex // of what follows
	freed bool
	timer *time.Timer
}

// touch shows other hosts that the lock's holder lives, and goes on doing so.
func (l *dotlock) touch() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.freed {
		at := unix.NsecToTimespec(time.Now().UnixNano())
		unix.UtimesNanoAt(l.dir, l.name, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
		l.timer.Reset(lockTouch)
	}
}

// A token is a session's own file in tmp/, with what a lock file holds. To lock
// it is linked, so that no lock is ever seen half written; and the file systems
// that we know take a link that is made and removed for less than a file (ext4
// passes by inodes that were freed in the last seconds one by one).
type token struct {
	path string
	ino  uint64
}

// makeToken makes the session's token, under a name that nobody else uses.
func (s *Store) makeToken() error {
	path := filepath.Join(s.root, "tmp", newKey()+".lock")
	ino, err := makeLock(unix.AT_FDCWD, path)
	if err == nil {
		s.token = token{path, ino}
	}
	return err
}

// Close removes what the store keeps for its own use.
func (s *Store) Close() {
	if s.token.path != "" {
		unix.Unlink(s.token.path)
		s.token = token{}
	}
}

// makeLock makes a lock file, unless there is one.
func makeLock(dir int, name string) (ino uint64, err error) {
	fd, err := unix.Openat(dir, name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return 0, err
	}
	host, _ := hostname()
	var st unix.Stat_t
	_, err = unix.Write(fd, fmt.Appendf(nil, "%d:%s", os.Getpid(), host))
	if err = errors.Join(err, unix.Fstat(fd, &st), unix.Close(fd)); err != nil {
		unix.Unlinkat(dir, name, 0)
		return 0, fmt.Errorf("write: %w", err)
	}
	return st.Ino, nil
}

// tryLock makes a lock file name of the token in a folder, or without one
// where the file system has no links.
func (s *Store) tryLock(dir int, name string) (ino uint64, err error) {
	if s.token.path == "" {
		if err := s.makeToken(); isFull(err) {
			return lockFull(dir, name)
		} else if err != nil {
			return 0, err
		}
	}
	var st unix.Stat_t
	err = unix.Linkat(unix.AT_FDCWD, s.token.path, dir, name, 0)
	switch {
	case err == unix.EEXIST && unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Ino == s.token.ino:
		return st.Ino, nil // this session's own, which it could not remove
	case err == unix.ENOENT: // the token was removed, or the folder
		s.token = token{}
	case err == unix.EPERM, err == unix.EXDEV, err == unix.EOPNOTSUPP, err == unix.EMLINK:
	default:
		return s.token.ino, err
	}
	if ino, err = makeLock(dir, name); isFull(err) {
		return lockFull(dir, name)
	}
	return ino, err
}

func isFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// lockFull locks where there is no room for a file, so that a user can make some: by a
// link of what is locked. It holds nobody's number, and is stale when it is old.
func lockFull(dir int, name string) (ino uint64, err error) {
	what := strings.TrimSuffix(name, ".lock")
	var st unix.Stat_t
	if unix.Fstatat(dir, what, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || st.Size == 0 { // an empty lock is nobody's
		return 0, unix.ENOSPC
	}
	return st.Ino, unix.Linkat(dir, what, dir, name, 0)
}

// takeLock makes the lock file name in a folder: it waits for its turn, no
// longer than it has patience, and removes a stale lock.
func (s *Store) takeLock(dir int, name string, patience time.Duration) (*dotlock, error) {
	deadline := time.Now().Add(patience)
	for wait := time.Millisecond / 2; ; wait = min(wait+wait/4, 50*time.Millisecond) {
		ino, err := s.tryLock(dir, name)
		if err == nil {
			l := &dotlock{dir: dir, name: name, ino: ino}
			l.mu.Lock()
			l.timer = time.AfterFunc(lockTouch, l.touch)
			l.mu.Unlock()
			return l, nil
		}
		if err != unix.EEXIST {
			return nil, fmt.Errorf("create %s: %w", name, err)
		}
		if breakStale(dir, name) {
			continue
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%s: %w", name, ErrLocked)
		}
		time.Sleep(wait)
	}
}

// release removes the lock, unless another has broken it and made his own.
func (l *dotlock) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.freed = true
	l.timer.Stop()
	var st unix.Stat_t
	if unix.Fstatat(l.dir, l.name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Ino == l.ino {
		unix.Unlinkat(l.dir, l.name, 0)
	}
}

// holds says whether a process of this machine may be that which made a lock some
// time ago: it runs, and has for as long. Else another process has its number now,
// as after a start of the machine.
func holds(pid int, ago time.Duration) bool {
	if syscall.Kill(pid, 0) == syscall.ESRCH {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if err != nil || len(fields) < 20 {
		return err == nil || !errors.Is(err, os.ErrNotExist) // of others' processes it may not be seen
	}
	started, err := strconv.ParseInt(fields[19], 10, 64) // proc_pid_stat(5): field 22, in ticks
	if err != nil {
		return true
	}
	const ticks = 100 // a second: USER_HZ is the same on all that we build for
	return boottime.Now()-time.Duration(started)*time.Second/ticks > ago-lockSlack
}

// breakStale removes a lock whose owner has died, or that is too old. It is
// renamed first and looked at again: what turns out to be the new lock of a
// third is put back.
func breakStale(dir int, name string) bool {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err == unix.ELOOP { // no lock of anybody's
		return unix.Unlinkat(dir, name, 0) == nil
	}
	if err != nil {
		return err == unix.ENOENT
	}
	defer unix.Close(fd)
	var st, again unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return false
	}
	age := time.Since(time.Unix(max(st.Mtim.Sec, st.Ctim.Sec), 0)) // a link that is made counts
	buf := make([]byte, 300)
	n, _ := unix.Read(fd, buf)
	host, _ := hostname()
	pid, owner, _ := strings.Cut(string(buf[:max(n, 0)]), ":")
	p, err := strconv.Atoi(pid)
	dead := n == 0 // the power failed before the owner's name was on the disk
	if err == nil && p > 0 && owner == host {
		if dead = !holds(p, age); !dead {
			return false // however old, as Dovecot has it
		}
		if age < -lockSlack { // it is of before the clock was set back
			age = lockUnchanged
		}
	}
	dead = dead && age > lockYoung
	if !dead && age < lockUnchanged {
		return false
	}
	if unix.Fstatat(dir, name, &again, unix.AT_SYMLINK_NOFOLLOW) != nil || again.Ino != st.Ino || again.Ctim != st.Ctim {
		return true // a link of the same file is another lock
	}
	aside := fmt.Sprintf("%s.%d", name, os.Getpid())
	if err := unix.Renameat(dir, name, dir, aside); err != nil {
		return err == unix.ENOENT
	}
	if unix.Fstatat(dir, aside, &again, unix.AT_SYMLINK_NOFOLLOW) == nil && again.Ino != st.Ino {
		rename(dir, aside, dir, name)
		return false
	}
	unix.Unlinkat(dir, aside, 0)
	return true
}
