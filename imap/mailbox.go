package imap

import (
	"encoding/base64"
	"errors"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	goimap "github.com/emersion/go-imap/v2"
)

// maxMailboxBytes bounds a mailbox name in UTF-8; file systems take 255.
const maxMailboxBytes = 1000

var errMailbox = errors.New("imap: invalid mailbox name")

var modifiedBase64 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").
	WithPadding(base64.NoPadding)

// DecodeMailbox decodes modified UTF-7 (RFC 3501 section 5.1.3) to UTF-8. A
// name that is UTF-8 already is taken as it is. INBOX, in whatever case, comes
// back in capitals.
func DecodeMailbox(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] != '&' {
			if s[i] < ' ' || s[i] == 0x7f {
				return "", errMailbox
			}
			b.WriteByte(s[i])
			i++
			continue
		}
		end := strings.IndexByte(s[i:], '-')
		if end < 0 {
			return "", errMailbox
		}
		text, err := decodeShifted(s[i+1 : i+end])
		if err != nil {
			return "", err
		}
		b.WriteString(text)
		i += end + 1
	}
	return CheckMailbox(b.String())
}

// CheckMailbox takes a mailbox name in UTF-8. INBOX, in whatever case, comes
// back in capitals.
func CheckMailbox(name string) (string, error) {
	if len(name) > maxMailboxBytes || !utf8.ValidString(name) {
		return "", errMailbox
	}
	for i := range len(name) {
		if name[i] < ' ' || name[i] == 0x7f {
			return "", errMailbox
		}
	}
	if strings.EqualFold(name, "INBOX") {
		return "INBOX", nil
	}
	return name, nil
}

func decodeShifted(s string) (string, error) {
	if s == "" {
		return "&", nil
	}
	b, err := modifiedBase64.DecodeString(s)
	if err != nil || len(b)%2 != 0 {
		return "", errMailbox
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = uint16(b[2*i])<<8 | uint16(b[2*i+1])
	}
	runes := utf16.Decode(units)
	for _, r := range runes {
		// What could be written plainly must be, so that a name has one form.
		if r == utf8.RuneError || r >= ' ' && r < 0x7f || r < ' ' || r == 0x7f {
			return "", errMailbox
		}
	}
	return string(runes), nil
}

// EncodeMailbox encodes a UTF-8 name as modified UTF-7.
func EncodeMailbox(name string) string {
	plain := true
	for i := 0; i < len(name); i++ {
		plain = plain && name[i] >= ' ' && name[i] < 0x7f && name[i] != '&'
	}
	if plain {
		return name
	}
	var b strings.Builder
	var shifted []rune
	flush := func() {
		if len(shifted) == 0 {
			return
		}
		var raw []byte
		for _, u := range utf16.Encode(shifted) {
			raw = append(raw, byte(u>>8), byte(u))
		}
		b.WriteString("&" + modifiedBase64.EncodeToString(raw) + "-")
		shifted = shifted[:0]
	}
	for _, r := range name {
		switch {
		case r == '&':
			flush()
			b.WriteString("&-")
		case r >= ' ' && r < 0x7f:
			flush()
			b.WriteRune(r)
		default:
			shifted = append(shifted, r)
		}
	}
	flush()
	return b.String()
}

// Match says whether a mailbox name matches LIST's pattern, in which * stands
// for anything and % for anything within one level. Its time is bounded by
// the product of the two lengths.
func Match(pattern, name string, separator byte) bool {
	// reach[j]: the pattern so far matches name[:j].
	reach := make([]bool, len(name)+1)
	reach[0] = true
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		if c == '*' || c == '%' {
			for j := 1; j <= len(name); j++ {
				reach[j] = reach[j] || reach[j-1] && (c == '*' || name[j-1] != separator)
			}
			continue
		}
		for j := len(name); j > 0; j-- {
			reach[j] = reach[j-1] && name[j-1] == c
		}
		reach[0] = false
	}
	return reach[len(name)]
}

// Mailbox takes a mailbox name and decodes it to UTF-8. INBOX comes in capitals.
func (d *Decoder) Mailbox(name *string) bool {
	var s string
	if !d.AString(&s) {
		return false
	}
	decode := DecodeMailbox
	if d.UTF8 {
		decode = CheckMailbox
	}
	decoded, err := decode(s)
	if err != nil {
		return d.fail(No(goimap.ResponseCodeCannot, "Mailbox name is not valid"))
	}
	*name = decoded
	return true
}
