package maildir

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// some puts messages into INBOX/cur: m0 to m<n-1>.
func some(t *testing.T, s *Store, n int) {
	t.Helper()
	for i := range n {
		put(t, s, fmt.Sprintf("cur/%d.m%d:2,", 1700000000+i, i), fmt.Sprintf("Subject: %d\n\nx\n", i))
	}
}

// settled waits until the clock has gone on since the last change.
func settled() { time.Sleep(25 * time.Millisecond) }

// readsOf returns how often opening INBOX reads its directories.
func readsOf(t *testing.T, s *Store) int {
	t.Helper()
	before := directoriesRead.Load()
	open(t, s, Inbox).Close()
	return int(directoriesRead.Load() - before)
}

// TestOpenWithoutReading: what has not changed is not read; what has, is.
func TestOpenWithoutReading(t *testing.T) {
	s := newStore(t)
	some(t, s, 10)
	settled()
	if n := readsOf(t, s); n == 0 {
		t.Error("a folder without an index was not read")
	}
	if n := readsOf(t, s); n != 0 {
		t.Errorf("an unchanged folder: %d directories read", n)
	}
	changes := map[string]func(){
		"a delivery": func() { put(t, s, "new/1800000000.x", "x") },
		"a rename":   func() { os.Rename(s.root+"/cur/1700000003.m3:2,", s.root+"/cur/1700000003.m3:2,S") },
		"a removal":  func() { os.Remove(s.root + "/cur/1700000004.m4:2,") },
		"Dovecot's": func() {
			b, _ := os.ReadFile(filepath.Join(s.root, uidlistName))
			put(t, s, uidlistName, string(b)+"900 :elsewhere\n")
		},
	}
	for what, change := range changes {
		change()
		settled()
		if readsOf(t, s) == 0 {
			t.Errorf("after %s the folder was not read", what)
		}
		settled()
		readsOf(t, s) // it moved what was in new/
		settled()
		if n := readsOf(t, s); n != 0 {
			t.Errorf("long after %s: %d directories read", what, n)
		}
	}
	want(t, "messages", fmt.Sprint(open(t, s, Inbox).Len()), "10")
}

