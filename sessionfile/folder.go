package sessionfile

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The relay folder has a file for each address that one user has logged in from
// within the window, named as the address, for an MTA that looks files up by
// name. Its lines are that user's addresses, each followed by ": " and his name;
// when it was written says how long it counts.

// publish writes the file of an address, and drops those that count no longer.
func publish(folder string, addr netip.Addr, user string, addresses []string, window time.Duration) error {
	err := MakeFolder(folder)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, a := range addresses {
		b.WriteString(a + ": " + user + "\n")
	}
	path := fileOf(folder, addr)
	tmp := path + ".new" // no address ends so
	if err := os.WriteFile(tmp, []byte(b.String()), 0o644); err != nil {
		os.Remove(tmp)
		return err
	}
	err = errors.Join(os.Chmod(tmp, 0o644), os.Rename(tmp, path))
	if rand.IntN(dropEvery) == 0 {
		err = errors.Join(err, dropOld(folder, window))
	}
	return err
}

// dropEvery is how many logins there are to one that looks at all files: a file says
// itself how long it counts.
const dropEvery = 32

// Withdraw removes the file of an address.
func Withdraw(folder string, addr netip.Addr) error {
	if err := os.Remove(fileOf(folder, addr)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func fileOf(folder string, addr netip.Addr) string {
	return filepath.Join(folder, addr.Unmap().WithZone("").String())
}

func dropOld(folder string, window time.Duration) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, err := netip.ParseAddr(strings.TrimSuffix(e.Name(), ".new")); err != nil {
			continue // not ours: somebody has set a folder that has another use
		}
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) >= window {
			os.Remove(filepath.Join(folder, e.Name()))
		}
	}
	return nil
}

// MakeFolder makes a folder that all can look into, unless it is there.
func MakeFolder(dir string) error {
	err := os.Mkdir(dir, 0o755)
	switch {
	case errors.Is(err, os.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return os.Chmod(dir, 0o755) // whatever the umask is
}
