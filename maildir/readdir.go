package maildir

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// direntBuffer is read at once: some 600 names.
const direntBuffer = 64 << 10

// eachName calls fn with the name of everything in a directory.
func eachName(dir int, fn func(name string)) error {
	return eachEntry(dir, func(name []byte, _ byte) { fn(string(name)) })
}

var directoriesRead atomic.Int64 // tests count

// isMessageName says whether a file may be a message. Names that begin with a dot are
// none by Maildir's rules, and one without a key or with a line end cannot stand in
// the uidlist.
func isMessageName(name []byte) bool {
	return name[0] != '.' && name[0] != ':' && bytes.IndexByte(name, '\n') < 0
}

// eachFile calls fn with the name of every regular file in a directory. The
// name is valid only during the call. Symbolic links, folders, FIFOs and
// devices are no messages.
func eachFile(dir int, fn func(name []byte)) error {
	directoriesRead.Add(1)
	return eachEntry(dir, func(name []byte, typ byte) {
		if isMessageName(name) && (typ == unix.DT_REG || typ == unix.DT_UNKNOWN && isRegular(dir, string(name))) {
			fn(name)
		}
	})
}

// eachEntry calls fn with the name and type of all that is in a directory.
func eachEntry(dir int, fn func(name []byte, typ byte)) error {
	if _, err := unix.Seek(dir, 0, 0); err != nil {
		return fmt.Errorf("read folder: %w", err)
	}
	buf := make([]byte, direntBuffer)
	for {
		n, err := unix.Getdents(dir, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("read folder: %w", err)
		}
		if n == 0 {
			return nil
		}
		for b := buf[:n]; len(b) > 0; {
			// struct linux_dirent64: ino 8, off 8, reclen 2, type 1, name
			size := binary.NativeEndian.Uint16(b[16:])
			name := b[19:size]
			fn(name[:bytes.IndexByte(name, 0)], b[18])
			b = b[size:]
		}
	}
}

func isRegular(dir int, name string) bool {
	var st unix.Stat_t
	return unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG
}
