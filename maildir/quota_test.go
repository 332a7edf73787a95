package maildir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestQuota is kept right by what comes and goes, and refuses what is too much.
func TestQuota(t *testing.T) {
	s := newStore(t)
	s.Create("Work")
	put(t, s, "cur/1700000000.M1P1.h,S=1000:2,", "the name counts")
	put(t, s, ".Work/new/1700000001.M2P1.h", strings.Repeat("x", 500))
	size := func() string {
		b, _ := os.ReadFile(filepath.Join(s.root, quotaName))
		return string(b)
	}
	f := open(t, s, Inbox)
	deliver(t, f, "x", 0)
	want(t, "no quota", size(), "")

	put(t, s, quotaName, "3000S,6C\n")
	deliver(t, f, strings.Repeat("y", 100), 0)
	want(t, "counted first", size(), "3000S,6C\n1501 3\n100 1\n")
	work, _ := s.OpenTarget("Work")
	defer work.Close()
	f.Sync()
	if _, _, err := f.Copy([]int{2}, work, always); err != nil {
		t.Fatal(err)
	}
	want(t, "copied", size(), "3000S,6C\n1501 3\n100 1\n100 1\n")
	if _, _, err := f.Copy([]int{0}, work, always); err != nil {
		t.Fatal(err)
	}
	d, _ := f.NewDelivery()
	d.Write([]byte(strings.Repeat("z", 400)))
	if _, err := d.Commit(0, now()); !errors.Is(err, unix.EDQUOT) {
		t.Errorf("beyond the quota: %v", err)
	}
	if _, _, err := f.Copy([]int{0}, work, always); !errors.Is(err, unix.EDQUOT) {
		t.Errorf("a copy beyond the quota: %v", err)
	}
	want(t, "counted anew when full", size(), "3000S,6C\n2701 6\n")
	if _, _, err := f.Move([]int{2}, work, always); err != nil {
		t.Errorf("a move in a full Maildir: %v", err)
	}
	f.Expunge([]int{0}, nil)
	want(t, "expunged", size(), "3000S,6C\n2701 6\n-1000 -1\n")
	s.Delete("Work")
	want(t, "a folder is deleted", size(), "3000S,6C\n1 1\n")
	if left := files(t, s, "tmp"); len(left) > 1 { // the session's lock is there
		t.Errorf("left in tmp: %v", left)
	}
}

// TestQuotaUnsteady: what is counted while messages come and go replaces nothing, and
// what CommitNew brings counts, too.
func TestQuotaUnsteady(t *testing.T) {
	s := newStore(t)
	for i := range 5000 {
		put(t, s, fmt.Sprintf("new/1700000000.M%dP1.h", i), "12345")
	}
	const before = "30000S\n5 1\nnonsense\n"
	put(t, s, quotaName, before)
	stop, stopped, begun := make(chan bool), make(chan bool), make(chan bool)
	go func() {
		defer close(stopped)
		path := filepath.Join(s.root, "new", "1700000001.M1P1.h")
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				os.WriteFile(path, nil, 0o600)
				os.Remove(path)
			}
			if i == 0 {
				close(begun)
			}
		}
	}()
	<-begun
	if q, ok, err := s.Quota(); !ok || err != nil || q.Messages < 5000 {
		t.Errorf("counted %v, %v, %v", q, ok, err)
	}
	size := func() string {
		b, _ := os.ReadFile(filepath.Join(s.root, quotaName))
		return string(b)
	}
	want(t, "while they come and go", size(), before)
	close(stop)
	<-stopped
	f := open(t, s, Inbox)
	commit := func(text string) error {
		d, err := f.NewDelivery()
		if err != nil {
			t.Fatal(err)
		}
		d.Write([]byte(text))
		if err := d.Room(); err != nil {
			return err
		}
		return d.CommitNew()
	}
	if err := commit("1234567"); err != nil {
		t.Error(err)
	}
	want(t, "delivered", size(), "30000S\n25000 5000\n7 1\n")
	if err := commit(strings.Repeat("x", 6000)); !errors.Is(err, unix.EDQUOT) {
		t.Errorf("too much: %v", err)
	}
}

// TestQuotaOfOthers: a file whose last line has no end keeps its limit, and a file that
// others may read stays so.
func TestQuotaOfOthers(t *testing.T) {
	s := newStore(t)
	put(t, s, "cur/1700000000.M1P1.h,S=20:2,", "nineteen bytes or so")
	put(t, s, "cur/1700000000.M2P1.h,S=99:2,", "its name counts")
	put(t, s, quotaName, "1000S")
	os.Chmod(filepath.Join(s.root, quotaName), 0o644)
	size := func() string {
		b, _ := os.ReadFile(filepath.Join(s.root, quotaName))
		return string(b)
	}
	f := open(t, s, Inbox)
	f.OpenMessage(1) // which tells its real size
	if err := f.Expunge([]int{0}, nil); err != nil {
		t.Fatal(err)
	}
	want(t, "not appended to", size(), "1000S")
	if q, ok, err := s.Quota(); !ok || err != nil || q.MaxBytes != 1000 || q.Bytes != 99 {
		t.Errorf("%+v, %v, %v", q, ok, err)
	}
	want(t, "counted", size(), "1000S\n99 1\n")
	if info, err := os.Stat(filepath.Join(s.root, quotaName)); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	f.Expunge([]int{1}, nil)
	want(t, "taken off as it was counted", size(), "1000S\n99 1\n-99 -1\n")
}

// TestQuotaFiles that others wrote.
func TestQuotaFiles(t *testing.T) {
	for text, c := range map[string]struct {
		ok, stale    bool
		bytes, count int64
	}{
		"1073741824S\n250 2\n":                    {true, false, 250, 2},
		"10C\n          250           1\n-50 0\n": {true, false, 200, 1},
		"10S,10C":                               {true, true, 0, 0},
		"10S\n-5 1\n":                           {true, true, -5, 1},
		"10S\n5 1\nnonsense\n":                  {true, true, 5, 1},
		"10S\n5 1\x00\n":                        {true, true, 0, 0},
		"10S\n" + strings.Repeat("1 1\n", 1500): {true, true, 1500, 1500},
		"10S\n99999999999999999999 1\n":         {true, true, 0, 0},
		"":                                      {false, true, 0, 0},
		"x\n1 1\n":                              {false, false, 1, 1},
		"-5S\n1 1\n":                            {false, false, 1, 1},
	} {
		q, ok := parseQuota([]byte(text))
		if ok != c.ok || q.stale != c.stale || q.bytes != c.bytes || q.count != c.count {
			t.Errorf("%.40q: %+v, %v", text, q, ok)
		}
	}
}

func FuzzQuota(f *testing.F) {
	f.Add([]byte("10S,5C\n1 1\n-1 -1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		q, ok := parseQuota(text)
		if !q.stale && (q.bytes < 0 || q.count < 0 || len(text) >= maxQuotaFile) {
			t.Errorf("%q is taken for %+v", text, q)
		}
		if ok && q.maxBytes <= 0 && q.maxCount <= 0 {
			t.Errorf("%q sets no limit", text)
		}
	})
}
