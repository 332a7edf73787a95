package maildir

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What Courier knew of a Maildir is taken over when a folder without a uidlist
// is first opened, so that no client fetches its mail again:
//
//	courierimapuiddb         UIDVALIDITY, the next UID, and a UID a message
//	courierpop3dsizelist     what POP3 clients know the INBOX's messages by
//	courierimapkeywords/     keywords, a file of all and files of later changes
//	courierimapsubscribed    subscriptions
//
// They are only read: Courier can be put back.
const (
	courierUIDs       = "courierimapuiddb"
	courierPOP3       = "courierpop3dsizelist"
	courierKeywords   = "courierimapkeywords"
	courierSubscribed = "courierimapsubscribed"

	maxCourierFile = 256 << 20 // bytes that are read of one
)

// readSmall reads a file of a folder, if it is a regular one.
func readSmall(dir int, name string, limit int64) ([]byte, error) {
	var st unix.Stat_t
	fd, err := openRegular(dir, name, unix.O_RDONLY, &st)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return b, nil
}

// readCourier makes a uidlist of what Courier left; ok is false where it left
// nothing that can be read.
func readCourier(dir int) (u *uidlist, ok bool) {
	u = &uidlist{uidnext: 1} // of a user who never had IMAP, under a UIDVALIDITY of ours
	if text, err := readSmall(dir, courierUIDs, maxCourierFile); err == nil {
		if byIMAP, good := parseCourierUIDs(text); good {
			u, ok = byIMAP, true
		}
	}
	if list, err := readSmall(dir, courierPOP3, maxCourierFile); err == nil {
		ok = u.addUIDLs(list) || ok
	}
	return u, ok
}

// parseCourierUIDs reads "1 <uidvalidity> <next>" and lines of "<uid> <file
// name up to the colon>".
func parseCourierUIDs(text []byte) (*uidlist, bool) {
	header, rest, _ := bytes.Cut(text, []byte("\n"))
	u := &uidlist{}
	if u.parseHeader(strings.Fields(string(header))) != nil || u.version != 1 {
		return nil, false
	}
	u.version = 0 // there is no file of ours yet
	seen := map[string]bool{}
	for line := range bytes.Lines(rest) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		r, ok := parseUIDRecord(line, 1)
		if !ok || seen[string(r.key)] {
			continue
		}
		seen[string(r.key)] = true
		u.records = append(u.records, r)
	}
	slices.SortStableFunc(u.records, func(a, b uidRecord) int { return int(int64(a.uid) - int64(b.uid)) })
	u.records = slices.CompactFunc(u.records, func(a, b uidRecord) bool { return a.uid == b.uid })
	if n := len(u.records); n > 0 {
		u.uidnext = max(u.uidnext, u.records[n-1].uid+1)
	}
	return u, true
}

// addUIDLs adds to records what POP3 clients know the messages by, and their
// order there; a message that only they knew gets the next UID. The list begins with
// "/3 <next> <uidvalidity>"; a line has a file name, a size, and
// "<uid>:<uidvalidity>" (version 1: no uidvalidity; 3: and a mark for UTF-8). In the
// first version there was no beginning, and the file's name was the id.
func (u *uidlist) addUIDLs(list []byte) (any bool) {
	fields := 2
	if bytes.HasPrefix(list, []byte("/")) {
		var header []byte
		header, list, _ = bytes.Cut(list, []byte("\n"))
		if len(header) < 2 || header[1] < '1' || header[1] > '3' {
			return false
		}
		fields = 3
	}
	at := map[string]int{}
	for i, r := range u.records {
		at[string(r.key)] = i
	}
	order := 0
	for line := range bytes.Lines(list) {
		f, ok := lastFields(bytes.TrimSpace(line), fields)
		if !ok {
			continue
		}
		order++
		key, _, _ := splitName(f[0])
		uidl, ok := courierName(key), true
		if fields == 3 {
			uidl, ok = courierUIDL(string(f[2]))
		}
		if !ok || u.uidnext == math.MaxUint32 || len(key) == 0 || bytes.IndexByte(key, '/') >= 0 {
			continue
		}
		i, known := at[string(key)]
		if !known {
			i = len(u.records)
			at[string(key)] = i
			u.records = append(u.records, uidRecord{uid: u.uidnext, key: bytes.Clone(key)})
			u.uidnext++
		}
		u.records[i].fields = fmt.Appendf(nil, "P%s O%d", uidl, order)
		any = true
	}
	return any
}

// lastFields cuts a line into n fields, of which the first, a file's name, may have
// spaces.
func lastFields(line []byte, n int) (f [][]byte, ok bool) {
	f = make([][]byte, n)
	for i := n - 1; i > 0; i-- {
		space := bytes.LastIndexByte(line, ' ')
		if space <= 0 {
			return nil, false
		}
		f[i], line = line[space+1:], line[:space]
	}
	f[0] = line
	return f, true
}

// FromCourier says whether a Courier has served the Maildir.
func (s *Store) FromCourier() bool {
	for _, name := range []string{courierUIDs, courierSubscribed} {
		var st unix.Stat_t
		if unix.Lstat(filepath.Join(s.root, name), &st) == nil {
			return true
		}
	}
	return false
}

