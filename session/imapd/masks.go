package imapd

import (
	"smail/imap"
	"smail/maildir"
)

// flagKeys are the keys that ask for a flag, and those that ask for its absence:
// they become FLAG and UNFLAG, with its bit for a number.
var flagKeys = map[string]struct {
	bit  maildir.Flags
	name string
}{
	"ANSWERED": {maildir.Replied, "FLAG"}, "UNANSWERED": {maildir.Replied, "UNFLAG"},
	"DELETED": {maildir.Trashed, "FLAG"}, "UNDELETED": {maildir.Trashed, "UNFLAG"},
	"DRAFT": {maildir.Draft, "FLAG"}, "UNDRAFT": {maildir.Draft, "UNFLAG"},
	"FLAGGED": {maildir.Flagged, "FLAG"}, "UNFLAGGED": {maildir.Flagged, "UNFLAG"},
	"SEEN": {maildir.Seen, "FLAG"}, "UNSEEN": {maildir.Seen, "UNFLAG"},
}

// masks says what flags messages must have, and must not have, where a key asks
// for nothing else.
func masks(k *imap.SearchKey) (set, clear maildir.Flags, ok bool) {
	switch k.Name {
	case "ALL":
		return 0, 0, true
	case "FLAG", "KEYWORD":
		return maildir.Flags(k.Number), 0, k.Number != 0
	case "UNFLAG", "UNKEYWORD":
		return 0, maildir.Flags(k.Number), true
	case "AND":
		for i := range k.Keys {
			s, c, ok := masks(&k.Keys[i])
			if !ok {
				return 0, 0, false
			}
			set, clear = set|s, clear|c
		}
		return set, clear, true
	}
	return 0, 0, false
}
