// Package config reads /etc/smail/smail.conf: a directive a line (scfg).
//
//	hostname mail.example.org
//	tls_certificate /etc/letsencrypt/live/mail.example.org/fullchain.pem
//	tls_key /etc/letsencrypt/live/mail.example.org/privkey.pem
//	relay sendmail /usr/sbin/sendmail
//
// The monitor and the sessions read it; it holds no secret and is readable by
// all. Everything that may stand in it is in the table of settings.go.
package config

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"codeberg.org/emersion/go-scfg"
)

// DefaultPath is where the file is, unless -config says otherwise.
const DefaultPath = "/etc/smail/smail.conf"

// A Config holds every setting; Default fills it from the table.
type Config struct {
	TLSCertificates []string // PEM files, in step with TLSKeys
	TLSKeys         []string
	Hostname        string
	PAMService      string
	PAMConfDir      string
	PAMSession      string // "brief" or "held"
	MinUID, MaxUID  int
	LoginDomains    []string
	Maildir         string // "~/" is the user's home
	LibexecDir      string
	FrontUser       string
	SessionFile     string
	RelayWindow     time.Duration
	RelayLiveOnly   bool
	Relay           Relay
	SenderCheck     string // "reject", "rewrite" or "off"

	MaxMessageSize           int64 // bytes
	MaxRecipients            int
	MaxSessionsPerUser       int
	MaxConnections           int
	MaxConnectionsPerAddress int

	LoginTimeout    time.Duration
	IdleTimeout     time.Duration
	NamespacePrefix string
	POP3UIDL        string
	Fsync           string // "always", "optimized" or "never"
}

// A Relay is where submitted mail goes.
type Relay struct {
	Kind string // "sendmail", "smtp", "smtps", "lmtp" or "maildir"
	To   string // path or host:port
}

// Default returns the settings of an empty file.
func Default() *Config {
	c := &Config{}
	for _, s := range Settings {
		for _, v := range s.Default {
			if err := s.set(c, []string{v}); err != nil {
				panic("config: default of " + s.Name + ": " + err.Error())
			}
		}
	}
	if name, err := os.Hostname(); err == nil {
		c.Hostname = name
	}
	return c
}

// Load reads and checks a file. An error names the file, the directive, its
// line and what was expected.
func Load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines, err := readLines(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c := Default()
	seen := map[string]int{}
	for _, l := range lines {
		s := find(l.name)
		if s == nil {
			return nil, fmt.Errorf("%s: line %d: unknown directive %q", path, l.number, l.name)
		}
		if first := seen[l.name]; first != 0 && !s.Repeatable {
			return nil, fmt.Errorf("%s: line %d: %s stands in line %d already", path, l.number, l.name, first)
		}
		seen[l.name] = l.number
		if err := s.set(c, l.params); err != nil {
			return nil, fmt.Errorf("%s: line %d: %s: %w", path, l.number, l.name, err)
		}
	}
	if len(c.TLSCertificates) != len(c.TLSKeys) {
		return nil, fmt.Errorf("%s: each tls_certificate needs its tls_key: there are %d and %d",
			path, len(c.TLSCertificates), len(c.TLSKeys))
	}
	return c, nil
}

func find(name string) *Setting {
	for i := range Settings {
		if Settings[i].Name == name {
			return &Settings[i]
		}
	}
	return nil
}

type line struct {
	number int
	name   string
	params []string
}

const maxFileBytes = 256 << 10

// readLines parses the file a line at a time, since scfg does not tell the
// line of a directive that it has parsed.
func readLines(f *os.File) ([]line, error) {
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFileBytes {
		return nil, fmt.Errorf("longer than %d bytes", maxFileBytes)
	}
	var lines []line
	for i, l := range strings.Split(string(text), "\n") {
		number := i + 1
		block, err := scfg.Read(strings.NewReader(l))
		if err != nil {
			return nil, fmt.Errorf("line %d: %q is not a directive and its values", number, l)
		}
		for _, d := range block {
			if d.Children != nil {
				return nil, fmt.Errorf("line %d: %s takes no block", number, d.Name)
			}
			lines = append(lines, line{number, d.Name, d.Params})
		}
	}
	return lines, nil
}

// MaildirOf returns the Maildir of a user with this home.
func (c *Config) MaildirOf(user, home string) string {
	path := strings.ReplaceAll(c.Maildir, "%u", user)
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		return home + "/" + rest
	}
	return path
}
