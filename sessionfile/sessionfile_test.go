package sessionfile

import (
	"fmt"
	"hash/crc32"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"smail/internal/boottime"
)

var (
	here  = netip.MustParseAddr("192.0.2.7")
	there = netip.MustParseAddr("192.0.2.8")
)

const window = 10 * time.Minute

// dead returns the record of a login whose process has ended.
func dead(t testing.TB, uid int, user string, addr netip.Addr, age time.Duration) Record {
	t.Helper()
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	r := New(uid, user, addr, "imaps")
	r.Live[0].PID = cmd.Process.Pid
	r.First -= age
	r.Last -= age
	return r
}

func add(t testing.TB, path string, recs ...Record) {
	t.Helper()
	for _, r := range recs {
		if err := Add(path, r, window, 100); err != nil {
			t.Fatal(err)
		}
	}
}

func list(t testing.TB, path string) []Record {
	t.Helper()
	recs, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return recs
}

// names says who is in the file, and how many sessions each has.
func names(t *testing.T, path string) string {
	var b strings.Builder
	for _, r := range list(t, path) {
		fmt.Fprintf(&b, "%s:%d ", r.User, len(r.Sessions()))
	}
	return strings.TrimSpace(b.String())
}

func TestAddAndRead(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077)) // as smaild's
	path := filepath.Join(t.TempDir(), "run/sessions")
	add(t, path, New(1000, "alice", netip.MustParseAddr("::ffff:192.0.2.7"), "imaps"))
	recs := list(t, path)
	if len(recs) != 1 || recs[0].User != "alice" || recs[0].Addr != here || len(recs[0].Sessions()) != 1 {
		t.Fatalf("read %+v", recs)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o644 || info.Size() != 2*recordBytes {
		t.Errorf("mode %v, %d bytes", info.Mode(), info.Size())
	}
	if info, _ := os.Stat(filepath.Dir(path)); info.Mode().Perm() != 0o755 {
		t.Errorf("mode of the folder %v", info.Mode())
	}
}

// TestSameClient: logins to one service from one address share a record, until
// it is full of live sessions.
func TestSameClient(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions")
	first := dead(t, 1, "alice", here, time.Minute)
	add(t, path, first, New(1, "alice", here, "imaps"), New(1, "alice", here, "imaps"))
	recs := list(t, path)
	if len(recs) != 1 || recs[0].Logins != 3 || recs[0].First != first.First || recs[0].Last <= first.Last {
		t.Errorf("three logins: %+v", recs)
	}
	add(t, path, New(1, "alice", here, "imaps"), New(1, "alice", here, "imaps"), New(1, "alice", there, "imaps"), New(1, "alice", here, "pop3s"))
	if got := names(t, path); got != "alice:3 alice:1 alice:1 alice:1" {
		t.Errorf("six sessions: %s", got)
	}
}

// TestStaleRecords go with later logins.
func TestStaleRecords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions")
	for i := range 100 {
		add(t, path, dead(t, i+10, "gone", here, 11*time.Minute))
	}
	live := New(3, "live", here, "pop3s")
	live.Last -= time.Hour
	add(t, path, live, dead(t, 4, "recent", here, time.Minute))
	for range 4 {
		add(t, path, New(5, "now", here, "imaps"))
	}
	if got := names(t, path); strings.Contains(got, "gone") || !strings.Contains(got, "live:1") || !strings.Contains(got, "recent:0") {
		t.Errorf("kept %s", got)
	}
	if info, _ := os.Stat(path); info.Size() > 60*recordBytes {
		t.Errorf("%d bytes: empty lines are not used again", info.Size())
	}
}

// TestFull: the one idle for longest gives way, a live session never.
func TestFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions")
	add(t, path, New(1, "live", here, "imaps"))
	text, _ := os.ReadFile(path)
	live, _ := parse(text[recordBytes:])
	live.Last = 0
	text = append(text[:recordBytes:recordBytes], live.line()...)
	for i := range maxRecords - 1 {
		r := live
		r.UID, r.User, r.Live, r.Last = 10+i, "idle", []Process{{4194304, 1}}, boottime.Now()-time.Minute
		if i == 5000 {
			r.User, r.Last = "oldest", boottime.Now()-2*time.Minute
		}
		text = append(text, r.line()...)
	}
	os.WriteFile(path, text, 0o644)
	add(t, path, New(2, "new", here, "imaps"))
	count := map[string]int{}
	for _, r := range list(t, path) {
		count[r.User]++
	}
	if want := map[string]int{"live": 1, "new": 1, "idle": maxRecords - 2}; !reflect.DeepEqual(count, want) {
		t.Errorf("kept %v, want %v", count, want)
	}
}

