package sessionfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"smail/internal/boottime"
)

const (
	magic     = "smail-sessions 2 "
	bootSlack = 60 // seconds by which the clock may have been set since
)

// A table is the file, open. A writer holds the lock.
type table struct {
	*os.File
	text   []byte // header and records
	mapped []byte
	hand   int // where the sweep goes on
}

func (t *table) len() int          { return max(0, len(t.text)/recordBytes-1) }
func (t *table) line(i int) []byte { return t.text[(i+1)*recordBytes : (i+2)*recordBytes] }
func (t *table) empty(i int) bool  { return t.line(i)[uidEnd-2] == ' ' }
func (t *table) record(i int) (r Record, ok bool) {
	return parse(t.line(i))
}

// openFile opens the file, which must be root's, or the caller's own.
func openFile(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, flags|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o644)
	if err != nil {
		return nil, err
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &st); err != nil {
		f.Close()
		return nil, fmt.Errorf("stat %s: %w", path, err)
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFREG || st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		f.Close()
		return nil, fmt.Errorf("%s is not a file of root's", path)
	}
	return f, nil
}

// read takes the file as it is: a copy or, for a writer, whose lock keeps the
// length as it is, the file itself. One of another boot, or no session file at
// all, has no records.
func (t *table) read(mapped bool) (err error) {
	var st syscall.Stat_t
	if err := syscall.Fstat(int(t.Fd()), &st); err != nil {
		return os.NewSyscallError("stat", err)
	}
	size := int(min(st.Size, (1+maxRecords)*recordBytes))
	if size == 0 {
		return nil
	}
	if mapped {
		t.text, err = syscall.Mmap(int(t.Fd()), 0, size, syscall.PROT_READ, syscall.MAP_SHARED|syscall.MAP_POPULATE)
		if err != nil {
			return os.NewSyscallError("mmap", err)
		}
		t.mapped = t.text
	} else {
		t.text = make([]byte, size)
		if size, err = t.ReadAt(t.text, 0); err != nil && err != io.EOF {
			return err
		}
	}
	t.text = t.text[:size-size%recordBytes]
	var ok bool
	if t.hand, ok = t.ofThisBoot(); !ok {
		t.text = nil
	}
	return nil
}

// close lets go of the file.
func (t *table) close() {
	if t.mapped != nil {
		syscall.Munmap(t.mapped)
	}
	t.File.Close()
}

// ofThisBoot reads the header.
func (t *table) ofThisBoot() (hand int, ok bool) {
	if len(t.text) < recordBytes {
		return 0, false
	}
	rest, ok := strings.CutPrefix(string(t.text[:recordBytes]), magic)
	f := strings.Fields(rest)
	if !ok || len(f) != 3 {
		return 0, false
	}
	at, err1 := strconv.ParseInt(f[1], 10, 64)
	hand, err2 := strconv.Atoi(f[2])
	if err1 != nil || err2 != nil || hand < 0 || hand > maxRecords {
		return 0, false
	}
	boot := bootTime()
	return hand, f[0] != noBootID && f[0] == bootID() || at >= boot-bootSlack && at <= boot+bootSlack
}

func header(hand int) []byte {
	return fmt.Appendf(nil, "%-*s\n", recordBytes-1, fmt.Sprintf("%s%s %d %d", magic, bootID(), bootTime(), hand))
}

// open opens the file for a writer, under the lock. A file that is void is begun
// anew.
func open(path string) (t *table, unlock func(), err error) {
	release, err := lock(path)
	if err != nil {
		return nil, nil, err
	}
	f, err := openFile(path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		release()
		return nil, nil, err
	}
	t = &table{File: f}
	unlock = func() { t.close(); release() }
	if err = t.read(true); err == nil && t.text == nil {
		err = errors.Join(f.Chmod(0o644), f.Truncate(0)) // whatever the umask is
		if err == nil {
			err = t.put(-1, header(0))
		}
	}
	if err != nil {
		unlock()
		return nil, nil, err
	}
	return t, unlock, nil
}

// put writes a line over another, which text then shows, or behind the last one.
func (t *table) put(i int, line []byte) error {
	at := int64(i+1) * recordBytes
	n, err := t.WriteAt(line, at)
	if err != nil {
		if n > 0 && at >= int64(len(t.text)) { // /run is full
			t.Truncate(at)
		}
	}
	return err
}

var blank = append(bytes.Repeat([]byte(" "), recordBytes-1), '\n')

// lock takes the lock beside the file, and makes the folder where a reboot
// has emptied /run.
func lock(path string) (unlock func(), err error) {
	open := func() (*os.File, error) {
		return os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	}
	f, err := open()
	if errors.Is(err, os.ErrNotExist) {
		if err := MakeFolder(filepath.Dir(path)); err != nil {
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

const noBootID = "-" // where it cannot be read

// bootID names this boot: random(4).
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return noBootID
	}
	return strings.TrimSpace(string(b))
}

// bootTime returns when the system was booted, in seconds of Unix time.
func bootTime() int64 {
	return time.Now().Add(-boottime.Now()).Unix()
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
