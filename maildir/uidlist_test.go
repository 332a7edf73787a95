package maildir

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestUIDsInOrderOfDelivery, whatever readdir says, and for good.
func TestUIDsInOrderOfDelivery(t *testing.T) {
	s := newStore(t)
	put(t, s, "new/1700000002.M5P1.h", "c")
	put(t, s, "cur/1700000001.M20P1.h:2,S", "b")
	put(t, s, "cur/1700000001.M3P1.h", "a")
	f := open(t, s, Inbox)
	const first = "1:1700000001.M3P1.h 2:1700000001.M20P1.h 3:1700000002.M5P1.h"
	want(t, "first", keys(f), first)
	put(t, s, "new/1600000000.old.h", "d")
	want(t, "reopened", keys(open(t, s, Inbox)), first+" 4:1600000000.old.h")
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	want(t, "synced", keys(f), first+" 4:1600000000.old.h")
	if f.UIDNext() != 5 {
		t.Errorf("UIDNEXT %d, want 5", f.UIDNext())
	}
}

// TestDovecotUIDList reads what Dovecot wrote and keeps what we do not know.
func TestDovecotUIDList(t *testing.T) {
	s := newStore(t)
	put(t, s, "cur/a:2,", "x\n")
	put(t, s, "cur/b,S=2:2,S", "y\n")
	put(t, s, "cur/c:2,", "z\n")
	put(t, s, uidlistName, "3 V1800000001 N7 G0123456789abcdef0123456789abcdef X9\n3 W125 P0123uidl :a\n5 :b,S=2:2,F\n6 :gone\ntorn")
	f := open(t, s, Inbox)
	want(t, "messages", keys(f), "3:a 5:b,S=2 7:c")
	if f.UIDValidity != 1800000001 || f.Message(0).CRLF != 125 || f.Message(1).Size != 2 {
		t.Errorf("%+v", f)
	}
	b, _ := os.ReadFile(filepath.Join(s.root, uidlistName))
	want(t, "file", string(b), "3 V1800000001 N8 G0123456789abcdef0123456789abcdef X9\n3 W125 P0123uidl :a\n5 :b,S=2\n6 :gone\n7 :c\n")
}

func TestUIDListVersion1(t *testing.T) {
	s := newStore(t)
	put(t, s, "cur/a:2,", "x")
	put(t, s, uidlistName, "1 1234567 9\n4 a\n")
	f := open(t, s, Inbox)
	if want(t, "messages", keys(f), "4:a"); f.UIDValidity != 1234567 || f.UIDNext() != 9 {
		t.Errorf("UIDVALIDITY %d, UIDNEXT %d", f.UIDValidity, f.UIDNext())
	}
}

// TestBrokenUIDList: what cannot be read is begun anew, under a new UIDVALIDITY.
func TestBrokenUIDList(t *testing.T) {
	s := newStore(t)
	put(t, s, "cur/a:2,", "x")
	before := open(t, s, Inbox).UIDValidity
	for _, text := range []string{"", "garbage\n", "3 N5\n", "4 V1 N1\n"} {
		put(t, s, uidlistName, text)
		f := open(t, s, Inbox)
		if f.UIDValidity <= before {
			t.Errorf("%q: UIDVALIDITY %d after %d", text, f.UIDValidity, before)
		}
		before = f.UIDValidity
		want(t, text, keys(f), "1:a")
	}
}

// TestUIDNextNeverFalls: a UID of a message that is gone is not given again.
func TestUIDNextNeverFalls(t *testing.T) {
	s := newStore(t)
	f := open(t, s, Inbox)
	for range 300 {
		deliver(t, f, "x", 0)
	}
	f.Sync()
	if err := f.Expunge(all(f), nil); err != nil {
		t.Fatal(err)
	}
	f = open(t, s, Inbox)
	deliver(t, f, "y", 0)
	f.Sync()
	if got := f.Message(f.Len() - 1).UID; got != 301 {
		t.Errorf("UID %d, want 301", got)
	}
	put(t, s, "new/1.x.h", "z")
	f = open(t, s, Inbox)
	if b, _ := os.ReadFile(filepath.Join(s.root, uidlistName)); strings.Count(string(b), "\n") > 10 {
		t.Errorf("the uidlist still has %d lines", strings.Count(string(b), "\n"))
	}
	if f.UIDNext() != 303 {
		t.Errorf("UIDNEXT %d, want 303", f.UIDNext())
	}
}

