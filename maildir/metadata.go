package maildir

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// What clients note about a folder (METADATA, RFC 5464) is in a file of ours
// beside the uidlist, "smail.metadata"; what they note about the server is in
// "smail.metadata-server" of the Maildir. A line is an entry: its name, a space
// and its value in base64.
//
//	/private/comment VG8gYmUgcmVhZA==
const (
	metadataName       = "smail.metadata"
	serverMetadataName = "smail.metadata-server"
	maxMetadataFile    = 4 << 20
)

// ErrMetadata is that there is no room for more entries.
var ErrMetadata = errors.New("too much metadata")

// Metadata returns the entries of a folder, of the server for "".
func (s *Store) Metadata(folder string) (map[string][]byte, error) {
	dir, name, err := s.openMetadata(folder)
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	return readMetadata(dir, name)
}

// SetMetadata changes entries; what becomes nil is removed. Other sessions wait
// meanwhile.
func (s *Store) SetMetadata(folder string, change func(entries map[string][]byte) error) error {
	dir, name, err := s.openMetadata(folder)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	if err := unix.Flock(dir, unix.LOCK_EX); err != nil { // until dir is closed
		return fmt.Errorf("lock metadata: %w", err)
	}
	entries, err := readMetadata(dir, name)
	if err != nil {
		return err
	}
	if err := change(entries); err != nil {
		return err
	}
	text := formatMetadata(entries)
	if len(text) > maxMetadataFile {
		return ErrMetadata
	}
	fd, err := s.replace(dir, name+".tmp", name, text)
	if err != nil {
		return err
	}
	unix.Close(fd)
	if folder == "" {
		return nil
	}
	return s.raise(folder)
}

// raise makes HIGHESTMODSEQ higher though no message has changed: RFC 7162 section
// 3.2 has it so for metadata.
func (s *Store) raise(folder string) error {
	f, err := s.OpenTarget(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.withLock(func() error {
		f.ix.change()
		f.ix.flush()
		return nil
	})
}

func (s *Store) openMetadata(folder string) (dir int, name string, err error) {
	path, name := s.root, serverMetadataName
	if folder != "" {
		if err := checkName(folder); err != nil {
			return -1, "", err
		}
		path, name = s.path(folder), metadataName
	}
	dir, err = unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return -1, "", ErrNoFolder
	}
	if err != nil {
		return -1, "", &os.PathError{Op: "open", Path: path, Err: err}
	}
	return dir, name, nil
}

func readMetadata(dir int, name string) (map[string][]byte, error) {
	var st unix.Stat_t
	fd, err := openRegular(dir, name, unix.O_RDONLY, &st)
	if err == unix.ENOENT {
		return map[string][]byte{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxMetadataFile))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return parseMetadata(text), nil
}

// parseMetadata passes over lines that make no sense.
func parseMetadata(text []byte) map[string][]byte {
	entries := map[string][]byte{}
	for line := range bytes.Lines(text) {
		name, value, ok := bytes.Cut(bytes.TrimRight(line, "\n"), []byte(" "))
		if !ok || len(name) == 0 || name[0] != '/' {
			continue
		}
		b, err := base64.StdEncoding.AppendDecode([]byte{}, value)
		if err == nil {
			entries[string(name)] = b
		}
	}
	return entries
}

func formatMetadata(entries map[string][]byte) (text []byte) {
	names := make([]string, 0, len(entries))
	for name, value := range entries {
		if value != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		text = fmt.Appendf(text, "%s %s\n", name, base64.StdEncoding.EncodeToString(entries[name]))
	}
	return text
}
