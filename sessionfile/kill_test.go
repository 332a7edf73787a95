package sessionfile

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// TestMain is also the writer that TestKilledWriter kills: it enters logins of
// uids from a number on, and says each that is in the file.
func TestMain(m *testing.M) {
	path, from := os.Getenv("SMAIL_TEST_WRITER"), 0
	if path == "" {
		os.Exit(m.Run())
	}
	fmt.Sscan(os.Getenv("SMAIL_TEST_FROM"), &from)
	for uid := from; ; uid++ {
		addr := netip.AddrFrom4([4]byte{10, byte(uid >> 16), byte(uid >> 8), byte(uid)})
		if err := Add(path, New(uid, "user", addr, "imaps"), window, 10); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(uid)
	}
}

// TestKilledWriter: whenever a writer is killed, what it had entered is there,
// and every line is whole.
func TestKilledWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions")
	next := 1
	said := map[int]bool{}
	for round := range 60 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "SMAIL_TEST_WRITER="+path, fmt.Sprint("SMAIL_TEST_FROM=", next))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(out)
		for range 1 + round%7 {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			uid, _ := strconv.Atoi(line[:len(line)-1])
			said[uid] = true
		}
		time.Sleep(time.Duration(round*37%900) * time.Microsecond)
		cmd.Process.Kill()
		for { // what it said before it died
			line, err := r.ReadString('\n')
			if err != nil {
				break
			}
			uid, _ := strconv.Atoi(line[:len(line)-1])
			said[uid] = true
		}
		cmd.Wait()
		next += 200
	}
	have := map[int]bool{}
	for _, r := range list(t, path) {
		have[r.UID] = true
	}
	for uid := range said {
		if !have[uid] {
			t.Errorf("the login of %d is lost", uid)
		}
	}
	text, _ := os.ReadFile(path)
	for at := recordBytes; at < len(text); at += recordBytes {
		if _, ok := parse(text[at : at+recordBytes]); !ok && text[at+uidEnd-2] != ' ' {
			t.Errorf("a torn line: %q", text[at:at+recordBytes])
		}
	}
}

// TestFullDisk: where /run is full a login is not entered, and nothing else is
// lost.
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16k"); err != nil {
		t.Fatal(err)
	}
	defer syscall.Unmount(dir, 0)
	path := filepath.Join(dir, "sessions")
	n := 0
	for ; ; n++ {
		addr := netip.AddrFrom4([4]byte{10, 0, 0, byte(n)})
		if err := Add(path, New(n, "user", addr, "imaps"), window, 10); err != nil {
			break
		}
		if n > 100 {
			t.Fatal("16 KiB hold all that")
		}
	}
	if got := len(list(t, path)); got != n || n < 40 {
		t.Errorf("%d of %d records are left", got, n)
	}
	if err := Add(path, New(1, "user", netip.AddrFrom4([4]byte{10, 0, 0, 1}), "imaps"), window, 10); err != nil {
		t.Errorf("a login to a record that is there: %v", err)
	}
	if _, ok, err := Grant(path, netip.AddrFrom4([4]byte{10, 0, 0, 2}), Rule{Window: window}); !ok || err != nil {
		t.Errorf("grant: %v, %v", ok, err)
	}
}
