package maildir

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A file name has letters for 26 keywords. Further ones are in a file of ours,
// which must not be deleted: "smail.keywords" of the folder. A line gives a
// number its name, or says all the further keywords of a message; the last word
// on a message counts:
//
//	name 26 Project-X
//	has 26,30 1700000000.M1P1.host,S=120,W=124
//	has - 1700000000.M1P1.host,S=120,W=124
//
// Lines are appended under the lock of the uidlist; a torn last line is ignored.
// Once most of them are of no use the file is replaced. Dovecot does not see
// these keywords.
const (
	moreName    = "smail.keywords"
	moreTmp     = "smail.keywords.tmp"
	maxMoreFile = 64 << 20 // bytes that are read
)

// moreFlags are those of keywords without a letter.
const moreFlags = AllKeywords &^ ((1<<letters - 1) << 6)

// A moreKeywords is what smail.keywords says.
type moreKeywords struct {
	names []string         // of the numbers from 26 on
	of    map[string]Flags // by message key
	lines int
	stamp fileStamp
	torn  bool
	wait  []byte // lines that are to be written
}

// readMore reads the file again if it has changed.
func (f *Folder) readMore() error {
	var st unix.Stat_t
	if err := unix.Fstatat(f.dir, moreName, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		f.more = moreKeywords{wait: f.more.wait}
		return nil
	}
	if stamp := stampOf(&st); stamp != f.more.stamp {
		text, err := readSmall(f.dir, moreName, maxMoreFile)
		if err != nil {
			return fmt.Errorf("open %s: %w", moreName, err)
		}
		wait := f.more.wait
		f.more = parseMore(text)
		f.more.stamp, f.more.wait = stamp, wait
	}
	return nil
}

func parseMore(text []byte) moreKeywords {
	m := moreKeywords{of: map[string]Flags{}, torn: len(text) > 0 && text[len(text)-1] != '\n'}
	for line := range bytes.Lines(text) {
		s, whole := strings.CutSuffix(string(line), "\n")
		word, rest, _ := strings.Cut(s, " ")
		value, last, ok := strings.Cut(rest, " ")
		if !whole || !ok {
			continue
		}
		m.lines++
		switch word {
		case "name":
			n, err := strconv.Atoi(value)
			if err != nil || n < letters || n >= MaxKeywords || !isAtom(last) {
				continue
			}
			for len(m.names) <= n-letters {
				m.names = append(m.names, unknownKeyword(letters+len(m.names)))
			}
			m.names[n-letters] = last
		case "has":
			if flags := parseMoreFlags(value); flags != 0 {
				m.of[last] = flags
			} else {
				delete(m.of, last)
			}
		}
	}
	return m
}

func parseMoreFlags(value string) (flags Flags) {
	for number := range strings.SplitSeq(value, ",") {
		if n, err := strconv.Atoi(number); err == nil && n >= letters && n < MaxKeywords {
			flags |= keyword(n)
		}
	}
	return flags
}

// moreLine says a message's keywords without letters.
func moreLine(key string, flags Flags) []byte {
	var numbers []string
	for n := letters; n < MaxKeywords; n++ {
		if flags&keyword(n) != 0 {
			numbers = append(numbers, strconv.Itoa(n))
		}
	}
	if len(numbers) == 0 {
		numbers = []string{"-"}
	}
	return fmt.Appendf(nil, "has %s %s\n", strings.Join(numbers, ","), key)
}

// setMore notes a message's keywords without letters, to be written by
// flushMore.
func (f *Folder) setMore(key string, flags Flags) {
	if len(f.more.wait) == 0 {
		f.readMore() // another session may have written it
	}
	if flags &= moreFlags; flags != f.more.of[key] {
		f.more.wait = append(f.more.wait, moreLine(key, flags)...)
	}
}

// flushMore writes what was noted, under the lock, and makes it last.
func (f *Folder) flushMore() error {
	lines := f.more.wait
	if len(lines) == 0 {
		return nil
	}
	f.more.wait = nil
	fd, err := unix.Openat(f.dir, moreName, unix.O_CREAT|unix.O_WRONLY|unix.O_APPEND|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("open %s: %w", moreName, err)
	}
	defer unix.Close(fd)
	if f.more.torn {
		lines = append([]byte("\n"), lines...)
	}
	var before unix.Stat_t
	err = unix.Fstat(fd, &before)
	if err == nil {
		err = writeAll(fd, lines)
	}
	if err == nil && f.store.fsync != Never {
		err = errors.Join(fsync(fd), f.syncDir(f.dir)) // the file may be new
	}
	if err != nil {
		unix.Ftruncate(fd, before.Size)
		return fmt.Errorf("write %s: %w", moreName, err)
	}
	f.poke()
	return f.readMore()
}

// poke has the other sessions look, though no message was renamed.
func (f *Folder) poke() {
	const name = ".smail-changed"
	if fd, err := unix.Openat(f.new, name, unix.O_CREAT|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600); err == nil {
		unix.Close(fd)
		unix.Unlinkat(f.new, name, 0)
	}
}

// nameMore gives keywords without letters their names, from a number on.
func (f *Folder) nameMore(first int, names []string) error {
	for i, name := range names {
		f.more.wait = append(f.more.wait, fmt.Sprintf("name %d %s\n", first+i, name)...)
	}
	return f.flushMore()
}

// compactMore replaces the file if most of it is of no use, under the lock.
func (f *Folder) compactMore() error {
	if f.more.lines < 1000 {
		return nil
	}
	var b []byte
	used := 0
	for i, name := range f.more.names {
		b = fmt.Appendf(b, "name %d %s\n", letters+i, name)
	}
	for n := range int(f.ix.count) {
		r := f.ix.record(n)
		key := string(f.ix.key(&r))
		if flags := f.more.of[key]; flags != 0 && r.state&stateExpunged == 0 {
			b = append(b, moreLine(key, flags)...)
			used++
		}
	}
	if f.more.lines < 4*(used+len(f.more.names)) {
		return nil
	}
	fd, err := f.store.replace(f.dir, moreTmp, moreName, b)
	if err != nil {
		return err
	}
	unix.Close(fd)
	return f.readMore()
}

// allKeywords joins the names of keywords with letters and without.
func (f *Folder) allKeywords(lettered []string) []string {
	if len(f.more.names) == 0 {
		return lettered
	}
	all := slices.Clone(lettered)
	for len(all) < letters {
		all = append(all, unknownKeyword(len(all)))
	}
	return append(all[:letters], f.more.names...)
}
