package config

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

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
		if strings.Contains(host, ":") && (host[0] != '[' || host[len(host)-1] != ']') {
			return errors.New(want + "; an IPv6 address stands in brackets")
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

// networks takes addresses and prefixes, or none.
func networks(field func(*Config) *[]netip.Prefix) func(*Config, []string) error {
	return func(c *Config, params []string) error {
		list := []netip.Prefix{}
		for _, v := range params {
			if v == "none" && len(params) == 1 {
				break
			}
			p, err := netip.ParsePrefix(v)
			if a, aerr := netip.ParseAddr(v); aerr == nil {
				p, err = netip.PrefixFrom(a, a.BitLen()), nil
			}
			if err != nil || p != p.Masked() || p.Addr().Is4In6() || p.Addr().Zone() != "" {
				return fmt.Errorf("%q is not a network such as 192.0.2.0/24 or 2001:db8::/32", v)
			}
			list = append(list, p)
		}
		if len(params) == 0 {
			return errors.New("a value is missing")
		}
		*field(c) = list
		return nil
	}
}

func setRateLimit(c *Config, params []string) error {
	var limits [2]int
	if len(params) < 1 || len(params) > 2 {
		return errors.New("takes a number of messages and, if wanted, one of recipients")
	}
	for i, v := range params {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 || n > 1e6 {
			return fmt.Errorf("%q is not a number from 0 to 1000000", v)
		}
		limits[i] = n
	}
	c.RateLimit = RateLimit{limits[0], limits[1]}
	return nil
}

// setStartups reads what sshd's MaxStartups takes.
func setStartups(c *Config, params []string) error {
	v, err := single(params)
	if err != nil {
		return err
	}
	var n [3]int
	fields := strings.Split(v, ":")
	for i, f := range fields {
		k, err := strconv.Atoi(f)
		if err != nil || k < 1 || k > 100000 || len(fields) != 1 && len(fields) != 3 {
			return fmt.Errorf("%q is not a number, or BEGIN:PERCENT:FULL as in 10:30:100", v)
		}
		n[i] = k
	}
	if len(fields) == 1 {
		n = [3]int{n[0], 100, n[0]}
	}
	if n[1] > 100 || n[2] < n[0] {
		return fmt.Errorf("%q: PERCENT is at most 100, and FULL at least BEGIN", v)
	}
	c.MaxStartups = Startups{n[0], n[1], n[2]}
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
	if len(v) > 253 || isPlainName(v) != nil || strings.Contains(v+".", "..") {
		return fmt.Errorf("%q is not a host's or domain's name", v)
	}
	return nil
}

// isPrefix refuses what could not be put in front of a folder's name.
func isPrefix(v string) error {
	if v != "" && (!strings.HasSuffix(v, ".") || v[0] == '.' || strings.Contains(v, "..") || len(v) > 64 || strings.ContainsAny(v, "\"\\%*\r\n/")) {
		return fmt.Errorf("%q is not a prefix such as \"INBOX.\"", v)
	}
	return nil
}
