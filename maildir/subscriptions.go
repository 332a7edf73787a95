package maildir

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Subscriptions are in Dovecot's file "subscriptions", in one of two forms:
//
//	V	2                           (version 2: a header, an empty line, then
//	                             a name a line, TAB between its levels)
//	Foo	Bar baz
//
//	Foo.Bar baz                  (version 1: names as they are)
//
// A file keeps its form. A new one is written in its own lock file,
// "subscriptions.lock", and renamed from there.
const (
	subscriptionsName = "subscriptions"
	subscriptionsLock = "subscriptions.lock"
	subscriptionsV2   = "V\t2\n\n"
)

var (
	escapeV2   = strings.NewReplacer("\x01", "\x011", "\t", "\x01t", "\r", "\x01r", "\n", "\x01n", ".", "\t")
	unescapeV2 = strings.NewReplacer("\x011", "\x01", "\x01t", "\t", "\x01r", "\r", "\x01n", "\n", "\t", ".")
)

// The file that is read is bounded.
const (
	maxSubscriptions     = 10000
	maxSubscriptionsFile = 8 << 20
)

// Subscriptions returns the names that the user subscribed to.
func (s *Store) Subscriptions() ([]string, error) {
	names, _, err := s.readSubscriptions()
	return names, err
}

func (s *Store) readSubscriptions() (names []string, v2 bool, err error) {
	b, err := readRegular(filepath.Join(s.root, subscriptionsName), maxSubscriptionsFile)
	if err == nil && len(b) == maxSubscriptionsFile {
		err = fmt.Errorf("%s is too long", subscriptionsName)
	}
	if os.IsNotExist(err) {
		return s.readCourierSubscriptions(), true, nil
	}
	if err != nil {
		return nil, false, err
	}
	names, v2 = parseSubscriptions(b)
	return names, v2, nil
}

func parseSubscriptions(b []byte) (names []string, v2 bool) {
	text, v2 := strings.CutPrefix(string(b), subscriptionsV2)
	for line := range strings.SplitSeq(text, "\n") {
		if v2 {
			line = unescapeV2.Replace(line)
		}
		if line != "" && len(names) < maxSubscriptions {
			names = append(names, line)
		}
	}
	return names, v2
}

func formatSubscriptions(names []string, v2 bool) []byte {
	var b strings.Builder
	if v2 {
		b.WriteString(subscriptionsV2)
	}
	for _, n := range names {
		if v2 {
			n = escapeV2.Replace(n)
		}
		b.WriteString(n + "\n")
	}
	return []byte(b.String())
}

// Subscribe adds or removes a name.
func (s *Store) Subscribe(name string, on bool) error {
	if err := checkName(name); err != nil {
		return err
	}
	dir, err := unix.Open(s.root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open Maildir: %w", err)
	}
	defer unix.Close(dir)
	lock, err := s.takeLock(dir, subscriptionsLock, lockPatience)
	if err != nil {
		return err
	}
	defer lock.release() // in vain once it was replaced and renamed
	names, v2, err := s.readSubscriptions()
	if err != nil {
		return err
	}
	if slices.Contains(names, name) == on {
		return nil
	}
	if on {
		names = append(names, name)
	} else {
		names = slices.DeleteFunc(names, func(n string) bool { return n == name })
	}
	fd, err := s.replace(dir, subscriptionsLock, subscriptionsName, formatSubscriptions(names, v2))
	if err != nil {
		return err
	}
	return unix.Close(fd)
}
