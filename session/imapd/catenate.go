package imapd

import (
	"errors"
	"io"
	"net/url"
	"strconv"
	"strings"

	goimap "github.com/emersion/go-imap/v2"

	"smail/imap"
	"smail/maildir"
)

// catenate takes a message in parts, TEXT literals and URLs of what is in a
// mailbox already: RFC 4469 section 3.
func (s *session) catenate(name string) (d *maildir.Delivery, err error) {
	if d, err = s.deliver(name); err != nil {
		return nil, err
	}
	size := int64(0)
	ok := s.d.List(func() bool {
		var n int64
		n, err = s.catenatePart(d, size)
		size += n
		return err == nil
	})
	if err == nil && !ok {
		err = s.d.Err()
	}
	if err == nil && size == 0 {
		err = imap.No("", "An empty message is none")
	}
	if err != nil {
		d.Abort()
		return nil, err
	}
	return d, nil
}

// catenatePart takes one part and returns how long it is.
func (s *session) catenatePart(d *maildir.Delivery, before int64) (int64, error) {
	var kind string
	if !s.d.Keyword(&kind) || !s.d.SP() {
		return 0, s.d.Err()
	}
	switch kind {
	case "TEXT":
		var l imap.Literal
		if !s.d.LiteralHeader(&l) {
			return 0, s.d.Err()
		}
		return l.Size, s.receive(d, l, before)
	case "URL":
		var text string
		if !s.d.AString(&text) {
			return 0, s.d.Err()
		}
		n, err := s.catenateURL(d, text, before)
		if errors.Is(err, errBadURL) || errors.Is(err, maildir.ErrGone) || errors.Is(err, maildir.ErrNoFolder) {
			err = badURL(text)
		}
		return n, err
	}
	return 0, imap.Bad("CATENATE takes TEXT and URL")
}

var errBadURL = errors.New("bad URL")

// badURL refuses a part: RFC 4469 section 5.
func badURL(text string) error {
	odd := func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`"\[]`, r) }
	if strings.ContainsFunc(text, odd) || len(text) > 1000 {
		text = ""
	}
	return imap.No(goimap.ResponseCode(`BADURL "`+text+`"`), "No such part of a message")
}

// A partURL names a section of a message: RFC 5092 section 11.
type partURL struct {
	mailbox  string // "": the selected one
	validity uint32 // 0: any
	uid      uint32
	section  imap.Section
}

// parseURL reads a URL relative to this server:
// /INBOX;UIDVALIDITY=785799047/;UID=20/;SECTION=1.2/;PARTIAL=0.1024
func parseURL(text string) (u partURL, err error) {
	rest, ok := strings.CutPrefix(text, "/")
	if !ok {
		return u, errBadURL
	}
	box, rest, ok := cutFold(rest, ";UID=")
	if !ok {
		return u, errBadURL
	}
	box = strings.TrimSuffix(box, "/")
	box, validity, hasValidity := cutFold(box, ";UIDVALIDITY=")
	if u.mailbox, err = url.PathUnescape(box); err != nil {
		return u, errBadURL
	}
	if hasValidity {
		n, err := strconv.ParseUint(validity, 10, 32)
		if err != nil {
			return u, errBadURL
		}
		u.validity = uint32(n)
	}
	spec := ""
	for i, field := range strings.Split(rest, "/;") {
		key, value, _ := strings.Cut(field, "=")
		switch {
		case i == 0:
			n, err := strconv.ParseUint(field, 10, 32)
			if err != nil {
				return u, errBadURL
			}
			u.uid = uint32(n)
		case equalFold(key, "SECTION"):
			if spec, err = url.PathUnescape(value); err != nil {
				return u, errBadURL
			}
		case equalFold(key, "PARTIAL"):
			if u.section.Partial, err = parsePartial(value); err != nil {
				return u, err
			}
		default:
			return u, errBadURL
		}
	}
	if err := imap.ParseSection(spec, &u.section); err != nil {
		return u, errBadURL
	}
	return u, nil
}

// cutFold is strings.Cut without regard to case, which no literal of a grammar
// has: RFC 5234 section 2.3. sep is in capitals.
func cutFold(s, sep string) (before, after string, found bool) {
	for i := 0; i+len(sep) <= len(s); i++ {
		if equalFold(s[i:i+len(sep)], sep) {
			return s[:i], s[i+len(sep):], true
		}
	}
	return s, "", false
}

// parsePartial reads PARTIAL's offset, and perhaps a length: RFC 5092 section
// 11, partial-range.
func parsePartial(value string) (*goimap.SectionPartial, error) {
	offset, length, hasLength := strings.Cut(value, ".")
	p := goimap.SectionPartial{Size: 1<<63 - 1}
	var err, lerr error
	p.Offset, err = strconv.ParseInt(offset, 10, 64)
	if hasLength {
		p.Size, lerr = strconv.ParseInt(length, 10, 64)
	}
	if err != nil || lerr != nil || p.Offset < 0 || p.Size <= 0 {
		return nil, errBadURL
	}
	return &p, nil
}

// catenateURL copies a section of a message.
func (s *session) catenateURL(d *maildir.Delivery, text string, before int64) (int64, error) {
	u, err := parseURL(text)
	if err != nil {
		return 0, err
	}
	box, done, err := s.boxOf(u.mailbox)
	if err != nil {
		return 0, err
	}
	defer done()
	place, found := box.ByUID(u.uid)
	if !found || u.validity != 0 && u.validity != box.UIDValidity {
		return 0, errBadURL
	}
	r := s.read(box, place)
	defer r.close()
	lowerAll(u.section.HeaderFields)
	if err := r.prepareSection(&u.section); err != nil {
		return 0, err
	}
	c, ok := r.content(&u.section)
	if !ok {
		return 0, errBadURL
	}
	skip, n := window(u.section.Partial, c.size)
	if n > s.MaxMessageSize-before {
		return 0, s.tooBig()
	}
	return n, c.copy(onlyWriter{io.Writer(d)}, skip, n)
}

// boxOf returns a mailbox to read in, the selected one for "", and what is to
// be called at the end.
func (s *session) boxOf(name string) (*mailbox, func(), error) {
	if name == "" {
		if s.box == nil {
			return nil, nil, errBadURL
		}
		return s.box, func() {}, nil
	}
	folder, err := s.folderName(name)
	if err != nil {
		return nil, nil, err
	}
	if s.box != nil && s.box.Name == folder {
		return s.box, func() {}, nil
	}
	f, err := s.Store.OpenFolder(folder, true)
	if err != nil {
		return nil, nil, err
	}
	return &mailbox{Folder: f, exists: f.Len()}, f.Close, nil
}
