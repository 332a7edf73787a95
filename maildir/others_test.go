package maildir

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What other programs and sessions do between a command's look at the folder and
// its lock must not be undone, nor cost a message.

// TestExpungeTakenBack: a \Deleted that somebody takes back meanwhile counts.
func TestExpungeTakenBack(t *testing.T) {
	trashed := func(f Flags) bool { return f&Trashed != 0 }
	for name, takeBack := range map[string]func(s *Store, b *Folder) error{
		"rename": func(s *Store, _ *Folder) error {
			return os.Rename(filepath.Join(s.root, "cur/a:2,T"), filepath.Join(s.root, "cur/a:2,"))
		},
		"session": func(_ *Store, b *Folder) error {
			return b.SetFlags([]int{0}, func(old Flags) Flags { return old &^ Trashed })
		},
	} {
		s := newStore(t)
		put(t, s, "cur/a:2,T", "x")
		put(t, s, "cur/b:2,T", "x")
		f, b := open(t, s, Inbox), open(t, other(t, s), Inbox)
		if err := takeBack(s, b); err != nil {
			t.Fatal(err)
		}
		if err := f.Expunge([]int{0, 1}, trashed); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		want(t, name, strings.Join(files(t, s, "cur"), " "), "a:2,")
	}
}

// TestOtherNameRemoved: a second name of a message that goes is not the message.
func TestOtherNameRemoved(t *testing.T) {
	s := newStore(t)
	cur := func(name string) string { return filepath.Join(s.root, "cur", name) }
	put(t, s, "cur/k:2,", "x")
	f := open(t, s, Inbox)
	sync := func() {
		t.Helper()
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	sync()
	sync() // it watches
	os.Link(cur("k:2,"), cur("k:2,S"))
	sync()
	os.Remove(cur("k:2,"))
	sync()
	if m := f.Message(0); m.Gone {
		t.Error("a message that was linked to another name is gone")
	}
	name := files(t, s, "cur")[0]
	put(t, s, "cur/k:2,F", "x")
	os.Remove(cur("k:2,F"))
	sync()
	if m := f.Message(0); m.Gone {
		t.Errorf("%s is gone with a copy of it", name)
	}
}

// TestComesBack: a message that was gone and is put back is another one to clients,
// which have been told that its UID is gone.
func TestComesBack(t *testing.T) {
	for _, watched := range []bool{true, false} {
		s := newStore(t)
		put(t, s, "cur/a:2,", "x")
		put(t, s, "cur/b:2,", "x")
		f := open(t, s, Inbox)
		if watched {
			f.Sync()
		} else {
			f.watch.close()
		}
		move := func(from, to string) {
			t.Helper()
			if err := os.Rename(filepath.Join(s.root, from), filepath.Join(s.root, to)); err != nil {
				t.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				t.Fatal(err)
			}
			f.Forget()
		}
		move("cur/a:2,", "tmp/saved")
		want(t, "while it is gone", keys(f), "2:b")
		told := f.HighestModSeq()
		move("tmp/saved", "cur/a:2,")
		want(t, "when it is back", keys(f), "2:b 3:a")
		if m := f.Message(f.Len() - 1); m.ModSeq <= told {
			t.Errorf("modseq %d, and %d was told before", m.ModSeq, told)
		}
		for _, name := range []string{indexName, namesName, cacheName} {
			os.Remove(filepath.Join(s.root, name))
		}
		want(t, "without the index", keys(open(t, other(t, s), Inbox)), "2:b 3:a")
	}
}

// TestMoveKeepsFlags: flags that another program has just set go along.
func TestMoveKeepsFlags(t *testing.T) {
	s := newStore(t)
	s.Create("B")
	put(t, s, "cur/k:2,", "x")
	f := open(t, s, Inbox)
	os.Rename(filepath.Join(s.root, "cur/k:2,"), filepath.Join(s.root, "cur/k:2,FS"))
	if _, _, err := f.Move([]int{0}, open(t, s, "B"), func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	if names := files(t, s, ".B/cur"); len(names) != 1 || !strings.HasSuffix(names[0], ":2,FS") {
		t.Errorf("moved as %v", names)
	}
}

// TestManyKeywordsOfTwo: of keywords without letters the last word counts, whoever
// has it, and the index may go.
func TestManyKeywordsOfTwo(t *testing.T) {
	s := newStore(t)
	put(t, s, "cur/k:2,", "x")
	a, b := open(t, s, Inbox), open(t, other(t, s), Inbox)
	var names []string
	for n := range letters + 3 {
		names = append(names, fmt.Sprintf("kw%d", n))
	}
	if _, err := a.AddKeywords(names); err != nil {
		t.Fatal(err)
	}
	last := keyword(letters + 2)
	set := func(f *Folder, flags Flags) {
		t.Helper()
		if err := f.SetFlags([]int{0}, func(old Flags) Flags { return old&^last | flags }); err != nil {
			t.Fatal(err)
		}
	}
	set(a, last)
	b.Sync()
	set(b, 0)
	without := func(now Flags) {
		t.Helper()
		for _, name := range []string{indexName, namesName, cacheName} {
			os.Remove(filepath.Join(s.root, name))
		}
		if got := open(t, other(t, s), Inbox).Message(0).Flags & last; got != now {
			t.Errorf("without the index %v, want %v", got, now)
		}
	}
	without(0)
	a, b = open(t, other(t, s), Inbox), open(t, other(t, s), Inbox)
	set(a, last)
	b.Sync()
	set(b, 0)
	a.Sync()
	set(a, last)
	without(last)
}

// TestNamesThatAreNone: a file that cannot stand in the uidlist is no message, and
// costs no other its UID.
func TestNamesThatAreNone(t *testing.T) {
	s := newStore(t)
	put(t, s, "cur/1700000000.a\nfoo:2,", "x")
	put(t, s, "cur/:2,S", "x")
	for n := range 3 {
		put(t, s, fmt.Sprintf("new/170000000%d.b", n), "x")
		o := other(t, s)
		open(t, o, Inbox)
		o.Close()
	}
	want(t, "UIDs", keys(open(t, s, Inbox)), "1:1700000000.b 2:1700000001.b 3:1700000002.b")
}

// TestNoUIDsLeft: the folder begins anew under another UIDVALIDITY.
func TestNoUIDsLeft(t *testing.T) {
	s := newStore(t)
	put(t, s, "dovecot-uidlist", "3 V1700000000 N4294967290 G0123456789abcdef0123456789abcdef\n4294967294 :x\n")
	put(t, s, "cur/1:2,", "x")
	put(t, s, "cur/2:2,", "x")
	f := open(t, s, Inbox)
	want(t, "UIDs", keys(f), "1:1 2:2")
	if f.UIDValidity == 1700000000 {
		t.Error("with the old UIDVALIDITY")
	}
	o := open(t, other(t, s), Inbox)
	want(t, "another time", keys(o), "1:1 2:2")
	put(t, s, "dovecot-uidlist", "3 V1700000000 N4294967294 G0123456789abcdef0123456789abcdef\n4294967292 :1\n4294967293 :2\n")
	full := open(t, other(t, s), Inbox)
	if _, err := tryDeliver(full); err == nil {
		t.Fatal("a message was appended where there are no UIDs")
	}
	again := open(t, other(t, s), Inbox)
	if uid, err := tryDeliver(again); err != nil || uid != 3 {
		t.Errorf("then as %d: %v", uid, err)
	}
}

func tryDeliver(f *Folder) (uid uint32, err error) {
	d, err := f.NewDelivery()
	if err != nil {
		return 0, err
	}
	d.Write([]byte("x\r\n"))
	return d.Commit(0, time.Time{})
}

// TestHugeFiles: what a user can put there takes no more memory than it is worth.
func TestHugeFiles(t *testing.T) {
	s := newStore(t)
	put(t, s, "cur/a:2,", "x")
	for _, name := range []string{"dovecot-uidlist", "maildirsize", "subscriptions", "smail.keywords", "dovecot-keywords", "smail.metadata"} {
		put(t, s, name, "")
		if err := os.Truncate(filepath.Join(s.root, name), 1<<40); err != nil {
			t.Fatal(err)
		}
	}
	f := open(t, s, Inbox)
	want(t, "UIDs", keys(f), "1:a")
	s.Quota()
	s.Metadata(Inbox)
	if _, err := s.Subscriptions(); err == nil {
		t.Error("subscriptions of a terabyte")
	}
}

// TestLockOfTheFuture: that of a process that has died counts no more, whatever the
// clock was then.
func TestLockOfTheFuture(t *testing.T) {
	s := newStore(t)
	put(t, s, "cur/a:2,", "x")
	host, _ := os.Hostname()
	put(t, s, uidlistLock, fmt.Sprintf("%d:%s", 1<<22, host))
	future := time.Now().Add(time.Hour)
	os.Chtimes(filepath.Join(s.root, uidlistLock), future, future)
	dir, err := unix.Open(s.root, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(dir)
	if !breakStale(dir, uidlistLock) {
		t.Error("a dead process's lock of the future was kept")
	}
	os.Symlink("nowhere", filepath.Join(s.root, uidlistLock))
	if !breakStale(dir, uidlistLock) {
		t.Error("a symbolic link was kept")
	}
	put(t, s, uidlistLock, "1:elsewhere.example")
	os.Chtimes(filepath.Join(s.root, uidlistLock), future, future)
	if breakStale(dir, uidlistLock) {
		t.Error("another host's was broken")
	}
}

// TestCopyChargesWhatIsThere: a message that has gone meanwhile costs no quota.
func TestCopyChargesWhatIsThere(t *testing.T) {
	s := newStore(t)
	s.Create("B")
	put(t, s, "cur/a:2,", strings.Repeat("x", 1000))
	put(t, s, "cur/b:2,", "0123456789")
	f := open(t, s, Inbox)
	put(t, s, quotaName, "100000S\n1010 2\n")
	os.Remove(filepath.Join(s.root, "cur/a:2,"))
	if _, to, err := f.Copy([]int{0, 1}, open(t, s, "B"), func() error { return nil }); err != nil || len(to) != 1 {
		t.Fatal(to, err)
	}
	b, _ := os.ReadFile(filepath.Join(s.root, quotaName))
	if lines := strings.Split(strings.TrimSpace(string(b)), "\n"); lines[len(lines)-1] != "10 1" {
		t.Errorf("charged %q", lines)
	}
}

// TestQuotaFileBounded: one without limits, which nobody counts anew, does not grow.
func TestQuotaFileBounded(t *testing.T) {
	s := newStore(t)
	put(t, s, quotaName, "\n")
	for range 3000 {
		s.charge(100, 1)
	}
	if info, _ := os.Stat(filepath.Join(s.root, quotaName)); info.Size() > maxQuotaFile+100 {
		t.Errorf("%d bytes", info.Size())
	}
}

// TestRenameAllOrNone: a child that cannot follow keeps all where they were.
func TestRenameAllOrNone(t *testing.T) {
	s := newStore(t)
	for _, name := range []string{"A", "A.b", "A.c"} {
		if err := s.Create(name); err != nil {
			t.Fatal(err)
		}
	}
	put(t, s, ".Z.b", "no folder")
	if err := s.Rename("A", "Z"); err == nil {
		t.Error("renamed")
	}
	names, _ := s.Folders()
	want(t, "folders", strings.Join(names, " "), "INBOX A A.b A.c")
}

// TestComesBackOften: no UID of those that a message has had is given again, with an
// index or without.
func TestComesBackOften(t *testing.T) {
	s := newStore(t)
	put(t, s, "cur/a:2,", "x")
	f := open(t, s, Inbox)
	file, saved := filepath.Join(s.root, "cur/a:2,"), filepath.Join(s.root, "tmp/saved")
	last := uint32(1)
	for n := range 6 {
		if n == 3 {
			for _, name := range []string{indexName, namesName, cacheName} {
				os.Remove(filepath.Join(s.root, name))
			}
			open(t, other(t, s), Inbox)
		}
		os.Rename(file, saved)
		f.Sync()
		f.Forget()
		os.Rename(saved, file)
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		if f.Len() == 0 || f.Message(f.Len()-1).UID <= last {
			t.Fatalf("turn %d: %q after UID %d", n, keys(f), last)
		}
		last = f.Message(f.Len() - 1).UID
	}
}
