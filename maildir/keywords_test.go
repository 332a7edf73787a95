package maildir

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestKeywords are made once, found whatever their capitals, and at most 58.
func TestKeywords(t *testing.T) {
	s := newStore(t)
	put(t, s, "cur/a:2,", "x")
	f := open(t, s, Inbox)
	bits, err := f.AddKeywords([]string{"$Forwarded", "Work", "work"})
	if err != nil || bits != keyword(0)|keyword(1) {
		t.Fatalf("%b, %v", bits, err)
	}
	if err := f.SetFlags(all(f), func(old Flags) Flags { return old | bits | Seen }); err != nil {
		t.Fatal(err)
	}
	want(t, "names", strings.Join(files(t, s, "cur"), " "), "a:2,Sab")
	want(t, "keywords", fmt.Sprint(f.KeywordsOf(f.Message(0).Flags)), "[$Forwarded Work]")

	// Another session sees them, and a letter without a name.
	os.Rename(filepath.Join(s.root, "cur/a:2,Sab"), filepath.Join(s.root, "cur/a:2,Sabe"))
	other := open(t, s, Inbox)
	want(t, "keywords", fmt.Sprint(other.KeywordsOf(other.Message(0).Flags)), "[$Forwarded Work unknown-4]")

	var many []string
	for i := range 70 {
		many = append(many, fmt.Sprintf("k%d", i))
	}
	bits, err = f.AddKeywords(many)
	if err != ErrKeywords || countBits(bits) != MaxKeywords-2 || len(f.Keywords()) != MaxKeywords {
		t.Errorf("%d keywords, %d flags, %v", len(f.Keywords()), countBits(bits), err)
	}
	if _, err := f.AddKeywords([]string{"one-more"}); err != ErrKeywords {
		t.Errorf("a 59th: %v", err)
	}
	if left := slices.DeleteFunc(files(t, s, "."), func(n string) bool { return !strings.HasSuffix(n, ".lock") }); len(left) > 0 {
		t.Errorf("locks left: %v", left)
	}
}

// TestKeywordsFileGetsYounger: Dovecot compares seconds.
func TestKeywordsFileGetsYounger(t *testing.T) {
	s := newStore(t)
	f := open(t, s, Inbox)
	last := time.Time{}
	for _, name := range []string{"a", "b", "c"} {
		if _, err := f.AddKeywords([]string{name}); err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(filepath.Join(s.root, keywordsName))
		if err != nil {
			t.Fatal(err)
		}
		if st.ModTime().Unix() <= last.Unix() {
			t.Errorf("with %s the file is of %v, before of %v", name, st.ModTime(), last)
		}
		last = st.ModTime()
	}
}

// TestHostileKeywords: a link, a FIFO, nonsense.
func TestHostileKeywords(t *testing.T) {
	if got := parseKeywords([]byte("x\n0\n-1 a\n26 b\n1 with space\n2 ok\n3 (\n99999999999999999999 c\n4 \xff\n1 late\n5 last")); fmt.Sprint(got) != "[unknown-0 late ok unknown-3 unknown-4 last]" {
		t.Errorf("got %v", got)
	}
	s := newStore(t)
	f := open(t, s, Inbox)
	os.Symlink("/etc/passwd", filepath.Join(s.root, keywordsName))
	if err := f.readKeywords(); err == nil {
		t.Error("followed a link")
	}
}

func FuzzKeywords(f *testing.F) {
	f.Add([]byte("0 $Forwarded\n1 NonJunk\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		names := parseKeywords(text)
		if len(names) > letters {
			t.Fatalf("%d keywords", len(names))
		}
		var again strings.Builder
		for n, name := range names {
			if !isAtom(name) {
				t.Errorf("%q is no atom", name)
			}
			fmt.Fprintf(&again, "%d %s\n", n, name)
		}
		if !slices.Equal(parseKeywords([]byte(again.String())), names) {
			t.Errorf("%q reads differently when written again", text)
		}
	})
}

