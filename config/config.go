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
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
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

	RelayDenyNetworks []netip.Prefix
	RelayMaxMessages  int
	RelayFolder       string // empty: none
	RelayAuth         string // empty: none
	SendersFile       string
	HideClientAddress bool
	SaveSent          bool
	RateLimit         RateLimit

	Relay       Relay
	SenderCheck string // "reject", "rewrite" or "off"

	MaxMessageSize           int64 // bytes
	MaxRecipients            int
	MaxSessionsPerUser       int
	MaxConnections           int
	MaxConnectionsPerAddress int
	MaxStartups              Startups
	MaxStartupsPerNetwork    int
	PenaltyExemptNetworks    []netip.Prefix

	LoginTimeout    time.Duration
	IdleTimeout     time.Duration
	NamespacePrefix string
	POP3UIDL        string
	Fsync           string // "always", "optimized" or "never"

	Given map[string][][]string // what the file says: a directive's values, for each time it stands there
}

// A Relay is where submitted mail goes.
type Relay struct {
	Kind string // "sendmail", "smtp", "smtps", "lmtp" or "maildir"
	To   string // path or host:port
}

// Startups bounds connections before their login: from Begin on Percent of them
// are refused, and more up to Full.
type Startups struct{ Begin, Percent, Full int }

// A RateLimit bounds what a user sends within an hour; 0 is no bound.
type RateLimit struct{ Messages, Recipients int }

// PenaltyExempt says whether an address is many users': see penalty_exempt_networks.
func (c *Config) PenaltyExempt(addr netip.Addr) bool {
	return slices.ContainsFunc(c.PenaltyExemptNetworks, func(n netip.Prefix) bool { return n.Contains(addr) })
}

// Default returns the settings of an empty file.
func Default() *Config {
	c := &Config{}
	for _, s := range Settings {
		if s.Default == nil {
			continue
		}
		if err := s.set(c, s.Default); err != nil {
			panic("config: default of " + s.Name + ": " + err.Error())
		}
	}
	if name, err := os.Hostname(); err == nil {
		c.Hostname = name
	}
	return c
}

const maxFileBytes = 256 << 10

// Load reads and checks a file. An error names the file, the line, the
// directive and what was expected.
func Load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFileBytes {
		return nil, fmt.Errorf("%s: longer than %d bytes", path, maxFileBytes)
	}
	block, err := scfg.Read(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c := Default()
	if number, err := c.apply(block); err != nil {
		return nil, fmt.Errorf("%s: line %d: %w", path, lineOf(text, number), err)
	}
	if len(c.TLSCertificates) != len(c.TLSKeys) {
		return nil, fmt.Errorf("%s: each tls_certificate needs its tls_key: there are %d and %d",
			path, len(c.TLSCertificates), len(c.TLSKeys))
	}
	if c.MinUID > c.MaxUID {
		return nil, fmt.Errorf("%s: min_uid %d is larger than max_uid %d: nobody could log in", path, c.MinUID, c.MaxUID)
	}
	return c, nil
}

// apply carries out directives. With an error comes the number of the one that
// is wrong.
func (c *Config) apply(block scfg.Block) (number int, err error) {
	c.Given = map[string][][]string{}
	for i, d := range block {
		s := find(d.Name)
		switch {
		case s == nil:
			return i, fmt.Errorf("unknown directive %q", d.Name)
		case d.Children != nil:
			return i, fmt.Errorf("%s takes no block", d.Name)
		case c.Given[d.Name] != nil && !s.Repeatable:
			return i, fmt.Errorf("%s may stand only once", d.Name)
		}
		if err := s.set(c, d.Params); err != nil {
			return i, fmt.Errorf("%s: %w", d.Name, err)
		}
		c.Given[d.Name] = append(c.Given[d.Name], d.Params)
	}
	return 0, nil
}

// lineOf finds the line of a directive by its number, which scfg does not tell.
func lineOf(text []byte, number int) int {
	line := 0
	for l := range bytes.Lines(text) {
		line++
		if block, err := scfg.Read(bytes.NewReader(l)); err == nil && len(block) == 0 {
			continue // empty, or a comment
		}
		if number--; number < 0 {
			break
		}
	}
	return line
}

func find(name string) *Setting {
	for i := range Settings {
		if Settings[i].Name == name {
			return &Settings[i]
		}
	}
	return nil
}

// MaildirOf returns the Maildir of a user with this home.
func (c *Config) MaildirOf(user, home string) string {
	path := strings.ReplaceAll(c.Maildir, "%u", user)
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		return home + "/" + rest
	}
	return path
}
