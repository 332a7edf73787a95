package sessionfile

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var here = netip.MustParseAddr("192.0.2.7")

// dead returns the record of a login whose process has ended.
func dead(t *testing.T, uid int, user string, addr netip.Addr, age time.Duration) Record {
	t.Helper()
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	r := New(uid, user, addr, "imaps")
	r.PID, r.At = cmd.Process.Pid, Now()-age
	return r
}

func add(t *testing.T, path string, r Record) {
	t.Helper()
	if err := Add(path, r, 10*time.Minute, 100); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []Record {
	t.Helper()
	recs, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return recs
}

func TestAddAndRead(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077)) // as smaild's
	path := filepath.Join(t.TempDir(), "run/sessions")
	mapped := New(1000, "alice", netip.MustParseAddr("::ffff:192.0.2.7"), "imaps")
	add(t, path, mapped)
	recs := read(t, path)
	if len(recs) != 1 || recs[0].User != "alice" || recs[0].Addr != here || !recs[0].Live() {
		t.Fatalf("read %+v", recs)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v", info.Mode())
	}
	if info, _ := os.Stat(filepath.Dir(path)); info.Mode().Perm() != 0o755 {
		t.Errorf("mode of the folder %v", info.Mode())
	}
	if left, _ := filepath.Glob(path + ".new"); left != nil {
		t.Error("a temporary file is left")
	}
}

// TestStaleRecords are dropped by the next writer: those of ended processes
// beyond the window, and all but the last of a user at an address within it.
func TestStaleRecords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions")
	add(t, path, dead(t, 1, "old", here, 11*time.Minute))
	add(t, path, dead(t, 2, "twice", here, 2*time.Minute))
	add(t, path, dead(t, 2, "twice", here, time.Minute))
	live := New(3, "live", here, "pop3s")
	live.At -= time.Hour
	add(t, path, live)
	add(t, path, New(4, "now", here, "imaps"))
	var users []string
	for _, r := range read(t, path) {
		users = append(users, r.User)
	}
	if got := strings.Join(users, " "); got != "twice live now" {
		t.Errorf("kept %s", got)
	}
}

// TestHostileFiles: an earlier boot's, a malformed one, a link, a stranger's.
func TestHostileFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sessions")
	good := New(1000, "alice", here, "imaps").String()
	header := func(boot int64) string { return magic + strconv.FormatInt(boot, 10) + "\n" }
	for name, text := range map[string]string{
		"earlier boot": header(bootTime()-bootSlack-2) + good + "\n", "later boot": header(bootTime()+bootSlack+2) + good + "\n", "no number": magic + "x\n" + good + "\n", "no header": good + "\n", "empty": "", "binary": "\x00\xff\n",
		"bad lines": header(bootTime()) + "x\n" + good + " more\n-1 1 1 1 a 1.2.3.4 imaps\n1 1 1 1 a ::ffff:1.2.3.4 imaps\n1 0 1 1 a 1.2.3.4 imaps\n1 1 1 1 a fe80::1%eth0 imaps\nNaN 1 1 1 a 1.2.3.4 x\n",
	} {
		os.WriteFile(path, []byte(text), 0o644)
		if recs := read(t, path); len(recs) != 0 {
			t.Errorf("%s: read %v", name, recs)
		}
	}
	os.Rename(path, path+".real")
	os.Symlink(path+".real", path)
	if _, err := Read(path); err == nil {
		t.Error("a link was followed")
	}
	if os.Getuid() == 0 {
		os.Remove(path)
		os.WriteFile(path, []byte(header(bootTime())+good+"\n"), 0o644)
		os.Chown(path, 12345, 12345)
		if _, err := Read(path); err == nil {
			t.Error("another user's file was believed")
		}
	}
	if err := Add(path, New(1, "a b", here, "imaps"), time.Minute, 10); err == nil {
		t.Error("a name with a space was written")
	}
}

func TestSender(t *testing.T) {
	live := New(1, "alice", here, "imaps")
	recent := dead(t, 1, "alice", here, time.Minute)
	old := dead(t, 1, "alice", here, 11*time.Minute)
	bob := dead(t, 2, "bob", here, time.Minute)
	elsewhere := New(2, "bob", netip.MustParseAddr("192.0.2.8"), "imaps")
	for _, c := range []struct {
		name     string
		recs     []Record
		liveOnly bool
		want     string
	}{
		{"nobody", nil, false, ""}, {"live", []Record{live}, false, "alice"}, {"recent", []Record{recent}, false, "alice"},
		{"too long ago", []Record{old}, false, ""}, {"recent is not live", []Record{recent}, true, ""}, {"live only", []Record{live, recent}, true, "alice"},
		{"two users", []Record{live, bob}, false, ""}, {"one of two is live", []Record{live, bob}, true, "alice"},
		{"another address", []Record{elsewhere}, false, ""}, {"others elsewhere", []Record{live, elsewhere}, false, "alice"},
	} {
		r, ok := Sender(c.recs, netip.MustParseAddr("::ffff:192.0.2.7"), 10*time.Minute, c.liveOnly)
		if r.User != c.want || ok != (c.want != "") {
			t.Errorf("%s: got %q", c.name, r.User)
		}
	}
	reused := live
	reused.Start++ // another process has the pid now
	if reused.Live() {
		t.Error("a pid that was given again counts as live")
	}
}

func TestTooMany(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions")
	for range 2 {
		if err := Add(path, New(1, "alice", here, "imaps"), time.Minute, 2); err != nil {
			t.Fatal(err)
		}
	}
	if err := Add(path, New(1, "alice", here, "imaps"), time.Minute, 2); err != ErrTooMany {
		t.Errorf("got %v", err)
	}
	if err := Add(path, New(2, "bob", here, "imaps"), time.Minute, 2); err != nil {
		t.Errorf("another user: %v", err)
	}
}

// TestConcurrentWriters lose nothing.
func TestConcurrentWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions")
	done := make(chan error)
	for i := range 50 {
		go func() {
			done <- Add(path, New(i, "user", netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), "imaps"), time.Minute, 100)
		}()
	}
	for range 50 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if n := len(read(t, path)); n != 50 {
		t.Errorf("%d records, want 50", n)
	}
}

func FuzzRecord(f *testing.F) {
	f.Add("1234.567 4711 123400 1000 alice 192.0.2.7 imaps")
	f.Fuzz(func(t *testing.T, line string) {
		r, ok := parseRecord(line)
		if !ok {
			return
		}
		again, ok := parseRecord(r.String())
		again.line, r.line = "", ""
		if !ok || (again.At-r.At).Abs() > time.Millisecond {
			t.Fatalf("%+v came back as %+v", r, again)
		}
		if again.At = r.At; again != r {
			t.Errorf("%+v came back as %+v", r, again)
		}
	})
}
