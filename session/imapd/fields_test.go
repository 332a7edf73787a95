package imapd

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"smail/message"
)

// FuzzFields keeps fields of any header, and takes others from them than were asked
// for: what comes is as from the header itself, whatever order and case it has.
func FuzzFields(f *testing.F) {
	f.Add("From: a@b.c\r\nSubject: one\r\n two\r\nX-More: 1\r\nSUBJECT: three\r\n\r\n", "x-more", "subject x-more", []byte{})
	f.Add("Received: x\nTo: y\nno field\nsubject : z\n\n", "", "to subject received", []byte{})
	f.Add("To: y\n", "x-a x-b", "x-b", []byte{20, 200})
	f.Fuzz(func(t *testing.T, header, learned, wanted string, foreign []byte) {
		learnedNames, names := strings.Fields(strings.ToLower(learned)), strings.Fields(strings.ToLower(wanted))
		h, err := message.ReadHeader(strings.NewReader(header), nil)
		if err != nil {
			return
		}
		var k known
		k.learnFields(h, learnedNames)
		set := newFieldSet(names)
		if !k.hasFields(&set) {
			return
		}
		k.parse(slices.Clone(k.entry()))
		if k.parts[kindFields] == nil {
			t.Fatal("no index was kept")
		}
		if got, want := k.appendFields(nil, &set), h.Select(names, false); !bytes.Equal(got, want) {
			t.Errorf("%q of %q: %q, want %q", names, header, got, want)
		}
		for _, name := range names {
			one := newFieldSet([]string{name})
			if got, want := k.narrow(&one).Get(name), h.Get(name); !bytes.Equal(got, want) {
				t.Errorf("%s of %q: %q, want %q", name, header, got, want)
			}
		}
		k.parts[kindFields] = foreign // by a program that made it otherwise
		k.appendFields(nil, &set)
		k.narrow(&set)
	})
}
