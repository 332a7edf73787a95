package imapd

import (
	"smail/maildir"
	"smail/session/roles"
)

// offers says whether a folder that does not exist is made when it is used.
func (s *session) offers(folder string) bool {
	if !roles.IsName(folder) {
		return false
	}
	l, err := roles.List(s.Store)
	return err == nil && l.Offered[folder]
}

// openFolder opens a folder, which is made if it is offered.
func (s *session) openFolder(folder string, readOnly bool) (*maildir.Folder, error) {
	f, err := s.Store.OpenFolder(folder, readOnly)
	if err == maildir.ErrNoFolder {
		if err := roles.MakeOffered(s.Store, folder); err != nil {
			return nil, err
		}
		f, err = s.Store.OpenFolder(folder, readOnly)
	}
	return f, err
}
