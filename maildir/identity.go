package maildir

import "time"

// GUID returns what the message at a place has in common with its copies: the
// G field of the uidlist, or the key of a message that is no copy. Dovecot has
// the same. It is "" if that cannot be told.
func (f *Folder) GUID(place int) string {
	if f.ix.guids {
		if err := f.readGUIDs(); err != nil {
			return ""
		}
		if guid := f.guids[f.Message(place).UID]; guid != "" {
			return guid
		}
	}
	return f.Key(place)
}

// readGUIDs reads the GUIDs in the uidlist, if they are not known.
func (f *Folder) readGUIDs() error {
	if f.guids != nil && f.guidsOf == f.ix.uidlist {
		return nil
	}
	u, err := readUIDList(f.dir)
	if err != nil {
		return err
	}
	f.guids, f.guidsOf = map[uint32]string{}, u.stamp
	for _, r := range u.records {
		if guid := r.guid(); guid != "" {
			f.guids[r.uid] = guid
		}
	}
	return nil
}

// FolderGUID returns what the uidlist knows the folder by, whatever its name;
// "" if it has no such name.
func (f *Folder) FolderGUID() (string, error) {
	u, err := readUIDListHeader(f.dir)
	if err != nil {
		return "", err
	}
	for _, field := range u.header {
		if field[0] == 'G' && len(field) > 1 {
			return field[1:], nil
		}
	}
	return "", nil
}

// Saved returns when the message at a place came into this folder: whoever puts
// a file into a Maildir begins its name with the time. It is false if the name
// does not begin so.
func (f *Folder) Saved(place int) (time.Time, bool) {
	seconds, rest := leadingNumber([]byte(f.Key(place)))
	if seconds == 0 || len(rest) == 0 || rest[0] != '.' || seconds > 1<<40 {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0), true
}
