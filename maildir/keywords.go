package maildir

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Keywords are in Dovecot's file "dovecot-keywords" of a folder: a line each,
// its number and its name. Number n is the letter 'a'+n in file names.
//
//	0 $Forwarded
//	1 NonJunk
//
// Names differ by more than capitals. The file only grows; it is replaced by
// renaming its lock file, under the lock of the uidlist.
const (
	keywordsName = "dovecot-keywords"
	keywordsLock = "dovecot-keywords.lock"

	// MaxKeywords is how many a folder can have; those from the 27th on are in
	// smail.keywords.
	MaxKeywords = 58
	letters     = 26
	maxKeyword  = 255 // bytes of a name
)

// ErrKeywords says that a folder has no room for another keyword, or that the
// name is too long.
var ErrKeywords = errors.New("no room for another keyword")

// keyword is the flag of a keyword's number.
func keyword(n int) Flags { return firstKeyword << n }

// AllKeywords are the flags of all keywords that there can be.
const AllKeywords Flags = (1<<MaxKeywords - 1) << 6

// Keywords returns the names of the folder's keywords, by number; a number
// that the file leaves out is unknown-n, as Dovecot says.
func (f *Folder) Keywords() []string { return f.keywords }

// KeywordsOf returns the names of the keywords among flags.
func (f *Folder) KeywordsOf(flags Flags) []string {
	if flags&AllKeywords == 0 {
		return nil
	}
	var names []string
	for n := range MaxKeywords {
		if flags&keyword(n) != 0 {
			names = append(names, f.keywordName(n))
		}
	}
	return names
}

// keywordName returns a keyword's name. Another session may have made it since
// the file was read.
func (f *Folder) keywordName(n int) string {
	if n >= len(f.keywords) {
		if err := f.readKeywords(); err != nil || n >= len(f.keywords) {
			return unknownKeyword(n)
		}
	}
	return f.keywords[n]
}

// FindKeywords returns the flags of those names that are keywords here. Another session
// may have made them since the file was read.
func (f *Folder) FindKeywords(names []string) (flags Flags) {
	if flags = f.findKeywords(names); countBits(flags) < len(names) && f.readKeywords() == nil {
		flags = f.findKeywords(names)
	}
	return flags
}

// LearnKeywords makes sure that the names of flags are known, if they can be.
func (f *Folder) LearnKeywords(flags Flags) {
	if flags&AllKeywords >= keyword(len(f.keywords)) && len(f.keywords) < MaxKeywords {
		f.readKeywords()
	}
}

func (f *Folder) findKeywords(names []string) (flags Flags) {
	for _, name := range names {
		if n := slices.IndexFunc(f.keywords, func(k string) bool { return strings.EqualFold(k, name) }); n >= 0 {
			flags |= keyword(n)
		}
	}
	return flags
}

// AddKeywords returns the flags of names, and makes those keywords that are
// not yet. ErrKeywords comes with the flags of those that there is room for.
func (f *Folder) AddKeywords(names []string) (flags Flags, err error) {
	if len(names) == 0 {
		return 0, nil
	}
	if flags := f.findKeywords(names); countBits(flags) == len(names) {
		return flags, nil
	}
	err = f.withLock(func() error {
		if err := f.readKeywords(); err != nil {
			return err
		}
		room := f.keywords
		var full error
		for _, name := range names {
			known := slices.ContainsFunc(room, func(k string) bool { return strings.EqualFold(k, name) })
			switch {
			case known:
			case len(room) == MaxKeywords || len(name) > maxKeyword:
				full = ErrKeywords
			default:
				room = append(room[:len(room):len(room)], name)
			}
		}
		before := len(f.keywords)
		if len(room) > before && before < letters {
			if err := f.writeKeywords(room[:min(letters, len(room))]); err != nil {
				return err
			}
		}
		if first := max(letters, before); len(room) > first {
			if err := f.nameMore(first, room[first:]); err != nil {
				return err
			}
		}
		f.keywords = room
		return full
	})
	return f.findKeywords(names), err
}

func countBits(flags Flags) (n int) {
	for ; flags != 0; flags &= flags - 1 {
		n++
	}
	return n
}

// maxKeywordsFile bounds what is read.
const maxKeywordsFile = 64 << 10

func (f *Folder) readKeywords() error {
	text, err := readSmall(f.dir, keywordsName, maxKeywordsFile)
	if err == unix.ENOENT {
		text, err = nil, nil
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", keywordsName, err)
	}
	if err := f.readMore(); err != nil {
		return err
	}
	f.keywords = f.allKeywords(parseKeywords(text))
	return nil
}

func unknownKeyword(n int) string { return "unknown-" + strconv.Itoa(n) }

// parseKeywords reads the file; lines that make no sense are left out.
func parseKeywords(text []byte) []string {
	var names []string
	for line := range bytes.Lines(text) {
		number, name, ok := strings.Cut(strings.TrimSuffix(string(line), "\n"), " ")
		n, err := strconv.Atoi(number)
		if !ok || err != nil || n < 0 || n >= letters || !isAtom(name) {
			continue
		}
		for len(names) <= n {
			names = append(names, unknownKeyword(len(names)))
		}
		names[n] = name
	}
	return names
}

// isAtom says whether a name can stand in IMAP's dialogue, RFC 3501 section 9.
func isAtom(name string) bool {
	for i := 0; i < len(name); i++ {
		if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\]`, c) >= 0 {
			return false
		}
	}
	return name != "" && len(name) <= maxKeyword
}

// writeKeywords replaces the file. Dovecot looks at the seconds of its time to
// see a change: they must grow.
func (f *Folder) writeKeywords(names []string) error {
	lock, err := f.store.takeLock(f.dir, keywordsLock, lockPatience)
	if err != nil {
		return err
	}
	defer lock.release() // in vain once it was replaced and renamed
	var before unix.Stat_t
	found := unix.Fstatat(f.dir, keywordsName, &before, unix.AT_SYMLINK_NOFOLLOW) == nil
	var b strings.Builder
	for n, name := range names {
		fmt.Fprintf(&b, "%d %s\n", n, name)
	}
	fd, err := f.store.replace(f.dir, keywordsLock, keywordsName, []byte(b.String()))
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if found && before.Mtim.Sec >= time.Now().Unix() {
		tv := []unix.Timeval{{Sec: before.Mtim.Sec + 1}, {Sec: before.Mtim.Sec + 1}}
		return os.NewSyscallError("utimes", unix.Futimes(fd, tv))
	}
	return nil
}

// translate returns the flags that mean in dest what flags mean here. Keywords
// that dest has no room for are lost, as RFC 3501 section 6.4.7 allows.
func (f *Folder) translate(flags Flags, dest *Folder) (Flags, error) {
	if flags&AllKeywords == 0 {
		return flags, nil
	}
	theirs, err := dest.AddKeywords(f.KeywordsOf(flags))
	if err == ErrKeywords {
		err = nil
	}
	return flags&^AllKeywords | theirs, err
}
