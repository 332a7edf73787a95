// Package maildir is the store: a Maildir++ folder tree with UIDs that last.
//
// It runs in the session, as the user whose mail it is, and shares each
// Maildir with programs that know nothing of it: MTAs that deliver into new/,
// mutt that renames, Dovecot before, beside and after it. What must last is in
// Dovecot's own files, as far as they have a place for it; see uidlist.go.
//
// A folder's name is what stands on the disk without the leading dot:
// "Work.2024" is .Work.2024, "INBOX" the Maildir itself. Encoding names for
// clients is not done here.
package maildir

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	gomaildir "github.com/emersion/go-maildir"
	"golang.org/x/sys/unix"
)

// Separator stands between the levels of a folder's name.
const Separator = '.'

// Inbox is the name of the Maildir itself.
const Inbox = "INBOX"

// maxFolderName bounds a folder's name: file systems take 255 bytes.
const maxFolderName = 240

var (
	ErrNoFolder = errors.New("no such folder")
	ErrExists   = errors.New("folder exists")
	ErrName     = errors.New("invalid folder name")
	ErrGone     = errors.New("message is gone")
)

// A SyncMode says when a change counts as done.
type SyncMode int

const (
	Always    SyncMode = iota // it is on the disk, with its name
	Optimized                 // the data of new messages and UIDs is
	Never                     // the kernel has it
)

// ParseSyncMode returns the mode of a value of the setting fsync; what is none
// of the others is Always.
func ParseSyncMode(value string) SyncMode {
	switch value {
	case "optimized":
		return Optimized
	case "never":
		return Never
	}
	return Always
}

// A Store is one user's Maildir. It is not safe for use by several goroutines.
type Store struct {
	// EncodeName makes a folder's name of one in UTF-8, for Courier's
	// subscriptions.
	EncodeName func(string) string

	root  string
	fsync SyncMode
	token token
	swept bool
}

// Open opens the Maildir at root, and makes it if it is missing.
func Open(root string, fsync SyncMode) (*Store, error) {
	s := &Store{root: root, fsync: fsync}
	if err := s.makeFolder(root); err != nil {
		return nil, err
	}
	return s, nil
}

// makeFolder makes a folder with its cur, new and tmp, as far as they are missing.
func (s *Store) makeFolder(path string) error {
	missing := false
	for _, sub := range []string{"cur", "new", "tmp"} {
		var st unix.Stat_t
		err := unix.Stat(filepath.Join(path, sub), &st)
		if err != nil && err != unix.ENOENT {
			return &os.PathError{Op: "open", Path: path, Err: err}
		}
		missing = missing || err != nil
	}
	if !missing {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := gomaildir.Dir(path).Init(); err != nil {
		return err
	}
	return s.syncPath(path)
}

func (s *Store) path(name string) string {
	if name == Inbox {
		return s.root
	}
	return filepath.Join(s.root, "."+name)
}

// checkName refuses what is no folder's name.
func checkName(name string) error {
	if name == Inbox {
		return nil
	}
	if name == "" || len(name) > maxFolderName || strings.ContainsAny(name, "/\x00\r\n") {
		return ErrName
	}
	for part := range strings.SplitSeq(name, string(Separator)) {
		if part == "" || part == "~" {
			return ErrName
		}
	}
	first, below, _ := strings.Cut(name, string(Separator))
	if strings.EqualFold(first, Inbox) && (first != Inbox || below == "") { // would look like INBOX, and not be it
		return ErrName
	}
	return nil
}

// Folders returns the names of all folders, sorted, INBOX first.
func (s *Store) Folders() ([]string, error) {
	entries, err := os.ReadDir(s.root)
	if err != nil {
		return nil, err
	}
	names := []string{Inbox}
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.Name(), ".")
		if ok && e.IsDir() && checkName(name) == nil && name != Inbox {
			names = append(names, name)
		}
	}
	slices.Sort(names[1:])
	return names, nil
}

