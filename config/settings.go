package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A Setting is one directive: what the manual, `smailctl check` and the parser
// know of it.
type Setting struct {
	Name       string
	Type       string   // for people: "path", "duration", "brief|held"
	Default    []string // as it would stand in the file; nil: none
	Example    string   // another value, for the manual and the example file
	Repeatable bool
	Doc        string
	set        func(*Config, []string) error
}

// Settings is the table of all directives, in the order of the manual.
var Settings = []Setting{
	{"hostname", "name", nil, "mail.example.org", false,
		"Name of this host in greetings, Received lines and users' addresses; the system's own if not set.",
		one(func(c *Config) *string { return &c.Hostname }, isHostname)},
	{"tls_certificate", "path", nil, "/etc/letsencrypt/live/mail.example.org/fullchain.pem", true,
		"PEM file with a certificate and its chain. Once for each name the host is known by; the first is the default.",
		appendTo(func(c *Config) *[]string { return &c.TLSCertificates }, isAbsolute)},
	{"tls_key", "path", nil, "/etc/letsencrypt/live/mail.example.org/privkey.pem", true,
		"PEM file with the private key of the tls_certificate that stands at the same place in the order.",
		appendTo(func(c *Config) *[]string { return &c.TLSKeys }, isAbsolute)},
	{"pam_service", "name", []string{"smail"}, "smail", false,
		"PAM service that checks names and passwords. Its file must exist.",
		one(func(c *Config) *string { return &c.PAMService }, isPlainName)},
	{"pam_confdir", "path", nil, "/etc/smail/pam.d", false,
		"Folder of PAM service files to use instead of the system's.",
		one(func(c *Config) *string { return &c.PAMConfDir }, isAbsolute)},
	{"pam_session", "brief|held", []string{"brief"}, "held", false,
		"Whether PAM's session is opened and closed at login, or held open by a process of root's until the user leaves.",
		one(func(c *Config) *string { return &c.PAMSession }, isOneOf("brief", "held"))},
	{"min_uid", "number", []string{"1000"}, "500", false,
		"Accounts with a smaller uid cannot log in.",
		number(func(c *Config) *int { return &c.MinUID }, 1, 1<<31-2)},
	{"max_uid", "number", []string{"60000"}, "65000", false,
		"Accounts with a larger uid cannot log in.",
		number(func(c *Config) *int { return &c.MaxUID }, 1, 1<<31-2)},
	{"login_domains", "domain ...", nil, "example.org example.net", false,
		"user@ each of these logs in as user, and is one of the user's addresses.",
		appendTo(func(c *Config) *[]string { return &c.LoginDomains }, isHostname)},
	{"maildir", "path", []string{"~/Maildir"}, "/var/mail/%u/Maildir", false,
		"Where a user's mail is. ~/ is the user's home, %u the user's name.",
		one(func(c *Config) *string { return &c.Maildir }, isMaildir)},
	{"libexec_dir", "path", []string{"/usr/libexec/smail"}, "/usr/local/libexec/smail", false,
		"Folder of smail-front and the session programs.",
		one(func(c *Config) *string { return &c.LibexecDir }, isAbsolute)},
	{"front_user", "name", []string{"smail"}, "smail", false,
		"Account that smail-front runs as.",
		one(func(c *Config) *string { return &c.FrontUser }, isPlainName)},
	{"session_file", "path", []string{"/run/smail/sessions"}, "/run/smail/sessions", false,
		"File of recent logins. Its folder must be root's.",
		one(func(c *Config) *string { return &c.SessionFile }, isAbsolute)},
	{"relay_window", "duration", []string{"10m"}, "0", false,
		"How long after a login its address may send as its user without AUTH. 0 turns that off.",
		duration(func(c *Config) *time.Duration { return &c.RelayWindow }, 0, 30*time.Minute)},
	{"relay_live_only", "yes|no", []string{"no"}, "yes", false,
		"Whether sending without AUTH also needs a session that is still open.",
		yesNo(func(c *Config) *bool { return &c.RelayLiveOnly })},
	{"relay", "sendmail [PATH] | smtp HOST:PORT | smtps HOST:PORT | lmtp PATH | maildir PATH", []string{"sendmail"}, "smtps mx.example.org:465", false,
		"Where submitted mail goes.",
		setRelay},
	{"sender_check", "reject|rewrite|off", []string{"reject"}, "rewrite", false,
		"What happens to an envelope sender that is not one of the user's addresses.",
		one(func(c *Config) *string { return &c.SenderCheck }, isOneOf("reject", "rewrite", "off"))},
	{"max_message_size", "size", []string{"50M"}, "100M", false,
		"Largest message taken, by submission and APPEND.",
		size(func(c *Config) *int64 { return &c.MaxMessageSize })},
	{"max_recipients", "number", []string{"100"}, "500", false,
		"Most recipients of one submitted message.",
		number(func(c *Config) *int { return &c.MaxRecipients }, 1, 10000)},
	{"max_sessions_per_user", "number", []string{"50"}, "20", false,
		"Most sessions a user may have at once, those that send by a recent login not counted.",
		number(func(c *Config) *int { return &c.MaxSessionsPerUser }, 1, 100000)},
	{"max_connections", "number", []string{"1000"}, "5000", false,
		"Most connections at once, when smaild itself listens.",
		number(func(c *Config) *int { return &c.MaxConnections }, 1, 100000)},
	{"max_connections_per_address", "number", []string{"50"}, "200", false,
		"Most of them from one address.",
		number(func(c *Config) *int { return &c.MaxConnectionsPerAddress }, 1, 100000)},
	{"login_timeout", "duration", []string{"60s"}, "30s", false,
		"How long a client may take in all from its connection to its login.",
		duration(func(c *Config) *time.Duration { return &c.LoginTimeout }, time.Second, 10*time.Minute)},
	{"idle_timeout", "duration", []string{"35m"}, "1h", false,
		"How long a client that has logged in may be silent in IMAP; POP3 and submission take a third of it.",
		duration(func(c *Config) *time.Duration { return &c.IdleTimeout }, time.Minute, 24*time.Hour)},
	{"namespace_prefix", "text", nil, "INBOX.", false,
		"Prefix of all folders but INBOX, such as \"INBOX.\" after a switch from Courier.",
		one(func(c *Config) *string { return &c.NamespacePrefix }, isPrefix)},
	{"pop3_uidl", "dovecot|courier|cyrus|uw|qmail", []string{"dovecot"}, "courier", false,
		"Form of POP3 unique ids: that of the server used before, so that clients do not fetch everything again.",
		one(func(c *Config) *string { return &c.POP3UIDL }, isOneOf("dovecot", "courier", "cyrus", "uw", "qmail"))},
	{"fsync", "always|optimized|never", []string{"always"}, "optimized", false,
		"When a message or a change is told to be safe: when it is on the disk, when its data is, or at once.",
		one(func(c *Config) *string { return &c.Fsync }, isOneOf("always", "optimized", "never"))},
}

