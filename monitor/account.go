package monitor

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"smail/pam"
)

// An account is a user who may log in, as the system knows it.
type account struct {
	name   string
	uid    int
	gid    int
	groups []int
	home   string
	tx     *pam.Login
}

// localName takes a login domain off a name: alice@example.org is alice where
// login_domains says so.
func (m *Monitor) localName(name string) string {
	for _, domain := range m.Config.LoginDomains {
		if i := len(name) - len(domain) - 1; i > 0 && name[i] == '@' && strings.EqualFold(name[i+1:], domain) {
			return name[:i]
		}
	}
	return name
}

const maxUserName = 64

// checkName refuses what no account of a Unix system is called, before PAM
// and its modules see it.
func checkName(name string) error {
	ok := name != "" && len(name) <= maxUserName && name[0] != '-' && name[0] != '.'
	for i := 0; i < len(name) && ok; i++ {
		c := name[i]
		ok = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("._-+$", c) >= 0
	}
	if !ok {
		return fmt.Errorf("name is not an account's: %w", pam.ErrRefused)
	}
	return nil
}

// lookup finds the account and refuses those that are not people's.
func (m *Monitor) lookup(name string) (*account, error) {
	u, err := lookupUser(name)
	if err != nil {
		return nil, err
	}
	a := &account{name: u.Username, home: u.HomeDir}
	if a.uid, err = strconv.Atoi(u.Uid); err != nil {
		return nil, fmt.Errorf("uid of %s: %w", name, err)
	}
	if a.gid, err = strconv.Atoi(u.Gid); err != nil {
		return nil, fmt.Errorf("gid of %s: %w", name, err)
	}
	if os.Getuid() != 0 {
		if a.uid != os.Getuid() {
			return nil, fmt.Errorf("uid %d is not that of this smaild, which is not root: %w", a.uid, pam.ErrRefused)
		}
		return a, nil
	}
	if a.uid < m.Config.MinUID || a.uid > m.Config.MaxUID {
		return nil, fmt.Errorf("uid %d is not from min_uid %d to max_uid %d: %w",
			a.uid, m.Config.MinUID, m.Config.MaxUID, pam.ErrRefused)
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups of %s: %w", name, err)
	}
	for _, id := range ids {
		gid, err := strconv.Atoi(id)
		if err != nil {
			return nil, fmt.Errorf("groups of %s: %w", name, err)
		}
		a.groups = append(a.groups, gid)
	}
	return a, nil
}

// lookupUser asks the system's user database. The name that comes back must
// be the one asked for: a database that folds case would give one user two.
func lookupUser(name string) (*user.User, error) {
	u, err := user.Lookup(name)
	if _, unknown := err.(user.UnknownUserError); unknown || err == nil && u.Username != name {
		return nil, fmt.Errorf("no such account: %w", pam.ErrRefused)
	}
	return u, err
}

// setGroups gives the process the user's groups, which PAM's modules expect
// and may add to.
func (a *account) setGroups() error {
	if os.Getuid() != 0 {
		return nil
	}
	if err := syscall.Setgroups(a.groups); err != nil {
		return os.NewSyscallError("setgroups", err)
	}
	return nil
}