// Unserved returns the directories that hold mail as folders do, but have names that no
// folder may have.
func (s *Store) Unserved() (names []string, err error) {
	entries, err := os.ReadDir(s.root)
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.Name(), ".")
		if !ok || !e.IsDir() || strings.HasPrefix(e.Name(), deletedPrefix) || checkName(name) == nil && name != Inbox {
			continue
		}
		if info, err := os.Lstat(filepath.Join(s.root, e.Name(), "cur")); err == nil && info.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// Exists says whether there is a folder of that name.
func (s *Store) Exists(name string) bool {
	if checkName(name) != nil {
		return false
	}
	info, err := os.Lstat(s.path(name))
	return err == nil && info.IsDir()
}

// Writable says whether messages of a folder can be changed, as far as permissions
// and the file system go.
func (s *Store) Writable(name string) bool {
	if checkName(name) != nil {
		return false
	}
	switch unix.Access(filepath.Join(s.path(name), "cur"), unix.W_OK) {
	case unix.EROFS, unix.EACCES, unix.EPERM:
		return false
	}
	return true
}

// Create makes a folder.
func (s *Store) Create(name string) (err error) {
	if err := checkName(name); err != nil {
		return err
	}
	path := s.path(name)
	if _, err := os.Lstat(path); err == nil { // a link, which would be followed, too
		return ErrExists
	}
	defer func() {
		if err != nil { // what is empty is half of a folder
			for _, sub := range []string{"cur", "new", "tmp", "maildirfolder", ""} {
				os.Remove(filepath.Join(path, sub))
			}
		}
	}()
	if err := s.makeFolder(path); err != nil {
		return err
	}
	// The mark by which MDAs know a folder of Maildir++.
	if err := os.WriteFile(filepath.Join(path, "maildirfolder"), nil, 0o600); err != nil {
		return err
	}
	if err := s.syncPath(path); err != nil {
		return err
	}
	return s.syncRoot()
}

// deletedPrefix begins the name of a folder that is being deleted: no folder's
// name begins with "..".
const deletedPrefix = "..smail-deleted-"

// Delete removes a folder and its messages. Its children stay.
func (s *Store) Delete(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if name == Inbox || !s.Exists(name) {
		return ErrNoFolder
	}
	aside := filepath.Join(s.root, deletedPrefix+newKey()) // out of sight in one step
	if err := unix.Rename(s.path(name), aside); err != nil {
		return fmt.Errorf("rename %s: %w", name, err)
	}
	if err := s.syncRoot(); err != nil {
		return err
	}
	if err := os.RemoveAll(aside); err != nil {
		return err
	}
	if q, ok, err := s.quota(0, 0); err == nil && ok {
		return s.recount(&q)
	}
	return nil
}

// Rename renames a folder and its children. INBOX is not renamed: the caller
// moves its messages.
func (s *Store) Rename(from, to string) error {
	if err := errors.Join(checkName(from), checkName(to)); err != nil {
		return ErrName
	}
	if s.Exists(to) { // what is below it would be put together with what is below from
		return ErrExists
	}
	all, err := s.Folders()
	if err != nil {
		return err
	}
	var moved []string
	for _, name := range all[1:] {
		if name == from || strings.HasPrefix(name, from+string(Separator)) {
			moved = append(moved, name)
			if target := to + name[len(from):]; s.Exists(target) {
				return ErrExists
			} else if err := checkName(target); err != nil {
				return err
			}
		}
	}
	if len(moved) == 0 {
		return ErrNoFolder
	}
	for i, name := range moved {
		err := rename(unix.AT_FDCWD, s.path(name), unix.AT_FDCWD, s.path(to+name[len(from):]))
		if err != nil {
			for _, name := range moved[:i] { // all, or none
				rename(unix.AT_FDCWD, s.path(to+name[len(from):]), unix.AT_FDCWD, s.path(name))
			}
			return fmt.Errorf("rename %s: %w", name, err)
		}
	}
	return s.syncRoot()
}

// readRegular reads at most so many bytes of a file, and nothing that would be
// waited for.
func readRegular(path string, most int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	return io.ReadAll(io.LimitReader(f, most))
}

func (s *Store) syncRoot() error { return s.syncPath(s.root) }

// syncPath makes the names in a folder last.
func (s *Store) syncPath(path string) error {
	if s.fsync == Never {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