func FuzzUIDList(f *testing.F) {
	f.Add("3 V1 N5 Gabc\n1 W2 :a\n3 :b,S=1:2,S\n")
	f.Add("1 2 3\n1 a\n")
	f.Fuzz(func(t *testing.T, text string) {
		if u, err := parseUIDList([]byte(text)); err == nil {
			comesBack(t, u)
		}
	})
}

// comesBack says whether a uidlist is in order, and the same when it has been
// written and is read again.
func comesBack(t *testing.T, u *uidlist) {
	t.Helper()
	last := uint32(0)
	b := fmt.Appendf(nil, "3 V%d N%d\n", u.uidvalidity, u.uidnext)
	for _, r := range u.records {
		if r.uid <= last || r.uid >= u.uidnext {
			t.Fatalf("UID %d after %d, next %d", r.uid, last, u.uidnext)
		}
		last = r.uid
		b = r.append(b)
	}
	again, err := parseUIDList(b)
	same := func(a, b uidRecord) bool {
		return a.uid == b.uid && bytes.Equal(a.fields, b.fields) && bytes.Equal(a.key, b.key)
	}
	if err != nil || !slices.EqualFunc(again.records, u.records, same) {
		t.Errorf("%q came back as %+v: %v", u.records, again, err)
	}
}

// TestLinesThatAreNone: Dovecot reads no further than to one, and would give the UIDs
// behind it again: the file is written anew. Line ends may be CR LF.
func TestLinesThatAreNone(t *testing.T) {
	for _, bad := range []string{"", "xyzzy", "2 :again", "1 :back", "3", "0 :nought"} {
		s := newStore(t)
		for _, key := range []string{"a", "b", "c"} {
			put(t, s, "cur/"+key+":2,", "x")
		}
		put(t, s, uidlistName, "3 V17 N9 Gx\r\n1 :a\r\n2 :b\n"+bad+"\n5 :c\r\n")
		put(t, s, "new/d", "x")
		f := open(t, s, Inbox)
		want(t, "UIDs", keys(f), "1:a 2:b 5:c 9:d")
		text, _ := os.ReadFile(filepath.Join(s.root, uidlistName))
		want(t, "behind "+bad, string(text), "3 V17 N10 Gx\n1 :a\n2 :b\n5 :c\n9 :d\n")
	}
}

// TestNameAsUIDL: Dovecot's P of which nothing follows is the file's name; O counts from 0.
func TestNameAsUIDL(t *testing.T) {
	s := newStore(t)
	for _, key := range []string{"K0", "K1", "K2"} {
		put(t, s, "cur/"+key+":2,", "x")
	}
	put(t, s, uidlistName, "3 V100 N9 Gx\n5 P :K0\n6 P O0 :K1\n7 Px :K2\n")
	ids, order, err := open(t, s, Inbox).UIDLs()
	want(t, "UIDLs", fmt.Sprint(ids, order, err), "map[5:K0 6:K1 7:x] map[6:0] <nil>")
}

// TestColonInField: only the file's name begins with one.
func TestColonInField(t *testing.T) {
	s := newStore(t)
	put(t, s, "cur/a:2,", "x")
	put(t, s, "cur/b:2,", "x")
	put(t, s, uidlistName, "3 V17 N9 Gx\n4 P12:34 O2 :a:2,\n5 :b\n")
	f := open(t, s, Inbox)
	want(t, "UIDs", keys(f), "4:a 5:b")
	ids, order, err := f.UIDLs()
	want(t, "UIDLs", fmt.Sprint(ids, order, err), "map[4:12:34] map[4:2] <nil>")
}