// TestDamagedIndex: whatever is done to its files, a client sees the same.
func TestDamagedIndex(t *testing.T) {
	s := newStore(t)
	some(t, s, 20)
	f := open(t, s, Inbox)
	f.SetFlags([]int{3}, func(Flags) Flags { return Seen })
	f.LearnEntry(3, []byte("entry"))
	f.Close()
	before := keys(open(t, s, Inbox))
	path := func(name string) string { return filepath.Join(s.root, name) }
	overwrite := func(name string, at int64, b string) func() {
		return func() {
			file, err := os.OpenFile(path(name), os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			file.WriteAt([]byte(b), at)
			file.Close()
		}
	}
	replace := func(name, content string) func() {
		return func() {
			os.Remove(path(name))
			put(t, s, name, content)
		}
	}
	for what, damage := range map[string]func(){
		"no index":         func() { os.Remove(path(indexName)) },
		"no names":         func() { os.Remove(path(namesName)) },
		"no cache":         func() { os.Remove(path(cacheName)) },
		"future version":   overwrite(indexName, 8, "\x63"),
		"other magic":      overwrite(indexName, 0, "x"),
		"header":           overwrite(indexName, 60, "\xff\xff"),
		"a record":         overwrite(indexName, headerSize+5*recordSize+9, "\xff"),
		"names":            overwrite(namesName, 30, "????????????????????????"),
		"another's names":  replace(namesName, strings.Repeat("x", 2000)),
		"an empty index":   replace(indexName, ""),
		"a torn index":     func() { os.Truncate(path(indexName), headerSize+7*recordSize+13) },
		"torn names":       func() { os.Truncate(path(namesName), 100) },
		"torn cache":       func() { os.Truncate(path(cacheName), 10) },
		"a folder":         func() { os.Remove(path(indexName)); os.Mkdir(path(indexName), 0o700) },
		"a link":           func() { os.Remove(path(namesName)); os.Symlink("/etc/passwd", path(namesName)) },
		"a FIFO":           func() { os.Remove(path(cacheName)); unix.Mkfifo(path(cacheName), 0o600) },
		"a left over file": replace(indexName+".tmp", "x"),
	} {
		f := open(t, s, Inbox)
		f.LearnEntry(3, []byte("entry"))
		f.Close()
		damage()
		f = open(t, s, Inbox)
		want(t, what, keys(f), before)
		if m := f.Message(3); m.Flags != Seen {
			t.Errorf("%s: flags %v", what, m.Flags)
		}
		if e := f.Entry(3); e != nil && string(e) != "entry" {
			t.Errorf("%s: entry %q", what, e)
		}
		f.Close()
		os.RemoveAll(path(indexName + ".tmp"))
		if info, err := os.Lstat(path(indexName)); err == nil && info.IsDir() {
			os.Remove(path(indexName))
		}
	}
}

// TestIndexIsDeletedMeanwhile: sessions go on, and agree with those that come.
func TestIndexIsDeletedMeanwhile(t *testing.T) {
	s := newStore(t)
	some(t, s, 5)
	a, b := open(t, s, Inbox), open(t, s, Inbox)
	for _, name := range []string{indexName, namesName, cacheName} {
		os.Remove(filepath.Join(s.root, name))
	}
	if err := a.SetFlags([]int{1}, func(Flags) Flags { return Flagged }); err != nil {
		t.Fatal(err)
	}
	deliver(t, b, "x", 0)
	for _, f := range []*Folder{a, b, open(t, s, Inbox)} {
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		if f.Len() != 6 || f.Message(1).Flags != Flagged {
			t.Errorf("%d messages, flags %v", f.Len(), f.Message(1).Flags)
		}
	}
}

// TestTwoViews: each session hears of the other's changes, and not of its own.
func TestTwoViews(t *testing.T) {
	s := newStore(t)
	some(t, s, 6)
	a, b := open(t, s, Inbox), open(t, s, Inbox)
	sync := func(f *Folder) string {
		t.Helper()
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		changed := f.Changed()
		numbers, _ := f.Forget()
		return fmt.Sprint(changed, numbers)
	}
	a.SetFlags([]int{1, 2}, func(old Flags) Flags { return old | Seen })
	want(t, "own change", sync(a), "[] []")
	want(t, "the other's", sync(b), "[1 2] []")
	want(t, "once", sync(b), "[] []")
	b.SetFlags([]int{0}, func(old Flags) Flags { return old | Flagged })
	b.Expunge([]int{3}, nil)
	a.SetFlags([]int{5}, func(old Flags) Flags { return old | Replied })
	want(t, "both changed: a", sync(a), "[0 3] [4]")
	want(t, "both changed: b", sync(b), "[5] [4]")
	os.Rename(s.root+"/cur/1700000005.m5:2,R", s.root+"/cur/1700000005.m5:2,RS")
	want(t, "mutt's: a", sync(a), "[4] []")
	want(t, "mutt's: b", sync(b), "[4] []")
	deliver(t, b, "y", 0)
	if sync(a); a.Len() != 6 || a.Message(5).UID != 7 {
		t.Errorf("%d messages", a.Len())
	}
	want(t, "the same", keys(a), keys(b))
}

// TestReadOnlyMaildir: what is there is served where nothing can be written.
func TestReadOnlyMaildir(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a read-only mount needs root")
	}
	s := newStore(t)
	some(t, s, 3)
	open(t, s, Inbox).Close()
	os.Remove(filepath.Join(s.root, indexName))
	if err := unix.Mount(s.root, s.root, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(s.root, unix.MNT_DETACH) })
	if err := unix.Mount("", s.root, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	f := open(t, s, Inbox)
	want(t, "messages", keys(f), "1:1700000000.m0 2:1700000001.m1 3:1700000002.m2")
	if err := f.Sync(); err != nil {
		t.Error(err)
	}
	if err := f.SetFlags([]int{0}, func(Flags) Flags { return Seen }); err == nil {
		t.Error("a flag was set on a read-only file system")
	}
	if file, _, err := f.OpenMessage(2); err != nil {
		t.Error(err)
	} else {
		file.Close()
	}
}

