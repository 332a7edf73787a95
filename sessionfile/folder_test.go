package sessionfile

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestFolderOfOthers: in a folder that has another use nothing goes but files of
// addresses, and it keeps its mode.
func TestFolderOfOthers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "etc")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	for _, name := range []string{"main.cf", "192.0.2.1", "2001:db8::1", "192.0.2.2.new"} {
		path := filepath.Join(dir, name)
		os.WriteFile(path, nil, 0o600)
		os.Chtimes(path, old, old)
	}
	for range 20 * dropEvery {
		if err := publish(dir, netip.MustParseAddr("192.0.2.7"), "alice", []string{"alice@example.org"}, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	names, _ := os.ReadDir(dir)
	if len(names) != 2 || names[0].Name() != "192.0.2.7" || names[1].Name() != "main.cf" {
		t.Errorf("left: %v", names)
	}
	if info, _ := os.Stat(dir); info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v", info.Mode())
	}
}
