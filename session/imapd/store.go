package imapd

import (
	"math"
	"slices"
	"strings"

	goimap "github.com/emersion/go-imap/v2"

	"smail/imap"
	"smail/maildir"
)

func equalFold(a, b string) bool { return strings.EqualFold(a, b) }

// store: RFC 3501 section 6.4.6, UID STORE: section 6.4.8.
func (s *session) store(uid bool) error {
	set, err := s.set()
	if err != nil {
		return err
	}
	change, err := s.storeArgs()
	if err != nil {
		return err
	}
	if err := s.writable(); err != nil {
		return err
	}
	places, gone, err := s.pick(set, uid)
	if err != nil {
		return err
	}
	bits, err := s.storeBits(change.how, change.flags)
	if err != nil {
		return err
	}
	refused, err := s.box.SetFlagsUnchanged(places, change.since, func(old maildir.Flags) maildir.Flags {
		switch change.how {
		case '+':
			return old | bits
		case '-':
			return old &^ bits
		}
		return old&^allBits | bits
	})
	if err != nil {
		return err
	}
	for _, i := range places {
		m := s.box.Message(i)
		_, isRefused := slices.BinarySearch(refused, i)
		switch {
		case m.Gone:
			gone = true
		case !change.silent || isRefused:
			s.tellFlags(i, m, uid)
		case s.on.condstore: // RFC 7162 section 3.1.3
			s.tellModSeq(i, m)
		}
	}
	if gone && !uid && len(refused) == 0 {
		return s.finishGone()
	}
	return s.finish(uid, s.modified(refused, uid), "STORE done")
}

// modified is the response code for messages that had changed: RFC 7162 section
// 3.1.3.
func (s *session) modified(places []int, uid bool) string {
	if len(places) == 0 {
		return ""
	}
	var set imap.NumSet
	for _, i := range places {
		if uid {
			set.Add(s.box.Message(i).UID)
		} else {
			set.Add(uint32(i + 1))
		}
	}
	return "MODIFIED " + set.String()
}

// storeBits returns the store's flags, with keywords made that are to be set.
func (s *session) storeBits(how byte, fs []goimap.Flag) (maildir.Flags, error) {
	if how == '-' {
		return bitsOf(fs) | s.box.FindKeywords(keywordsOf(fs)), nil
	}
	keywords, err := s.box.AddKeywords(keywordsOf(fs))
	if err == maildir.ErrKeywords {
		err = imap.No(goimap.ResponseCodeLimit, "A mailbox has at most %d keywords", maildir.MaxKeywords)
	}
	s.tellKeywords()
	return bitsOf(fs) | keywords, err
}

// A flagChange is what STORE asks for.
type flagChange struct {
	since  uint64 // only of messages that have not changed since this modseq
	how    byte   // '+', '-', or 0: these and no others
	silent bool
	flags  []goimap.Flag
}

// storeArgs takes (UNCHANGEDSINCE n) (RFC 7162 section 3.1.3), which is
// optional, [+-]FLAGS[.SILENT] and the flags, in a list or bare.
func (s *session) storeArgs() (c flagChange, err error) {
	c.since = math.MaxUint64
	if !s.d.SP() {
		return c, s.d.Err()
	}
	if s.d.Next('(') && (!s.d.List(func() bool { return s.unchangedSince(&c) }) || !s.d.SP()) {
		return c, s.d.Err()
	}
	switch {
	case s.d.Try('+'):
		c.how = '+'
	case s.d.Try('-'):
		c.how = '-'
	}
	var item string
	if !s.d.Keyword(&item) || !s.d.SP() {
		return c, s.d.Err()
	}
	if item, c.silent = strings.CutSuffix(item, ".SILENT"); item != "FLAGS" {
		return c, imap.Bad("Unknown STORE item")
	}
	if s.d.Next('(') {
		if !s.d.Flags(&c.flags) {
			return c, s.d.Err()
		}
	} else {
		for {
			var f goimap.Flag
			if !s.d.Flag(&f) {
				return c, s.d.Err()
			}
			c.flags = append(c.flags, f)
			if !s.d.Try(' ') {
				break
			}
		}
	}
	if !s.d.CRLF() {
		return c, s.d.Err()
	}
	return c, nil
}

func (s *session) unchangedSince(c *flagChange) bool {
	var name string
	if !s.d.Keyword(&name) {
		return false
	}
	if name != "UNCHANGEDSINCE" {
		return s.d.Fail(imap.Bad("Unknown STORE modifier"))
	}
	s.enableCondStore()
	return s.d.SP() && s.d.Number64(&c.since)
}