// TestCacheIsCompacted once most of it is of no use.
func TestCacheIsCompacted(t *testing.T) {
	s := newStore(t)
	some(t, s, 40)
	f := open(t, s, Inbox)
	for round := range 5 {
		for i := range f.Len() {
			f.LearnEntry(i, bytes.Repeat([]byte{byte('a' + round)}, 20<<10))
		}
	}
	f.Close()
	st, err := os.Stat(filepath.Join(s.root, cacheName))
	if err != nil || st.Size() > 2*40*21<<10+maxDead {
		t.Errorf("%d bytes, %v", st.Size(), err)
	}
	f = open(t, s, Inbox)
	for i := range f.Len() {
		if e := f.Entry(i); len(e) != 20<<10 || e[0] != 'e' {
			t.Fatalf("message %d: %d bytes", i, len(e))
		}
	}
	// A session that has the old file open goes over to the new one.
	g := open(t, other(t, s), Inbox)
	for i := range g.Len() {
		g.LearnEntry(i, bytes.Repeat([]byte("f"), 30<<10))
		g.Flush()
	}
	g.ix.dead = 1 << 40
	g.LearnEntry(0, []byte("new file"))
	g.Flush()
	f.LearnEntry(1, []byte("also"))
	f.Flush()
	h := open(t, s, Inbox)
	want(t, "entries", string(h.Entry(0))+" "+string(h.Entry(1))+" "+string(h.Entry(2)[:1]), "new file also f")
	want(t, "entries", string(f.Entry(0))+" "+string(f.Entry(1))+" "+string(f.Entry(2)[:1]), "new file also f")
}

// FuzzIndex: no file makes a session fail, or show what is not there.
func FuzzIndex(f *testing.F) {
	dir := f.TempDir()
	s, err := Open(filepath.Join(dir, "Maildir"), Never)
	if err != nil {
		f.Fatal(err)
	}
	for i := range 3 {
		os.WriteFile(filepath.Join(s.root, fmt.Sprintf("cur/%d.m:2,S", i)), []byte("x"), 0o600)
	}
	folder, err := s.OpenFolder(Inbox, false)
	if err != nil {
		f.Fatal(err)
	}
	before := keys(folder)
	folder.Close()
	whole, _ := os.ReadFile(filepath.Join(s.root, indexName))
	names, _ := os.ReadFile(filepath.Join(s.root, namesName))
	f.Add(whole, names, 40, byte(1))
	f.Add(whole[:300], names, 260, byte(0xff))
	f.Fuzz(func(t *testing.T, index, names []byte, at int, with byte) {
		if at >= 0 && at < len(index) {
			index = bytes.Clone(index)
			index[at] ^= with
		}
		os.WriteFile(filepath.Join(s.root, indexName), index, 0o600)
		os.WriteFile(filepath.Join(s.root, namesName), names, 0o600)
		folder, err := s.OpenFolder(Inbox, false)
		if err != nil {
			t.Fatal(err)
		}
		defer folder.Close()
		if got := keys(folder); got != before {
			t.Errorf("got %s, want %s", got, before)
		}
	})
}

// TestFolderIsDeleted by another session: its messages are gone, and that is all.
func TestFolderIsDeleted(t *testing.T) {
	for _, messages := range []int{0, 3} {
		s := newStore(t)
		s.Create("Work")
		for i := range messages {
			put(t, s, fmt.Sprintf(".Work/cur/%d.m:2,", i), "x")
		}
		f := open(t, s, "Work")
		f.Sync()
		if err := other(t, s).Delete("Work"); err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Errorf("%d messages: %v", messages, err)
		}
		if numbers, _ := f.Forget(); len(numbers) != messages || f.Len() != 0 {
			t.Errorf("%d of %d messages are told to be gone, %d are left", len(numbers), messages, f.Len())
		}
		if err := f.Sync(); err != nil {
			t.Errorf("again: %v", err)
		}
	}
}

// TestNetworkFileSystem: there the index is in memory, and all goes on as ever.
func TestNetworkFileSystem(t *testing.T) {
	s := newStore(t)
	some(t, s, 3)
	f, err := s.open(Inbox, false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.remote, f.follows = true, true
	if err := f.load(true); err != nil {
		t.Fatal(err)
	}
	put(t, s, "new/1900000000.x", "x")
	deliver(t, f, "y", Seen)
	for range 2 {
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		settled()
	}
	f.SetFlags([]int{0}, func(Flags) Flags { return Flagged })
	f.Expunge([]int{1}, nil)
	f.Sync()
	want(t, "gone", fmt.Sprint(f.Forget()), "[2] [2]")
	if m := f.Message(0); m.Flags != Flagged || f.Len() != 4 {
		t.Errorf("%d messages, flags %v", f.Len(), m.Flags)
	}
	if _, err := os.Stat(filepath.Join(s.root, indexName)); err == nil {
		t.Error("an index was written")
	}
	want(t, "another session", keys(open(t, s, Inbox)), keys(f))
}
