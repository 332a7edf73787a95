package maildir

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// courierMaildir is one that Courier has served: facts of its formats are in
// courier.go.
func courierMaildir(t *testing.T) *Store {
	s := newStore(t)
	for name, text := range map[string]string{
		"cur/1700000001.M1P1.host:2,S":  "a\n",
		"cur/1700000002.M2P1.host:2,":   "b\n",
		"cur/1700000003.M3P1.host:2,FS": "c\n",
		"new/1700000009.M9P1.host":      "new\n",
		courierUIDs:                     "1 795391814 8\n3 1700000001.M1P1.host\n4 1700000002.M2P1.host\n5 gone\n7 1700000003.M3P1.host\n",
		courierPOP3:                     "/3 9 1700000123\n1700000003.M3P1.host:2,FS 132 1:1700000123:0\n1700000001.M1P1.host:2,S 132 8:1700000123:1\n",
		courierSubscribed:               "INBOX\nINBOX.Work\nINBOX.Entwürfe\n",
	} {
		put(t, s, name, text)
	}
	os.Mkdir(filepath.Join(s.root, courierKeywords), 0o700)
	for name, text := range map[string]string{
		":list":                    "custom1\nNonJunk\n$Forwarded\n\n1700000001.M1P1.host:2 1 0\n1700000002.M2P1.host:1\n",
		".5.1700000002.M2P1.host":  "old\n",
		".12.1700000002.M2P1.host": "custom1\n",
		"1700000003.M3P1.host":     "NonJunk\nlate\n",
		".3.1700000003.M3P1.host":  "earlier\n",
		".x.1700000001.M1P1.host":  "nonsense\n",
	} {
		put(t, s, courierKeywords+"/"+name, text)
	}
	s.EncodeName = func(name string) string { return strings.ReplaceAll(name, "ü", "&APw-") }
	return s
}

// TestCourierIsTakenOver: UIDs, POP3's ids and order, keywords, subscriptions.
func TestCourierIsTakenOver(t *testing.T) {
	s := courierMaildir(t)
	for range 2 { // once taken over, and as it is from then on
		f := open(t, s, Inbox)
		want(t, "UIDs", keys(f), "3:1700000001.M1P1.host 4:1700000002.M2P1.host 7:1700000003.M3P1.host 8:1700000009.M9P1.host")
		if f.UIDValidity != 795391814 || f.UIDNext() != 9 {
			t.Errorf("UIDVALIDITY %d, UIDNEXT %d", f.UIDValidity, f.UIDNext())
		}
		ids, order, err := f.UIDLs()
		want(t, "UIDLs", fmt.Sprint(ids, order, err), "map[3:UID8-1700000123 7:UID1-1700000123] map[3:2 7:1] <nil>")
		var words []string
		for i := range f.Len() {
			words = append(words, strings.Join(f.KeywordsOf(f.Message(i).Flags), ","))
		}
		want(t, "keywords", fmt.Sprintf("%q", words), `["$Forwarded,NonJunk,custom1" "custom1" "NonJunk,late" ""]`)
		names, _ := s.Subscriptions()
		want(t, "subscriptions", strings.Join(names, " "), "INBOX Work Entw&APw-rfe")
		f.Close()
	}
	s.Subscribe("Work", false)
	names, _ := s.Subscriptions()
	want(t, "subscriptions", strings.Join(names, " "), "INBOX Entw&APw-rfe")
	for _, name := range []string{courierUIDs, courierPOP3, courierSubscribed, courierKeywords + "/:list"} {
		if _, err := os.Stat(filepath.Join(s.root, name)); err != nil {
			t.Errorf("Courier's %s is gone", name)
		}
	}
}

