// Package pam asks the system whether a name and a password belong together
// and whether the account may be used. It is the only cgo of smail and is
// linked into smaild alone.
//
// PAM's modules expect one thread of a process that is root: the caller stays
// on the main thread (runtime.LockOSThread in an init function), else
// pam_loginuid fails.
package pam

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/msteinert/pam/v2"
)

// A Service is where and how to ask.
type Service struct {
	Name    string // "smail": /etc/pam.d/smail
	ConfDir string // folder instead of the system's, or empty
}

// ErrRefused is the answer to a wrong name, a wrong password, or an account
// that may not log in now. The error that wraps it says which, for the log only.
var ErrRefused = errors.New("refused")

// dirs returns the folders of service files.
func (s Service) dirs() []string {
	if s.ConfDir != "" {
		return []string{s.ConfDir}
	}
	return []string{"/etc/pam.d", "/usr/lib/pam.d"}
}

// Files returns what a transaction may be prepared from: the files of every
// service, which include one another, and their folders.
func (s Service) Files() (paths []string) {
	for _, dir := range s.dirs() {
		paths = append(paths, dir)
		entries, _ := os.ReadDir(dir) // of the two there may be one
		for _, e := range entries {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths
}

// Check says whether the service's file exists. Without it PAM would fall back
// to the service "other" and may let anybody in.
func (s Service) Check() error {
	for _, dir := range s.dirs() {
		if info, err := os.Stat(filepath.Join(dir, s.Name)); err == nil && info.Mode().IsRegular() {
			return nil
		}
	}
	return fmt.Errorf("PAM service file %s is missing", filepath.Join(s.dirs()[0], s.Name))
}

// A Login is a PAM transaction of a user who may log in.
type Login struct {
	User string // the name that PAM ended with
	tx   *pam.Transaction
	open bool
}

// A Prepared transaction has PAM's modules loaded, which takes longer than a
// cheap password does.
type Prepared struct {
	tx       *pam.Transaction
	password []byte
}

// Prepare loads the modules ahead of time. Where that fails it returns nil, and
// Start says why.
func (s Service) Prepare() *Prepared {
	p, err := s.prepare()
	if err != nil {
		return nil
	}
	return p
}

func (s Service) prepare() (p *Prepared, err error) {
	p = &Prepared{}
	if s.ConfDir != "" {
		p.tx, err = pam.StartConfDir(s.Name, "", pam.ConversationFunc(p.converse), s.ConfDir)
	} else {
		p.tx, err = pam.StartFunc(s.Name, "", p.converse)
	}
	if err != nil {
		return nil, fmt.Errorf("pam_start: %w", err)
	}
	return p, nil
}

// converse answers the prompt for the password, and no other.
func (p *Prepared) converse(style pam.Style, prompt string) (string, error) {
	switch style {
	case pam.PromptEchoOff:
		return string(p.password), nil
	case pam.PromptEchoOn:
		return "", errors.New("no answer to a prompt but the password's")
	}
	return "", nil // what modules say to people is not for mail clients
}

// Start checks a name, its password and its account, in a prepared transaction
// or, with nil, one of its own. rhost is the peer's numeric address. With a nil
// password only the account is checked. An error that is not ErrRefused means
// that nothing could be found out.
func (s Service) Start(p *Prepared, name string, password []byte, rhost string) (*Login, error) {
	if p == nil {
		var err error
		if p, err = s.prepare(); err != nil {
			return nil, err
		}
	}
	p.password = password
	l := &Login{tx: p.tx}
	if err := l.check(name, password != nil, rhost); err != nil {
		l.tx.End()
		return nil, err
	}
	return l, nil
}

func (l *Login) check(name string, authenticate bool, rhost string) error {
	if err := l.tx.SetItem(pam.User, name); err != nil {
		return fmt.Errorf("pam_set_item user: %w", err)
	}
	if err := l.tx.SetItem(pam.Rhost, rhost); err != nil {
		return fmt.Errorf("pam_set_item rhost: %w", err)
	}
	if err := l.tx.SetItem(pam.Tty, "smail"); err != nil {
		return fmt.Errorf("pam_set_item tty: %w", err)
	}
	if authenticate {
		if err := l.tx.Authenticate(pam.Silent | pam.DisallowNullAuthtok); err != nil {
			return judge("pam_authenticate", err)
		}
	}
	// The account must be good without reserve: a password that is to be
	// changed (PAM_NEW_AUTHTOK_REQD) cannot be changed here.
	if err := l.tx.AcctMgmt(pam.Silent | pam.DisallowNullAuthtok); err != nil {
		return judge("pam_acct_mgmt", err)
	}
	user, err := l.tx.GetItem(pam.User)
	if err != nil {
		return fmt.Errorf("pam_get_item user: %w", err)
	}
	l.User = user
	return nil
}

// judge tells a refusal from a failure of PAM itself.
func judge(step string, err error) error {
	switch {
	case errors.Is(err, pam.ErrAuthinfoUnavail), errors.Is(err, pam.ErrSystem), errors.Is(err, pam.ErrBuf),
		errors.Is(err, pam.ErrAbort), errors.Is(err, pam.ErrService), errors.Is(err, pam.ErrOpen),
		errors.Is(err, pam.ErrSymbol), errors.Is(err, pam.ErrConv), errors.Is(err, pam.ErrModuleUnknown):
		return fmt.Errorf("%s: %w", step, err)
	}
	return fmt.Errorf("%s: %v: %w", step, err, ErrRefused)
}

// OpenSession establishes the user's credentials and opens PAM's session. The
// process's groups are the user's already.
func (l *Login) OpenSession() error {
	if err := l.tx.SetCred(pam.Silent | pam.EstablishCred); err != nil {
		return fmt.Errorf("pam_setcred: %w", err)
	}
	if err := l.tx.OpenSession(pam.Silent); err != nil {
		return fmt.Errorf("pam_open_session: %w", err)
	}
	l.open = true
	return nil
}

// Close closes PAM's session, if it is open, and ends the transaction.
func (l *Login) Close() error {
	var err error
	if l.open {
		err = l.tx.CloseSession(pam.Silent)
	}
	return errors.Join(err, l.tx.End())
}
