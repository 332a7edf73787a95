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

// TestKeywords are made once, found whatever their capitals, and at most 26.
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
	for i := range 30 {
		many = append(many, fmt.Sprintf("k%d", i))
	}
	bits, err = f.AddKeywords(many)
	if err != ErrKeywords || countBits(bits) != MaxKeywords-2 || len(f.Keywords()) != MaxKeywords {
		t.Errorf("%d keywords, %d flags, %v", len(f.Keywords()), countBits(bits), err)
	}
	if _, err := f.AddKeywords([]string{"one-more"}); err != ErrKeywords {
		t.Errorf("a 27th: %v", err)
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
		if len(names) > MaxKeywords {
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