// courierName makes the id of a message that had no number: its file's name, with
// "+" and two digits for what an id may not have, or what Courier took for such.
func courierName(key []byte) string {
	var b strings.Builder
	for _, c := range key {
		if c < 0x21 || c > 0x7e || c == '\'' || c == '"' || c == '+' {
			fmt.Fprintf(&b, "+%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// courierUIDL makes the id that Courier told clients: "UID12-1700000000".
func courierUIDL(field string) (string, bool) {
	uid, rest, _ := strings.Cut(field, ":")
	validity, _, _ := strings.Cut(rest, ":")
	n, err := strconv.ParseUint(uid, 10, 32)
	v, verr := strconv.ParseUint("0"+validity, 10, 32)
	switch {
	case err != nil || verr != nil || n == 0:
		return "", false
	case v == 0:
		return fmt.Sprintf("UID%d", n), true
	}
	return fmt.Sprintf("UID%d-%d", n, v), true
}

// readCourierKeywords returns keywords by message key. In the folder's
// courierimapkeywords the file ":list" has all names, an empty line, and lines
// of "<key>:<number> <number>..."; a file named as a key, or ".<N>.<key>" with
// a larger N, has the later word on one message, a keyword a line.
func readCourierKeywords(dir int) map[string][]string {
	sub, err := unix.Openat(dir, courierKeywords, openDir, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(sub)
	all := map[string][]string{}
	if text, err := readSmall(sub, ":list", maxCourierFile); err == nil {
		parseCourierKeywords(text, all)
	}
	last := map[string]uint64{}
	var later []string
	eachName(sub, func(name string) { later = append(later, name) })
	for _, name := range later {
		key, n := name, uint64(1)<<63 // not yet numbered: the last
		if rest, ok := strings.CutPrefix(name, "."); ok {
			digits, k, _ := strings.Cut(rest, ".")
			v, err := strconv.ParseUint(digits, 10, 62)
			if err != nil {
				continue
			}
			key, n = k, v
		}
		if key == "" || strings.HasPrefix(key, ":") || n <= last[key] {
			continue
		}
		if text, err := readSmall(sub, name, maxKeywordsFile); err == nil {
			last[key] = n
			all[key] = strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
		}
	}
	return all
}

func parseCourierKeywords(text []byte, all map[string][]string) {
	var names []string
	inNames := true
	for line := range bytes.Lines(text) {
		s := strings.TrimSuffix(string(line), "\n")
		if inNames {
			if inNames = s != ""; inNames {
				names = append(names, s)
			}
			continue
		}
		i := strings.LastIndexByte(s, ':')
		if i < 0 {
			continue
		}
		var words []string
		for number := range strings.FieldsSeq(s[i+1:]) {
			if n, err := strconv.Atoi(number); err == nil && n >= 0 && n < len(names) {
				words = append(words, names[n])
			}
		}
		all[s[:i]] = words
	}
}

// importMark is there while a folder is taken over: where its uidlist is written
// already, but not all keywords are, they are taken over when it is opened next.
const importMark = "smail.importing"

// markImport makes the mark, which is on the disk with the uidlist.
func (f *Folder) markImport() error {
	fd, err := unix.Openat(f.dir, importMark, unix.O_CREAT|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("create %s: %w", importMark, err)
	}
	return unix.Close(fd)
}

// importing says whether a take-over was broken off.
func (f *Folder) importing() bool {
	return unix.Faccessat(f.dir, importMark, unix.F_OK, unix.AT_SYMLINK_NOFOLLOW) == nil
}

// importKeywords gives the messages of a folder that has just been taken over their
// keywords, under the lock. Of those in new/ that is for a session which takes them from
// there: the mark stays for it.
func (f *Folder) importKeywords() error {
	all, left := readCourierKeywords(f.dir), false
	for n := range int(f.ix.count) {
		r := f.ix.record(n)
		names := slices.DeleteFunc(all[string(f.ix.key(&r))], func(name string) bool { return !isAtom(name) })
		if len(names) == 0 || r.state&stateExpunged != 0 {
			continue
		}
		if f.readOnly && r.state&stateNew != 0 {
			left = true
			continue
		}
		flags, err := f.AddKeywords(names)
		if err != nil && err != ErrKeywords {
			return err
		}
		err = f.find(n, func(n int, r *record) error { return f.rename(n, r, r.flags|flags) })
		if err != nil && err != ErrGone {
			return fmt.Errorf("import keywords: %w", err)
		}
	}
	if err := f.syncDir(f.cur); err != nil {
		return err
	}
	if !left {
		unix.Unlinkat(f.dir, importMark, 0)
	}
	return nil
}

// readCourierSubscriptions returns Courier's subscriptions as names of folders.
func (s *Store) readCourierSubscriptions() (names []string) {
	b, err := readRegular(filepath.Join(s.root, courierSubscribed), maxSubscriptionsFile)
	if err != nil {
		return nil
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		name := strings.TrimPrefix(line, Inbox+string(Separator))
		if name != "" && s.EncodeName != nil && !s.Exists(name) {
			name = s.EncodeName(name)
		}
		if name != "" && checkName(name) == nil && len(names) < maxSubscriptions {
			names = append(names, name)
		}
	}
	return names
}

// UIDLs returns the ids by which POP3 clients know the messages at their
// places, where the uidlist has any from the server before, and the order in
// which that server listed them: 0 for what it did not list.
func (f *Folder) UIDLs() (ids map[uint32]string, order map[uint32]int64, err error) {
	if !f.ix.uidls {
		return nil, nil, nil
	}
	u, err := readUIDList(f.dir)
	if err != nil {
		return nil, nil, err
	}
	ids, order = map[uint32]string{}, map[uint32]int64{}
	for _, r := range u.records {
		if id := r.uidl(); id != "" {
			ids[r.uid] = id
		}
		if n := r.field('O'); n >= 0 {
			order[r.uid] = n
		}
	}
	return ids, order, nil
}