// TestHostileFiles: another boot's, a malformed one, a link, a stranger's.
func TestHostileFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sessions")
	good := string(New(1000, "alice", here, "imaps").line())
	head := func(id string, at int64) string {
		return fmt.Sprintf("%-255s\n", fmt.Sprintf("%s%s %d 0", magic, id, at))
	}
	for name, text := range map[string]string{
		"earlier boot": head("x", bootTime()-bootSlack-2) + good, "later boot": head("x", bootTime()+bootSlack+2) + good,
		"no boot": head(noBootID, 0) + good, "no header": good + good, "empty": "", "short": "smail", "binary": strings.Repeat("\x00\xff\n", 200),
		"version 1": "smail-sessions 1 1\n" + good,
	} {
		os.WriteFile(path, []byte(text), 0o644)
		if recs := list(t, path); len(recs) != 0 {
			t.Errorf("%s: read %v", name, recs)
		}
		add(t, path, New(7, "next", here, "imaps"))
		if got := names(t, path); got != "next:1" {
			t.Errorf("%s: then %s", name, got)
		}
		os.Remove(path)
	}
	os.WriteFile(path, []byte(head("x", bootTime())+good+strings.Replace(good, "alice", "mallo", 1)+good[:100]), 0o644)
	if got := names(t, path); got != "alice:1" {
		t.Errorf("with torn lines: %s", got)
	}
	os.WriteFile(path, []byte(head(bootID(), 1)+good), 0o644)
	if got := names(t, path); got != "alice:1" {
		t.Errorf("after the clock was set: %s", got)
	}
	os.Rename(path, path+".real")
	os.Symlink(path+".real", path)
	if _, err := Read(path); err == nil {
		t.Error("a link was followed")
	}
	if err := Add(path, New(1, "a", here, "imaps"), window, 9); err == nil {
		t.Error("a link was written through")
	}
	if os.Getuid() == 0 {
		os.Remove(path)
		os.WriteFile(path, []byte(head("x", bootTime())+good), 0o644)
		os.Chown(path, 12345, 12345)
		if _, err := Read(path); err == nil {
			t.Error("another user's file was believed")
		}
	}
	for _, name := range []string{"a b", "", "a\nb", strings.Repeat("x", maxName+1)} {
		if err := Add(path, New(1, name, here, "imaps"), window, 10); err == nil {
			t.Errorf("name %q was written", name)
		}
	}
}

