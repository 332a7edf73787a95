package submitd

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/mail"
	"slices"
	"strings"

	"github.com/emersion/go-smtp"

	"smail/message"
)

// senderCheck is the setting in force. Who sends without a password may be
// nobody but the user last seen at the address.
func (s *server) senderCheck() string {
	if s.Recent {
		return "reject"
	}
	return s.Config.SenderCheck
}

// sender decides on an envelope sender.
func (s *server) sender(from string) (string, error) {
	if s.own.Own(from) || from == "" && !s.Recent {
		return from, nil
	}
	switch s.senderCheck() {
	case "reject":
		return from, reply(553, smtp.EnhancedCode{5, 7, 1}, "Sender is not an address of %s", s.User)
	case "rewrite":
		return s.own.Main(), nil
	}
	return from, nil
}

// author holds From and Sender to the user: RFC 6409 sections 6.3 and 8.1. It
// returns the header with a From of which every address is his, or as it was
// where that is not checked, and with a Sender where From does not name the
// login. The last line has its end.
func (s *server) author(h message.Header) (message.Header, error) {
	from, err := s.from(h)
	if err != nil {
		return nil, err
	}
	senders := fields(h, "Sender")
	foreign := len(senders) > 1
	for _, f := range senders {
		list, err := parseAddresses(f)
		foreign = foreign || err != nil || len(list) != 1 || !s.own.Own(list[0].Address)
	}
	check := s.senderCheck()
	if foreign && check == "reject" {
		return nil, reply(550, smtp.EnhancedCode{5, 7, 1}, "Sender: is not an address of %s", s.User)
	}
	if err := s.resent(h); err != nil && check != "off" {
		return nil, err
	}
	if foreign {
		h, senders = h.Without([]string{"Sender"}), nil
	}
	if from.changed {
		h = h.Without([]string{"From"})
	}
	if len(h) > 0 && h[len(h)-1] != '\n' {
		h = append(h, '\n')
	}
	if from.changed {
		h = fmt.Appendf(h, "From: %s\n", from)
	}
	named := len(from.list) == 1 && s.own.Named(from.list[0].Address)
	if !named && len(senders) == 0 {
		h = fmt.Appendf(h, "Sender: %s\n", s.own.Main())
	}
	return h, nil
}

// resent refuses a message that is said to be sent once more by somebody else. The
// first fields say so; below them may be those of who sent it before, from the first
// that comes once more or a Received on: RFC 5322 section 3.6.6.
func (s *server) resent(h message.Header) error {
	if values := fields(h, "Resent-From"); len(values) > 0 && !s.ownAll(values[0]) {
		return reply(550, smtp.EnhancedCode{5, 7, 1}, "Resent-From: is not an address of %s", s.User)
	}
	seen := map[string]bool{}
	for name, lines := range h.Fields() {
		key := strings.ToLower(string(bytes.TrimRight(name, " \t")))
		if seen[key] || key == "received" && len(seen) > 0 {
			break
		}
		seen[key] = seen[key] || strings.HasPrefix(key, "resent-")
		if key == "resent-sender" {
			if _, value, _ := bytes.Cut(lines, []byte(":")); !s.ownAll(string(value)) {
				return reply(550, smtp.EnhancedCode{5, 7, 1}, "Resent-Sender: is not an address of %s", s.User)
			}
		}
	}
	return nil
}

// ownAll says whether all addresses of a field are the user's.
func (s *server) ownAll(value string) bool {
	list, err := parseAddresses(strings.NewReplacer("\r", "", "\n", "").Replace(value))
	return err == nil && !slices.ContainsFunc(list, func(a *mail.Address) bool { return !s.own.Own(a.Address) })
}

// A from is the addresses of From.
type from struct {
	list    []*mail.Address
	changed bool // they are not what was sent
}

// from reads and checks From. RFC 5322 section 3.6 wants one, which is added.
func (s *server) from(h message.Header) (*from, error) {
	values := fields(h, "From")
	mine := &from{[]*mail.Address{{Address: s.own.Main()}}, true}
	if len(values) == 0 {
		return mine, nil
	}
	check := s.senderCheck()
	list, err := parseAddresses(values[0])
	switch {
	case check == "off":
		return &from{list: list}, nil
	case len(values) > 1 && check == "reject":
		return nil, reply(550, smtp.EnhancedCode{5, 6, 0}, "More than one From field")
	case err != nil && check == "reject":
		return nil, reply(550, smtp.EnhancedCode{5, 6, 0}, "From: cannot be read")
	case len(values) > 1 || err != nil:
		return mine, nil
	}
	f := &from{}
	named := func(address string) bool {
		return slices.ContainsFunc(f.list, func(a *mail.Address) bool { return a.Address == address })
	}
	for _, a := range list {
		if s.own.Own(a.Address) {
			if !f.changed || !named(a.Address) {
				f.list = append(f.list, a)
			}
			continue
		}
		if check == "reject" {
			return nil, reply(550, smtp.EnhancedCode{5, 7, 1}, "From: %s is not an address of %s", oneLine(a.Address), s.User)
		}
		f.changed = true
		if !named(s.own.Main()) {
			f.list = append(f.list, &mail.Address{Name: a.Name, Address: s.own.Main()})
		}
	}
	return f, nil
}

func (f *from) String() string {
	var list []string
	for _, a := range f.list {
		list = append(list, a.String())
	}
	return strings.Join(list, ",\n ")
}

// fields returns the values of the fields of a name, unfolded.
func fields(h message.Header, name string) (values []string) {
	for n, lines := range h.Fields() {
		if strings.EqualFold(string(n), name) {
			_, value, _ := bytes.Cut(lines, []byte(":"))
			values = append(values, strings.NewReplacer("\r", "", "\n", "").Replace(string(value)))
		}
	}
	return values
}

const maxAuthorBytes = 64 << 10

// parseAddresses reads addresses as strictly as RFC 5322 allows: what can be
// read in two ways must not be checked in one and shown in the other. Letters
// beyond ASCII, which stand in names, need be of no charset.
func parseAddresses(value string) ([]*mail.Address, error) {
	if len(value) > maxAuthorBytes {
		return nil, fmt.Errorf("longer than %d bytes", maxAuthorBytes)
	}
	as := func(charset string, r io.Reader) (io.Reader, error) { return r, nil }
	p := mail.AddressParser{WordDecoder: &mime.WordDecoder{CharsetReader: as}}
	list, err := p.ParseList(strings.ToValidUTF8(value, "?"))
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("no address")
	}
	return list, err
}
