package maildir

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// New folders get UIDVALIDITY from one counter for the whole Maildir, so that
// a folder that is deleted and made anew never looks like the old one. It is
// Dovecot's: a file "dovecot-uidvalidity" with eight hex digits, and an empty
// one that carries them in its name, "dovecot-uidvalidity.65a0b1c2". To rename
// that to the next number is the atomic step; the other file is only a hint.
const uidvalidityName = "dovecot-uidvalidity"

func (s *Store) nextUIDValidity() (uint32, error) {
	for range 100 { // each turn lost means that another program has won one
		last, ok := s.lastUIDValidity()
		if !ok {
			v := uint32(now().Unix())
			fd, err := unix.Open(s.uidvalidityPath(v), unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o444)
			if err == unix.EEXIST {
				continue
			}
			if err != nil {
				return 0, fmt.Errorf("create %s: %w", uidvalidityName, err)
			}
			unix.Close(fd)
			return v, s.writeUIDValidity(v)
		}
		next := max(last+1, 1)
		err := unix.Rename(s.uidvalidityPath(last), s.uidvalidityPath(next))
		if err == unix.ENOENT {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("rename %s: %w", uidvalidityName, err)
		}
		return next, s.writeUIDValidity(next)
	}
	return 0, fmt.Errorf("%s changes all the time", uidvalidityName)
}

func (s *Store) uidvalidityPath(v uint32) string {
	return filepath.Join(s.root, fmt.Sprintf("%s.%08x", uidvalidityName, v))
}

// lastUIDValidity finds the largest number in a name.
func (s *Store) lastUIDValidity() (last uint32, ok bool) {
	names, _ := filepath.Glob(filepath.Join(globEscape(s.root), uidvalidityName+".????????"))
	for _, name := range names {
		n, err := strconv.ParseUint(name[len(name)-8:], 16, 32)
		if err == nil && (!ok || uint32(n) > last) {
			last, ok = uint32(n), true
		}
	}
	return last, ok
}

func (s *Store) writeUIDValidity(v uint32) error {
	const flags = unix.O_CREAT | unix.O_WRONLY | unix.O_TRUNC | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	fd, err := unix.Open(filepath.Join(s.root, uidvalidityName), flags, 0o600)
	if err == nil {
		err = errors.Join(writeAll(fd, fmt.Appendf(nil, "%08x", v)), unix.Close(fd))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", uidvalidityName, err)
	}
	if s.fsync != Never {
		return s.syncRoot()
	}
	return nil
}

func globEscape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
