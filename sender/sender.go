// Package sender knows which addresses are a user's to send from: his name at
// the host and at each login domain, and those that the administrator has given
// him in /etc/smail/senders:
//
//	# address            users
//	sales@example.org    alice bob
//	@example.net         carol
//
// In all of them +detail may follow the local part. The file is read by sessions
// as their users and by smail-policyd; it is believed only where nobody but root
// can write it.
package sender

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
)

const (
	maxFileBytes = 4 << 20
	maxLineBytes = 4 << 10
)

// Addresses are a user's.
type Addresses struct {
	user    string
	domains []string // of his own name; the first is the host's
	given   []string // from the file; "@domain" is all of it
}

// Of returns the addresses of a user. Without a file there are none but those
// of his name. With an error, which says all that is wrong in the file, come
// those that could be read.
func Of(user, hostname string, loginDomains []string, path string) (*Addresses, error) {
	a := &Addresses{user: user, domains: append([]string{hostname}, loginDomains...)}
	err := Read(path, func(address string, users []string) {
		if slices.Contains(users, user) {
			a.given = append(a.given, address)
		}
	})
	return a, err
}

// Main is the address that stands for the user where he has given none.
func (a *Addresses) Main() string { return a.user + "@" + a.domains[0] }

// List returns the addresses, without details.
func (a *Addresses) List() (list []string) {
	for _, d := range a.domains {
		list = append(list, a.user+"@"+d)
	}
	return append(list, a.given...)
}

// Named says whether an address is the user's by his name. Telephones write it with a
// capital, and to MTAs that is the same; a name that has capitals itself is matched
// as it is.
func (a *Addresses) Named(address string) bool {
	local, domain, ok := split(address)
	if a.user == lower(a.user) {
		local = lower(local)
	}
	return ok && local == a.user && slices.ContainsFunc(a.domains, func(d string) bool { return lower(d) == lower(domain) })
}

// lower makes ASCII letters small, and no others ASCII.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

// Own says whether an address is one of the user's.
func (a *Addresses) Own(address string) bool {
	if a.Named(address) {
		return true
	}
	address = lower(address)
	local, domain, ok := split(address)
	return ok && slices.ContainsFunc(a.given, func(g string) bool {
		g = lower(g)
		return g == address || g == local+"@"+domain || g == "@"+domain
	})
}

// split takes an address apart, without the local part's +detail.
func split(address string) (local, domain string, ok bool) {
	i := strings.LastIndexByte(address, '@')
	if i < 0 {
		return "", "", false
	}
	local, domain = address[:i], address[i+1:]
	if plus := strings.IndexByte(local, '+'); plus > 0 {
		local = local[:plus]
	}
	return local, domain, domain != ""
}

// Read calls each with every line of a file. A missing one has none; the error
// says every line that is wrong, which is passed over.
func Read(path string, each func(address string, users []string)) error {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	var st syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &st); err != nil {
		return fmt.Errorf("stat %s: %w", path, err)
	}
	switch {
	case st.Mode&syscall.S_IFMT != syscall.S_IFREG:
		return fmt.Errorf("%s is not a file", path)
	case st.Uid != 0 && int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0:
		return fmt.Errorf("%s can be written by others than root", path)
	case st.Size > maxFileBytes:
		return fmt.Errorf("%s is longer than %d bytes", path, maxFileBytes)
	}
	return parse(f, path, each)
}

func parse(r io.Reader, path string, each func(address string, users []string)) error {
	var wrong []error
	lines := bufio.NewReaderSize(io.LimitReader(r, maxFileBytes), maxLineBytes)
	for n := 1; ; n++ {
		line, err := lines.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			wrong = append(wrong, fmt.Errorf("%s: line %d: longer than %d bytes", path, n, maxLineBytes))
			for err == bufio.ErrBufferFull {
				_, err = lines.ReadSlice('\n')
			}
			line = nil
		}
		if err != nil && err != io.EOF {
			return errors.Join(append(wrong, fmt.Errorf("%s: line %d: %w", path, n, err))...)
		}
		if len(line) == 0 && err == io.EOF {
			return errors.Join(wrong...)
		}
		text, _, _ := strings.Cut(strings.TrimRight(string(line), "\n"), "#")
		f := strings.FieldsFunc(text, func(c rune) bool { return c == ' ' || c == '\t' || c == ',' || c == '\r' })
		if len(f) == 0 {
			continue
		}
		if err := check(f); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: line %d: %w", path, n, err))
			continue
		}
		each(f[0], f[1:])
	}
}

func check(fields []string) error {
	address := fields[0]
	at := strings.IndexByte(address, '@')
	if at < 0 || at != strings.LastIndexByte(address, '@') || at == len(address)-1 || strings.ContainsAny(address, "<>\"\\:;()") {
		return fmt.Errorf("%q is not an address or @domain", address)
	}
	if len(fields) == 1 {
		return fmt.Errorf("no user for %s", address)
	}
	return nil
}