type check func(string) error

func one(field func(*Config) *string, ok check) func(*Config, []string) error {
	return func(c *Config, params []string) error {
		v, err := single(params)
		if err == nil {
			err = ok(v)
		}
		*field(c) = v
		return err
	}
}

func appendTo(field func(*Config) *[]string, ok check) func(*Config, []string) error {
	return func(c *Config, params []string) error {
		if len(params) == 0 {
			return errors.New("a value is missing")
		}
		for _, v := range params {
			if err := ok(v); err != nil {
				return err
			}
		}
		*field(c) = append(*field(c), params...)
		return nil
	}
}

func number(field func(*Config) *int, least, most int) func(*Config, []string) error {
	return func(c *Config, params []string) error {
		v, err := single(params)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(v)
		if err != nil || n < least || n > most {
			return fmt.Errorf("%q is not a number from %d to %d", v, least, most)
		}
		*field(c) = n
		return nil
	}
}

func duration(field func(*Config) *time.Duration, least, most time.Duration) func(*Config, []string) error {
	return func(c *Config, params []string) error {
		v, err := single(params)
		if err != nil {
			return err
		}
		d, err := time.ParseDuration(v)
		if v == "0" {
			d, err = 0, nil
		}
		if err != nil || d < least || d > most {
			return fmt.Errorf("%q is not a duration from %v to %v, such as 90s or 10m", v, least, most)
		}
		*field(c) = d
		return nil
	}
}

