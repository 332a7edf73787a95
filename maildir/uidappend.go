package maildir

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// addUIDs appends records for keys to the uidlist, under the lock, and returns
// the UID of the first. What is on the disk afterwards never gives one of them
// to another. Only if another server has written the uidlist is it read, and
// the folder, for lower UIDs come first. guids is nil, or has the GUID of each.
// meanwhile is nil, or makes something last that has to before this returns.
func (f *Folder) addUIDs(keys [][]byte, guids []string, meanwhile func() error) (first uint32, err error) {
	stamp, exists := f.uidlistStamp()
	if exists && f.ix.uidlines > 0 && stamp != f.ix.uidlist {
		if err := f.scan(); err != nil {
			return 0, err
		}
		stamp, _ = f.uidlistStamp()
	}
	u := &uidlist{version: 3, uidvalidity: f.ix.uidvalidity, uidnext: f.ix.uidnext, stamp: stamp}
	if f.ix.uidlines == 0 || stamp != f.ix.uidlist {
		if u, err = f.uidlistNow(); err != nil {
			return 0, err
		}
		f.ix.uidlines = uint32(len(u.records))
	}
	first = u.uidnext
	if u.exhausted(len(keys)) {
		if err := f.rewriteUIDList(u.renumbered()); err != nil {
			return 0, err
		}
		return 0, fmt.Errorf("folder %s: no UIDs were left; its messages have new ones from now on", f.Name)
	}
	recs := make([]uidRecord, len(keys))
	for i, key := range keys {
		recs[i] = uidRecord{uid: first + uint32(i), key: key}
		if guids != nil && !strings.ContainsAny(guids[i], " :\r\n") && guids[i] != "" {
			recs[i].fields = []byte("G" + guids[i])
		}
	}
	if err := f.appendUIDs(u, recs, meanwhile); err != nil {
		return 0, err
	}
	f.ix.uidlines += uint32(len(keys))
	f.ix.guids = f.ix.guids || guids != nil
	return first, nil
}

// appendUIDs adds records under the lock, and makes the file if there is none. Both
// they and what is to last meanwhile are on their way before either is waited for:
// the file system's journal, written for one, has then the other.
func (f *Folder) appendUIDs(u *uidlist, recs []uidRecord, meanwhile func() error) error {
	u.uidnext += uint32(len(recs))
	if u.version != 3 || u.torn {
		if meanwhile != nil {
			if err := meanwhile(); err != nil {
				return err
			}
		}
		if len(u.records) == 0 {
			u.records = recs
		} else {
			u.records = append(u.records, recs...)
		}
		return f.rewriteUIDList(u)
	}
	fd, err := unix.Openat(f.dir, uidlistName, unix.O_WRONLY|unix.O_APPEND|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", uidlistName, err)
	}
	defer unix.Close(fd)
	var b []byte
	for _, r := range recs {
		b = r.append(b)
	}
	err = writeAll(fd, b)
	if err == nil && meanwhile != nil {
		unix.SyncFileRange(fd, 0, 0, unix.SYNC_FILE_RANGE_WRITE)
		err = meanwhile()
	}
	if err == nil && f.store.fsync != Never {
		err = fdatasync(fd)
	}
	if err != nil {
		unix.Ftruncate(fd, u.stamp.size) // a torn line would cost the next one
		return fmt.Errorf("write %s: %w", uidlistName, err)
	}
	return f.knowUIDList(fd, u)
}