// TestMoreKeywords: those without a letter last, are heard of by other
// sessions, and go where the message goes, with the index or without.
func TestMoreKeywords(t *testing.T) {
	s := newStore(t)
	s.Create("Work")
	some(t, s, 3)
	f, watcher := open(t, s, Inbox), open(t, s, Inbox)
	watcher.Sync()
	var names []string
	for i := range 40 {
		names = append(names, fmt.Sprintf("k%d", i))
	}
	if _, err := f.AddKeywords(names); err != nil {
		t.Fatal(err)
	}
	last, _ := f.AddKeywords([]string{"k39", "k0", "k30"})
	if err := f.SetFlags([]int{1}, func(old Flags) Flags { return old | last }); err != nil {
		t.Fatal(err)
	}
	bits, _ := f.AddKeywords([]string{"k30"})
	f.SetFlags([]int{0}, func(old Flags) Flags { return old | bits }) // no name changes
	f.SetFlags([]int{2}, func(old Flags) Flags { return old | bits | Seen })
	f.SetFlags([]int{2}, func(old Flags) Flags { return old &^ bits })
	watcher.Sync()
	want(t, "others hear", fmt.Sprint(watcher.Changed()), "[0 1 2]")
	words := func(f *Folder) string {
		var all []string
		for i := range f.Len() {
			all = append(all, strings.Join(f.KeywordsOf(f.Message(i).Flags), ","))
		}
		return strings.Join(all, " ")
	}
	const now = "k30 k0,k30,k39 "
	want(t, "the other", words(watcher), now)
	os.Remove(filepath.Join(s.root, indexName))
	want(t, "without an index", words(open(t, s, Inbox)), now)
	os.Rename(s.root+"/cur/1700000001.m1:2,a", s.root+"/cur/1700000001.m1:2,Sa")
	f.Sync()
	want(t, "renamed by another", words(f), now)

	work := open(t, s, "Work")
	if _, err := work.AddKeywords(names[20:]); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Copy([]int{1}, work, always); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Move([]int{0}, work, always); err != nil {
		t.Fatal(err)
	}
	if d, err := work.NewDelivery(); err == nil {
		bits, _ := work.AddKeywords([]string{"z27", "k21"})
		if _, err := d.Commit(bits, time.Unix(1000000000, 0)); err != nil {
			t.Fatal(err)
		}
	}
	work.Sync()
	want(t, "copied, moved, delivered", words(work), "k30,k39,k0 k30 k21,z27")
	os.Remove(filepath.Join(s.root, ".Work", indexName))
	want(t, "without an index", words(open(t, s, "Work")), "k30,k39,k0 k30 k21,z27")

	// A torn line costs nothing but itself; the file is compacted in time.
	path := filepath.Join(s.root, moreName)
	b, _ := os.ReadFile(path)
	os.WriteFile(path, append(b, "has 30 17000"...), 0o600)
	f = open(t, s, Inbox)
	for i := range 1200 {
		if err := f.SetFlags([]int{1}, func(old Flags) Flags { return old ^ bits | Flagged*Flags(i%2) }); err != nil {
			t.Fatal(err)
		}
	}
	put(t, s, "new/1900000000.x", "x")
	s.fsync = Never
	os.Remove(filepath.Join(s.root, indexName))
	f = open(t, s, Inbox)
	want(t, "after many changes", words(f), "k0,k30,k39  ")
	if b, _ := os.ReadFile(path); strings.Count(string(b), "\n") > 1000 {
		t.Errorf("%d lines are left", strings.Count(string(b), "\n"))
	}
}

func FuzzMoreKeywords(f *testing.F) {
	f.Add([]byte("name 26 x\nhas 26,30 a b\nhas - a b\nhas 57 c\ntorn"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m := parseMore(text)
		if len(m.names) > MaxKeywords-letters {
			t.Fatalf("%d names", len(m.names))
		}
		for key, flags := range m.of {
			if flags == 0 || flags&^moreFlags != 0 || parseMore(moreLine(key, flags)).of[key] != flags {
				t.Errorf("%q has %b", key, flags)
			}
		}
	})
}