// TestCourierByPOP3Alone: who never had IMAP there keeps his ids and their order all
// the same, also those of Courier's first list, which had no numbers.
func TestCourierByPOP3Alone(t *testing.T) {
	for list, wanted := range map[string]string{
		"/3 9 1700000123\n1700000003.M3P1.host:2,FS 132 1:1700000123:0\n1700000001.M1P1.host:2,S 132 8:1700000123:1\n": "map[1:UID1-1700000123 2:UID8-1700000123] map[1:1 2:2] <nil>",
		"/1 9\n1700000003.M3P1.host:2,FS 132 1\n1700000001.M1P1.host 132 8\n":                                          "map[1:UID1 2:UID8] map[1:1 2:2] <nil>",
		"1700000003.M3P1.host:2,FS 132\n1700000001.M1P1.host 132\n":                                                    "map[1:1700000003.M3P1.host 2:1700000001.M1P1.host] map[1:1 2:2] <nil>",
	} {
		s := courierMaildir(t)
		os.Remove(filepath.Join(s.root, courierUIDs))
		put(t, s, courierPOP3, list)
		for range 2 {
			f := open(t, s, Inbox)
			want(t, "UIDs", keys(f), "1:1700000003.M3P1.host 2:1700000001.M1P1.host 3:1700000002.M2P1.host 4:1700000009.M9P1.host")
			ids, order, err := f.UIDLs()
			want(t, "UIDLs", fmt.Sprint(ids, order, err), wanted)
			if f.UIDValidity == 0 {
				t.Error("no UIDVALIDITY")
			}
			f.Close()
		}
	}
	// A file's name may have spaces.
	u := &uidlist{uidnext: 1}
	if !u.addUIDLs([]byte("/3 9 17\n1700000005.M5P1.my host:2,S 132 4:1700000123:0\n")) || string(u.records[0].key) != "1700000005.M5P1.my host" || u.records[0].uidl() != "UID4-1700000123" {
		t.Errorf("a name with a space: %+v", u.records)
	}
	// One that IMAP's list lacks gets the next UID, and keeps its id.
	s := courierMaildir(t)
	put(t, s, courierUIDs, "1 795391814 8\n3 1700000001.M1P1.host\n")
	ids, order, err := open(t, s, Inbox).UIDLs()
	want(t, "UIDLs", fmt.Sprint(ids, order, err), "map[3:UID8-1700000123 8:UID1-1700000123] map[3:2 8:1] <nil>")
	want(t, "name", courierName([]byte("1.a\xe4 b+c")), "1.a+E4+20b+2Bc")
}

// TestCourierBrokenOff: who is killed between the UIDs and the keywords takes them over
// the next time.
func TestCourierBrokenOff(t *testing.T) {
	s := courierMaildir(t)
	os.Rename(filepath.Join(s.root, courierKeywords), filepath.Join(s.root, "aside"))
	open(t, s, Inbox).Close()
	put(t, s, importMark, "")
	os.Rename(filepath.Join(s.root, "aside"), filepath.Join(s.root, courierKeywords))
	f := open(t, s, Inbox)
	if words := f.KeywordsOf(f.Message(1).Flags); strings.Join(words, ",") != "custom1" {
		t.Errorf("keywords %q", words)
	}
	if f.importing() {
		t.Error("the mark is left")
	}
}

// TestCourierIsNotTakenOver beside a uidlist, or from files that make no sense.
func TestCourierIsNotTakenOver(t *testing.T) {
	s := courierMaildir(t)
	put(t, s, uidlistName, "3 V1 N1 Gx\n")
	if f := open(t, s, Inbox); f.UIDValidity != 1 || f.Message(0).UID != 1 {
		t.Errorf("UIDVALIDITY %d", f.UIDValidity)
	}
	for _, text := range []string{"", "x", "1 0 5\n", "1 5\n", "3 V1 N2\n1 :a\n"} {
		s := courierMaildir(t)
		put(t, s, courierUIDs, text)
		f := open(t, s, Inbox)
		if f.Len() != 4 || f.Message(3).UID != 4 {
			t.Errorf("%q: %s", text, keys(f))
		}
	}
}

func FuzzCourier(f *testing.F) {
	f.Add([]byte("1 795391814 8\n3 a\n4 b\n"), []byte("/3 9 17\na:2,FS 132 1:17:0\n"), []byte("x\ny\n\na:1 0\n"))
	f.Add([]byte("1 1 1\n2 a\n2 b\n1 a\n"), []byte("/1 9\na 1 5\n"), []byte("\n\n:0\n"))
	f.Fuzz(func(t *testing.T, uids, list, words []byte) {
		parseCourierKeywords(words, map[string][]string{})
		u, ok := parseCourierUIDs(uids)
		if !ok {
			return
		}
		u.addUIDLs(list)
		comesBack(t, u)
	})
}
