package maildir

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestOpenDuringCopy: who opens a folder while another session copies into it
// sees every message below UIDNEXT.
func TestOpenDuringCopy(t *testing.T) {
	s := newStore(t)
	s.fsync = Never
	s.Create("To")
	f := open(t, s, Inbox)
	for i := range 200 {
		put(t, s, fmt.Sprintf("cur/%d.M1P1.h:2,", 1700000000+i), "x")
	}
	f.Sync()
	copied := make(chan error)
	go func() {
		var err error
		for range 15 {
			var dest *Folder
			if dest, err = s.OpenTarget("To"); err == nil {
				_, _, err = f.Copy(all(f), dest, always)
				dest.Close()
			}
		}
		copied <- err
	}()
	for opens := 0; ; opens++ {
		to, err := other(t, s).OpenFolder("To", false)
		if err != nil {
			t.Fatal(err)
		}
		if n := to.Len(); n != int(to.UIDNext())-1 {
			t.Errorf("open %d: %d messages, UIDNEXT %d", opens, n, to.UIDNext())
		}
		to.Close()
		select {
		case err := <-copied:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
	}
}

// TestFailedSyncLooksAgain: what could not be given a UID for a lock is not
// forgotten.
func TestFailedSyncLooksAgain(t *testing.T) {
	s := newStore(t)
	f := open(t, s, Inbox)
	lock := filepath.Join(s.root, uidlistLock)
	os.Mkdir(lock, 0o700) // no lock can be made, and none be broken
	young := time.Now()
	os.Chtimes(lock, young, young)
	put(t, s, "new/a", "x")
	time.Sleep(50 * time.Millisecond)
	done := make(chan error)
	go func() { done <- f.Sync() }()
	select {
	case err := <-done:
		if err == nil {
			t.Fatal("Sync took a lock that cannot be taken")
		}
	case <-time.After(300 * time.Millisecond): // it waits, as it should
		os.Remove(lock)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	os.Remove(lock)
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	want(t, "messages", keys(f), "1:a")
}

// TestOppositeCopies do not wait for each other.
func TestOppositeCopies(t *testing.T) {
	s := newStore(t)
	s.Create("A")
	s.Create("B")
	for i := range 50 {
		put(t, s, fmt.Sprintf(".A/cur/a%d:2,", i), "x")
		put(t, s, fmt.Sprintf(".B/cur/b%d:2,", i), "x")
	}
	done := make(chan error)
	for _, names := range [][2]string{{"A", "B"}, {"B", "A"}} {
		mine := other(t, s)
		f, dest := open(t, mine, names[0]), open(t, mine, names[1])
		for i := range f.Len() { // renamed by others meanwhile
			os.Rename(filepath.Join(s.root, "."+names[0], "cur", name(f, i)), filepath.Join(s.root, "."+names[0], "cur", f.Key(i)+":2,S"))
		}
		go func() {
			_, _, err := f.Copy(all(f), dest, always)
			done <- err
		}()
	}
	for range 2 {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("two copies wait for each other")
		}
	}
}

// TestForeignLockIsKept: a lock that another has made since is not removed.
func TestForeignLockIsKept(t *testing.T) {
	s := newStore(t)
	f := open(t, s, Inbox)
	l, err := s.takeLock(f.dir, uidlistLock, lockPatience)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "new.lock", "1:elsewhere")
	os.Rename(filepath.Join(s.root, "new.lock"), filepath.Join(s.root, uidlistLock))
	l.release()
	if _, err := os.Stat(filepath.Join(s.root, uidlistLock)); err != nil {
		t.Error("another's lock was removed")
	}
}

// TestCopyLooksAgain: a copy into its own folder that finds a message renamed,
// and new mail as it looks for it, leaves UIDs in order to everybody.
func TestCopyLooksAgain(t *testing.T) {
	s := newStore(t)
	put(t, s, "cur/a:2,", "x")
	f := open(t, s, Inbox)
	beside := open(t, other(t, s), Inbox)
	os.Rename(filepath.Join(s.root, "cur/a:2,"), filepath.Join(s.root, "cur/a:2,S"))
	put(t, s, "new/b", "x")
	_, to, err := f.Copy([]int{0}, f, always)
	if err != nil || len(to) != 1 || to[0] != 2 {
		t.Fatalf("copied to %v, %v", to, err)
	}
	for what, f := range map[string]*Folder{"the copying session": f, "one beside it": beside, "a new one": open(t, other(t, s), Inbox)} {
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		if f.Len() == 3 {
			want(t, what, keys(f), fmt.Sprintf("1:a 2:%s 3:b", f.Key(1)))
		} else {
			t.Errorf("%s has %s", what, keys(f))
		}
	}
}

// TestUIDsOfAnotherServer: messages to which another server gave UIDs come
// ahead of one that is put into the folder now.
func TestUIDsOfAnotherServer(t *testing.T) {
	s := newStore(t)
	put(t, s, "cur/a:2,", "x")
	f := open(t, s, Inbox)
	list, err := os.OpenFile(filepath.Join(s.root, uidlistName), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(list, "2 :b")
	list.Close()
	put(t, s, "cur/b:2,", "x")
	if uid := deliver(t, f, "x", 0); uid != 3 {
		t.Errorf("UID %d", uid)
	}
	want(t, "messages", keys(f), "1:a 2:b 3:"+f.Key(2))
}
