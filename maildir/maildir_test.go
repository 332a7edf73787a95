package maildir

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gomaildir "github.com/emersion/go-maildir"
)

func newStore(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "Maildir"), Always)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// other is another session's view of the same Maildir.
func other(t *testing.T, s *Store) *Store {
	o := &Store{root: s.root, fsync: s.fsync}
	t.Cleanup(o.Close)
	return o
}

func open(t *testing.T, s *Store, name string) *Folder {
	t.Helper()
	f, err := s.OpenFolder(name, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func put(t *testing.T, s *Store, path, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.root, path), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// keys returns UID:key of a folder's messages.
func keys(f *Folder) string {
	var all []string
	for place := range f.Len() {
		if m := f.Message(place); !m.Gone {
			all = append(all, fmt.Sprintf("%d:%s", m.UID, f.Key(place)))
		}
	}
	return strings.Join(all, " ")
}

// all returns the places of a folder's messages.
func all(f *Folder) []int {
	places := make([]int, f.Len())
	for i := range places {
		places[i] = i
	}
	return places
}

// name returns the name of a message's file.
func name(f *Folder, place int) string {
	r := f.record(f.number(place))
	return f.ix.fileName(&r)
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func deliver(t *testing.T, f *Folder, text string, flags Flags) uint32 {
	t.Helper()
	d, err := f.NewDelivery()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(d, text)
	uid, err := d.Commit(flags, time.Unix(1000000000, 0))
	if err != nil {
		t.Fatal(err)
	}
	return uid
}

// TestDelivery: CRLF is stored as LF, with both sizes in the name.
func TestDelivery(t *testing.T) {
	s := newStore(t)
	f := open(t, s, Inbox)
	d, _ := f.NewDelivery()
	for _, piece := range []string{"Subject: x\r", "\n\r", "\nbo\rdy", "\r\n", "\r"} {
		io.WriteString(d, piece)
	}
	if _, err := d.Commit(Seen|Flagged, time.Unix(1000000000, 0)); err != nil {
		t.Fatal(err)
	}
	f.Sync()
	file, _, err := f.OpenMessage(0)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(file)
	want(t, "stored", string(b), "Subject: x\n\nbo\rdy\n\r")
	if !strings.HasSuffix(name(f, 0), fmt.Sprintf(",S=%d,W=%d:2,FS", len(b), len(b)+3)) {
		t.Errorf("name %s", name(f, 0))
	}
	if date, _ := f.Date(0); date.Unix() != 1000000000 {
		t.Errorf("INTERNALDATE %v", date)
	}
	d, _ = f.NewDelivery()
	io.WriteString(d, "half")
	d.Abort()
	d, _ = f.NewDelivery()
	io.WriteString(d, "a\r\r")
	io.WriteString(d, "\nb")
	if d.Commit(0, time.Time{}); d.crlf != 5 || d.size != 5 {
		t.Errorf("CR CR LF: %d bytes, %d with CRLF", d.size, d.crlf)
	}
	s.Close()
	if left, _ := os.ReadDir(filepath.Join(s.root, "tmp")); len(left) > 0 {
		t.Errorf("left in tmp: %v", left)
	}
}

// TestFlags keeps what other programs put into a name.
func TestFlags(t *testing.T) {
	s := newStore(t)
	put(t, s, "cur/a:2,PSabZ,extra", "x")
	put(t, s, "cur/b", "x")
	f := open(t, s, Inbox)
	err := f.SetFlags(all(f), func(old Flags) Flags { return old&^Seen | Replied | Trashed })
	if err != nil {
		t.Fatal(err)
	}
	names := files(t, s, "cur")
	want(t, "names", strings.Join(names, " "), "a:2,PRTZab,extra b:2,RT")
	// go-maildir reads the same flags.
	msg, err := gomaildir.Dir(s.root).MessageByKey("b")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(msg.Flags()); got != fmt.Sprint([]gomaildir.Flag{gomaildir.FlagReplied, gomaildir.FlagTrashed}) {
		t.Errorf("go-maildir reads %s", got)
	}
}

func files(t *testing.T, s *Store, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.root, dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names
}

// TestForeignChanges: other programs rename, remove and deliver as they like.
func TestForeignChanges(t *testing.T) {
	s := newStore(t)
	for _, name := range []string{"a", "b", "c"} {
		put(t, s, "cur/"+name+":2,", name)
	}
	f := open(t, s, Inbox)
	cur := filepath.Join(s.root, "cur")
	os.Rename(filepath.Join(cur, "a:2,"), filepath.Join(cur, "a:2,F"))
	file, _, err := f.OpenMessage(0)
	if err != nil {
		t.Fatalf("after a rename by another: %v", err)
	}
	file.Close()
	if changed := fmt.Sprint(f.Changed()); f.Message(0).Flags != Flagged || changed != "[0]" {
		t.Errorf("flags %v, changed %s", f.Message(0).Flags, changed)
	}
	os.Remove(filepath.Join(cur, "b:2,"))
	if _, _, err := f.OpenMessage(1); err != ErrGone {
		t.Errorf("after its removal by another: %v", err)
	}
	os.Rename(filepath.Join(cur, "c:2,"), filepath.Join(cur, "c:2,S"))
	if err := f.SetFlags(all(f), func(old Flags) Flags { return old | Replied }); err != nil {
		t.Fatal(err)
	}
	want(t, "names", strings.Join(files(t, s, "cur"), " "), "a:2,FR c:2,RS")
	want(t, "numbers", fmt.Sprint(f.Forget()), "[2] [2]")
	want(t, "left", keys(f), "1:a 3:c")
}

// TestNotMessages: what is no regular file is not served, opened or followed.
func TestNotMessages(t *testing.T) {
	s := newStore(t)
	os.Symlink("/etc/passwd", filepath.Join(s.root, "cur/link:2,"))
	os.Mkdir(filepath.Join(s.root, "cur/dir:2,"), 0o700)
	put(t, s, "cur/.hidden", "x")
	put(t, s, "cur/real:2,", "x")
	f := open(t, s, Inbox)
	want(t, "messages", keys(f), "1:real")
	os.Remove(filepath.Join(s.root, "cur/real:2,"))
	os.Symlink("/etc/passwd", filepath.Join(s.root, "cur/real:2,"))
	if file, _, err := f.OpenMessage(0); err == nil {
		file.Close()
		t.Error("a link was followed")
	}
}

func TestCopyAndMove(t *testing.T) {
	s := newStore(t)
	if err := s.Create("Work"); err != nil {
		t.Fatal(err)
	}
	f := open(t, s, Inbox)
	for i := range 3 {
		deliver(t, f, fmt.Sprint(i), Seen)
	}
	f.Sync()
	dest, err := s.OpenTarget("Work")
	if err != nil {
		t.Fatal(err)
	}
	defer dest.Close()
	from, to, err := f.Copy([]int{0, 1}, dest, always)
	if want(t, "copied", fmt.Sprint(from, to, err), "[1 2] [1 2] <nil>"); dest.UIDValidity == 0 {
		t.Error("UIDVALIDITY of the target is not known")
	}
	from, to, err = f.Move([]int{1, 2}, dest, always)
	want(t, "moved", fmt.Sprint(from, to, err), "[2 3] [3 4] <nil>")
	from, to, err = f.Copy([]int{0}, f, always) // into itself
	want(t, "copied in place", fmt.Sprint(from, to, err), "[1] [4] <nil>")
	w := open(t, s, "Work")
	if w.Len() != 4 || w.Message(3).Flags != Seen {
		t.Errorf("Work has %s", keys(w))
	}
	if date, _ := w.Date(0); date.Unix() != 1000000000 {
		t.Errorf("a copy's INTERNALDATE is %v", date)
	}
}

func TestFolders(t *testing.T) {
	s := newStore(t)
	for _, name := range []string{"A", "A.B", "Z"} {
		if err := s.Create(name); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]error{"A": ErrExists, "": ErrName, "a/b": ErrName, "a..b": ErrName, ".a": ErrName, "a.": ErrName,
		"inbox.x": ErrName, strings.Repeat("x", 300): ErrName, "a\x00b": ErrName} {
		if err := s.Create(name); !errors.Is(err, want) {
			t.Errorf("create %q: %v, want %v", name, err, want)
		}
	}
	list := func() string {
		names, err := s.Folders()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(names, " ")
	}
	want(t, "folders", list(), "INBOX A A.B Z")
	validity := open(t, s, "A").UIDValidity
	if err := s.Rename("A", "C"); err != nil {
		t.Fatal(err)
	}
	if err := s.Rename("C", "Z"); err != ErrExists {
		t.Errorf("rename onto another: %v", err)
	}
	want(t, "renamed", list(), "INBOX C C.B Z")
	if err := s.Delete("C"); err != nil {
		t.Fatal(err)
	}
	want(t, "deleted", list(), "INBOX C.B Z")
	s.Create("A")
	if v := open(t, s, "A").UIDValidity; v <= validity {
		t.Errorf("made anew, UIDVALIDITY is %d after %d", v, validity)
	}
	if _, err := s.OpenFolder("nope", false); err != ErrNoFolder {
		t.Errorf("open: %v", err)
	}
}

// TestDoubles: files with one key are messages each, and each keeps its UID; one file
// with two names is one message.
func TestDoubles(t *testing.T) {
	s := newStore(t)
	put(t, s, "cur/a:2,", "one")
	put(t, s, "cur/a:2,S", "two")
	put(t, s, "new/b", "three")
	put(t, s, "cur/b:2,F", "four")
	put(t, s, "cur/c:1,x", "five") // an info of another version
	put(t, s, "cur/d:2,SSF", "six")
	put(t, s, "cur/e:2,", "seven")
	if err := os.Link(filepath.Join(s.root, "cur/e:2,"), filepath.Join(s.root, "cur/e:2,S")); err != nil {
		t.Fatal(err)
	}
	texts := func() (all string) {
		f, err := s.OpenFolder(Inbox, false)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for i := range f.Len() {
			file, _, err := f.OpenMessage(i)
			if err != nil {
				t.Errorf("message %d: %v", i, err)
				continue
			}
			b, _ := io.ReadAll(file)
			file.Close()
			all += fmt.Sprintf("%d:%s ", f.Message(i).UID, b)
		}
		return all
	}
	first := texts()
	for _, text := range []string{"one", "two", "three", "four", "five", "six", "seven"} {
		if strings.Count(first, ":"+text+" ") != 1 {
			t.Errorf("%s is not there once: %s", text, first)
		}
	}
	put(t, s, "cur/x:2,", "x")
	os.Remove(filepath.Join(s.root, "cur/x:2,"))
	want(t, "again", texts(), first)
	// One that comes later is a message of its own, and stays when the other goes.
	put(t, s, "cur/c:2,S", "eight")
	if now := texts(); strings.Count(now, " ") != 8 {
		t.Errorf("after another: %s", now)
	}
	f := open(t, s, Inbox)
	for i := range f.Len() {
		if string(f.Key(i)) == "c" {
			if err := f.Expunge([]int{i}, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.Close()
	if now := texts(); strings.Count(now, " ") != 7 || strings.Contains(now, ":five ") == strings.Contains(now, ":eight ") {
		t.Errorf("after an expunge: %s", now)
	}
}

// TestTwoSessions deliver and look at once: no UID is given twice.
func TestTwoSessions(t *testing.T) {
	s := newStore(t)
	done := make(chan error, 4)
	for n := range 4 {
		mine := other(t, s)
		go func() {
			f, err := mine.OpenFolder(Inbox, false)
			if err != nil {
				done <- err
				return
			}
			defer f.Close()
			for i := range 25 {
				if n%2 == 0 {
					err = os.WriteFile(filepath.Join(s.root, "new", fmt.Sprintf("%d.M%dP%d.h", 1700000000+i, n, i)), nil, 0o600)
				} else {
					var d *Delivery
					if d, err = f.NewDelivery(); err == nil {
						_, err = d.Commit(0, time.Time{})
					}
				}
				if err == nil {
					err = f.Sync()
				}
				if err != nil {
					break
				}
			}
			done <- err
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	f := open(t, s, Inbox)
	if n := f.Len(); n != 100 {
		t.Errorf("%d messages, want 100", n)
	}
	b, _ := os.ReadFile(filepath.Join(s.root, uidlistName))
	seen := map[string]bool{}
	_, records, _ := strings.Cut(string(b), "\n")
	for line := range strings.Lines(records) {
		uid, _, _ := strings.Cut(line, " ")
		if seen[uid] {
			t.Errorf("UID %s was given twice", uid)
		}
		seen[uid] = true
	}
}

// always lets a transfer go on.
func always() error { return nil }
