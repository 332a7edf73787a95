package imapd

import (
	"smail/imap"
	"smail/maildir"
)

// emailID returns what a message and its copies are known by: RFC 8474 section
// 5.1.
func emailID(f *maildir.Folder, place int) string {
	guid := f.GUID(place)
	if guid == "" {
		return ""
	}
	return objectID("M", guid)
}

// identity sends the items of RFC 8474 section 5, RFC 8514 section 4.2 and RFC
// 8970 section 3.
func (r *reading) identity(items *imap.FetchItems, item func(string) *imap.Encoder) {
	if items.EmailID {
		if id := emailID(r.box.Folder, r.place); id != "" {
			item("EMAILID").Raw("(" + id + ")")
		}
	}
	if items.ThreadID { // section 5.2: NIL where a server has no threads
		item("THREADID").Raw("NIL")
	}
	if items.SaveDate {
		if date, ok := r.box.Saved(r.place); ok {
			item("SAVEDATE").DateTime(date)
		} else {
			item("SAVEDATE").Raw("NIL")
		}
	}
	if items.Preview {
		item("PREVIEW").Bytes(r.known.parts[kindPreview])
	}
}

// preview finds the beginning of a message's text: RFC 8970 section 3.1.
func (r *reading) preview() error {
	if r.knows(kindPreview) {
		return nil
	}
	if err := r.parse(); err != nil {
		return err
	}
	text, err := r.part.Preview(r.readerAt())
	if err != nil {
		return err
	}
	r.known.parts[kindPreview], r.known.dirty = append([]byte{}, text...), true
	return nil
}