func yesNo(field func(*Config) *bool) func(*Config, []string) error {
	return func(c *Config, params []string) error {
		v, err := single(params)
		if err == nil {
			err = isOneOf("yes", "no")(v)
		}
		*field(c) = v == "yes"
		return err
	}
}

// maxSize keeps sizes below what clients hold in 32 bits.
const maxSize = 2 << 30

func size(field func(*Config) *int64) func(*Config, []string) error {
	return func(c *Config, params []string) error {
		v, err := single(params)
		if err != nil {
			return err
		}
		digits, factor := v, int64(1)
		for suffix, f := range map[string]int64{"K": 1 << 10, "M": 1 << 20, "G": 1 << 30} {
			if strings.HasSuffix(v, suffix) {
				digits, factor = strings.TrimSuffix(v, suffix), f
			}
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n < 1 || n > maxSize/factor {
			return fmt.Errorf("%q is not a size from 1 to 2G, such as 50M", v)
		}
		*field(c) = n * factor
		return nil
	}
}

func setRelay(c *Config, params []string) error {
	const want = "wants sendmail [PATH], smtp HOST:PORT, smtps HOST:PORT, lmtp PATH or maildir PATH"
	if len(params) == 1 && params[0] == "sendmail" {
		params = []string{"sendmail", "/usr/sbin/sendmail"}
	}
	if len(params) != 2 {
		return errors.New(want)
	}
	switch params[0] {
	case "sendmail", "lmtp", "maildir":
		if !filepath.IsAbs(params[1]) {
			return errors.New(want + "; PATH begins with /")
		}
	case "smtp", "smtps":
		host, port, ok := strings.Cut(params[1], ":")
		if i := strings.LastIndexByte(params[1], ':'); ok && i > 0 {
			host, port = params[1][:i], params[1][i+1:]
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
			return errors.New(want)
		}
	default:
		return errors.New(want)
	}
	c.Relay = Relay{params[0], params[1]}
	return nil
}

func single(params []string) (string, error) {
	if len(params) != 1 {
		return "", fmt.Errorf("takes one value, not %d", len(params))
	}
	return params[0], nil
}

func isOneOf(words ...string) check {
	return func(v string) error {
		for _, w := range words {
			if v == w {
				return nil
			}
		}
		return fmt.Errorf("%q is not one of %s", v, strings.Join(words, ", "))
	}
}

func isAbsolute(v string) error {
	if !filepath.IsAbs(v) {
		return fmt.Errorf("%q is not a path that begins with /", v)
	}
	return nil
}

func isMaildir(v string) error {
	if strings.HasPrefix(v, "~/") {
		return nil
	}
	if !filepath.IsAbs(v) {
		return fmt.Errorf("%q begins neither with ~/ nor with /", v)
	}
	return nil
}

func isPlainName(v string) error {
	for _, r := range v {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r)) {
			return fmt.Errorf("%q is not a plain name", v)
		}
	}
	if v == "" || v[0] == '.' || v[0] == '-' {
		return fmt.Errorf("%q is not a plain name", v)
	}
	return nil
}

func isHostname(v string) error {
	if len(v) > 253 || isPlainName(v) != nil {
		return fmt.Errorf("%q is not a host's or domain's name", v)
	}
	return nil
}

// isPrefix refuses what could not be put in front of a folder's name.
func isPrefix(v string) error {
	if v != "" && (!strings.HasSuffix(v, ".") || len(v) > 64 || strings.ContainsAny(v, "\"\\%*\r\n/")) {
		return fmt.Errorf("%q is not a prefix such as \"INBOX.\"", v)
	}
	return nil
}
