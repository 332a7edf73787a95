package imapd

import (
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
	how, silent, fs, err := s.storeArgs()
	if err != nil {
		return err
	}
	if err := s.writable(); err != nil {
		return err
	}
	places, gone, err := s.box.pick(set, uid)
	if err != nil {
		return err
	}
	bits, err := s.storeBits(how, fs)
	if err != nil {
		return err
	}
	err = s.box.SetFlags(places, func(old maildir.Flags) maildir.Flags {
		switch how {
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
		if m := s.box.Message(i); m.Gone {
			gone = true
		} else if !silent {
			s.tellFlags(i, m, uid)
		}
	}
	if gone && !uid {
		return s.finishGone()
	}
	return s.finish(uid, "", "STORE done")
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

// storeArgs takes [+-]FLAGS[.SILENT] and the flags, in a list or bare.
func (s *session) storeArgs() (how byte, silent bool, fs []goimap.Flag, err error) {
	if !s.d.SP() {
		return 0, false, nil, s.d.Err()
	}
	switch {
	case s.d.Try('+'):
		how = '+'
	case s.d.Try('-'):
		how = '-'
	}
	var item string
	if !s.d.Keyword(&item) || !s.d.SP() {
		return 0, false, nil, s.d.Err()
	}
	if item, silent = strings.CutSuffix(item, ".SILENT"); item != "FLAGS" {
		return 0, false, nil, imap.Bad("Unknown STORE item")
	}
	if s.d.Next('(') {
		if !s.d.Flags(&fs) {
			return 0, false, nil, s.d.Err()
		}
	} else {
		for {
			var f goimap.Flag
			if !s.d.Flag(&f) {
				return 0, false, nil, s.d.Err()
			}
			fs = append(fs, f)
			if !s.d.Try(' ') {
				break
			}
		}
	}
	if !s.d.CRLF() {
		return 0, false, nil, s.d.Err()
	}
	return how, silent, fs, nil
}