func TestSender(t *testing.T) {
	live := New(1, "alice", here, "imaps")
	recent := dead(t, 1, "alice", here, time.Minute)
	old := dead(t, 1, "alice", here, 11*time.Minute)
	future := dead(t, 1, "alice", here, -time.Minute)
	bob := dead(t, 2, "bob", here, time.Minute)
	elsewhere := New(2, "bob", there, "imaps")
	void, voidBob := live, bob
	void.Void, voidBob.Void = true, true
	for _, c := range []struct {
		name     string
		recs     []Record
		liveOnly bool
		want     string
	}{
		{"nobody", nil, false, ""}, {"live", []Record{live}, false, "alice"}, {"recent", []Record{recent}, false, "alice"},
		{"too long ago", []Record{old}, false, ""}, {"not yet", []Record{future}, false, ""},
		{"recent is not live", []Record{recent}, true, ""}, {"live only", []Record{live, recent}, true, "alice"},
		{"two users", []Record{live, bob}, false, ""}, {"one of two is live", []Record{live, bob}, true, "alice"},
		{"another address", []Record{elsewhere}, false, ""}, {"others elsewhere", []Record{live, elsewhere}, false, "alice"},
		{"void", []Record{void}, false, ""}, {"void, but another login", []Record{void, recent}, false, "alice"},
		{"a login, another is void", []Record{recent, void}, false, "alice"}, {"a void one of another's", []Record{live, voidBob}, false, ""},
	} {
		rule := Rule{Window: window, LiveOnly: c.liveOnly}
		r, ok := rule.Sender(c.recs, netip.MustParseAddr("::ffff:192.0.2.7"))
		if ok != (c.want != "") || ok && r.User != c.want {
			t.Errorf("%s: got %q, %v", c.name, r.User, ok)
		}
	}
	rule := Rule{Window: window, Deny: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	if r, ok := rule.Sender([]Record{live}, here); ok {
		t.Errorf("an address of a denied network vouches for %s", r.User)
	}
	reused := live.Live[0]
	reused.Start++ // another process has the pid now
	if reused.Runs() {
		t.Error("a pid that was given again counts as live")
	}
}

func TestGrantVoidForget(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions")
	rule := Rule{Window: window}
	grant := func(want bool) {
		t.Helper()
		if r, ok, err := Grant(path, here, rule); ok != want || err != nil {
			t.Errorf("granted %v to %q: %v", ok, r.User, err)
		}
	}
	grant(false)
	add(t, path, dead(t, 1, "alice", here, time.Minute), dead(t, 2, "bob", there, time.Minute))
	grant(true)
	grant(true)
	if recs, _ := At(path, here); len(recs) != 1 || recs[0].Relays != 2 {
		t.Errorf("after two grants: %+v", recs)
	}
	if n, err := Void(path, here); n != 1 || err != nil {
		t.Errorf("voided %d: %v", n, err)
	}
	grant(false)
	if n, err := Void(path, here); n != 0 || err != nil {
		t.Errorf("voided %d again: %v", n, err)
	}
	add(t, path, New(1, "alice", here, "imaps"))
	grant(true)
	n, err := Forget(path, func(r Record) bool { return true })
	if n != 2 || err != nil {
		t.Errorf("forgot %d: %v", n, err)
	}
	grant(false)
	if got := names(t, path); got != "alice:1" {
		t.Errorf("after all was forgotten: %s", got)
	}
}

func TestTooMany(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions")
	add(t, path, dead(t, 1, "alice", here, 0))
	for range 5 {
		if err := Add(path, New(1, "alice", here, "imaps"), window, 5); err != nil {
			t.Fatal(err)
		}
	}
	if err := Add(path, New(1, "alice", there, "pop3s"), window, 5); err != ErrTooMany {
		t.Errorf("got %v", err)
	}
	if err := Add(path, New(2, "bob", here, "imaps"), window, 5); err != nil {
		t.Errorf("another user: %v", err)
	}
}

// TestConcurrentLogins: a thousand at once lose nothing, nor do those who read
// meanwhile see what never was.
func TestConcurrentLogins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions")
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			addr := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
			if err := Add(path, New(i, fmt.Sprint("user", i), addr, "imaps"), window, 100); err != nil {
				t.Error(err)
			}
			recs, err := At(path, addr)
			if err != nil || len(recs) != 1 || recs[0].UID != i {
				t.Errorf("%v: read %v, %v", addr, recs, err)
			}
		})
	}
	wg.Wait()
	if n := len(list(t, path)); n != 1000 {
		t.Errorf("%d records, want 1000", n)
	}
}

// BenchmarkLogin is a login with ten thousand records of others in the file.
func BenchmarkLogin(b *testing.B) {
	path := filepath.Join(b.TempDir(), "sessions")
	add(b, path, New(1, "alice", here, "imaps"))
	text, _ := os.ReadFile(path)
	other := dead(b, 0, "other", here, time.Minute)
	for i := range 10000 {
		other.UID, other.Addr = 1000+i, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		text = append(text, other.line()...)
	}
	os.WriteFile(path, text, 0o644)
	for b.Loop() {
		r := New(1, "alice", here, "imaps")
		r.Live[0].PID = other.Live[0].PID
		if err := Add(path, r, window, 50); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzRecord(f *testing.F) {
	f.Add(New(1000, "alice", here, "imaps").line())
	f.Add([]byte(strings.Repeat(" ", 255) + "\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if len(line) == recordBytes { // else no sum would ever be right
			line = resum(line)
		}
		r, ok := parse(line)
		if !ok {
			return
		}
		again, ok := parse(r.line())
		if r.Logins, r.Relays = min(r.Logins, 999999), min(r.Relays, 999999); !ok || !reflect.DeepEqual(again, r) {
			t.Errorf("%+v came back as %+v", r, again)
		}
	})
}

// resum puts the right sum into a line.
func resum(line []byte) []byte {
	b := append([]byte(nil), line[:sumAt]...)
	return fmt.Appendf(b, "%08x\n", crc32.ChecksumIEEE(b))
}
