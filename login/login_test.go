package login

import (
	"bytes"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

func pair(t *testing.T) (a, b int) {
	t.Helper()
	p, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(p[0]); syscall.Close(p[1]) })
	return p[0], p[1]
}

func TestRequests(t *testing.T) {
	for _, r := range []*Request{
		{Kind: KindPassword, Name: "alice", Password: []byte("pw\x00x")},
		{Kind: KindPassword, Name: strings.Repeat("n", MaxName), Password: bytes.Repeat([]byte("p"), MaxPassword)},
		{Kind: KindSign, Cert: 2, Hash: 5, PSS: true, Message: bytes.Repeat([]byte{1}, MaxSign)},
		{Kind: KindRecent},
	} {
		a, b := pair(t)
		if err := WriteRequest(a, r); err != nil {
			t.Fatal(err)
		}
		got, err := ReadRequest(b)
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("got %+v, %v; want %+v", got, err, r)
		}
	}
}

// TestHostileFrames: the front may send anything.
func TestHostileFrames(t *testing.T) {
	good := []byte{version, byte(KindPassword), 0, 1, 'a', 0, 1, 'p'}
	for name, frame := range map[string][]byte{
		"version": append([]byte{9}, good[1:]...), "kind": {version, 'x'}, "short": good[:5], "long": append(bytes.Clone(good), 0),
		"an answer": {version, byte(KindAnswer), 'o', 0, 0}, "too large": bytes.Repeat([]byte{1}, MaxFrame+1), "length beyond": {version, 'p', 0xff, 0xff, 'a'},
		"long name": append([]byte{version, 'p', 1, 0x2c}, bytes.Repeat([]byte{'a'}, 302)...), "one byte": {version},
		"recent with more": {version, byte(KindRecent), 0},
	} {
		a, b := pair(t)
		if err := syscall.Sendto(a, frame, 0, nil); err != nil {
			t.Fatal(err)
		}
		if r, err := ReadRequest(b); err == nil {
			t.Errorf("%s: read %+v", name, r)
		}
	}
	a, b := pair(t)
	syscall.Shutdown(a, syscall.SHUT_WR)
	if _, err := ReadRequest(b); err != ErrEOF {
		t.Errorf("after the end: %v", err)
	}
}

func TestAnswers(t *testing.T) {
	a, b := pair(t)
	want := Answer{Signed, bytes.Repeat([]byte{7}, 512)}
	if err := WriteAnswer(a, want); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadAnswer(b); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestSetup(t *testing.T) {
	want := &Setup{Service: "imaps", Hostname: "mail.example.org", Peer: "192.0.2.7", Chains: [][][]byte{{{1, 2}, {3}}, {{4}}},
		LoginTimeout: time.Minute, IdleTimeout: time.Hour, MaxMessageSize: 1 << 31, MaxRecipients: 100, Recent: true}
	b := want.Marshal()
	if got, err := UnmarshalSetup(b); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	for i := range b {
		UnmarshalSetup(b[:i]) // must not panic
	}
}

func TestHello(t *testing.T) {
	want := &Hello{Tag: "a1", Greeted: "client", TLS: "TLS1.3", Cipher: "X"}
	var b bytes.Buffer
	if err := WriteHello(&b, want); err != nil {
		t.Fatal(err)
	}
	b.WriteString("a2 NOOP\r\n")
	if got, err := ReadHello(&b); err != nil || *got != *want || b.String() != "a2 NOOP\r\n" {
		t.Errorf("got %+v, %v; left %q", got, err, b.String())
	}
	if err := WriteHello(&b, &Hello{Tag: strings.Repeat("x", 5000)}); err == nil {
		t.Error("a hello without a limit was written")
	}
}

func FuzzSetup(f *testing.F) {
	f.Add((&Setup{Service: "imaps", Chains: [][][]byte{{{1}}}}).Marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := UnmarshalSetup(b); err == nil && !bytes.Equal(s.Marshal(), b) && len(b) < 1000 {
			if again, err := UnmarshalSetup(s.Marshal()); err != nil || !reflect.DeepEqual(again, s) {
				t.Errorf("%+v came back as %+v, %v", s, again, err)
			}
		}
	})
}

// FuzzRequest: what is taken of a front is within the limits, and is all of its frame.
func FuzzRequest(f *testing.F) {
	for _, r := range []*Request{{Kind: KindPassword, Name: "alice", Password: []byte("x")}, {Kind: KindSign, Hash: 5, Message: []byte("m")}, {Kind: KindRecent}} {
		f.Add(r.frame())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRequest(b)
		if err != nil {
			return
		}
		if len(r.Name) > MaxName || len(r.Password) > MaxPassword || len(r.Message) > MaxSign {
			t.Errorf("%d bytes became %+v", len(b), r)
		}
		if back := r.frame(); len(back) != len(b) || r.Kind != KindSign && !bytes.Equal(back, b) {
			t.Errorf("%x came back as %x", b, back)
		}
	})
}

// FuzzHello: a front that was taken over says what it likes; the session takes what is
// whole, and not a byte behind it.
func FuzzHello(f *testing.F) {
	var b bytes.Buffer
	WriteHello(&b, &Hello{Tag: "a1", Greeted: "client", TLS: "TLS1.3", Cipher: "X"})
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, said []byte) {
		r := bytes.NewReader(append(bytes.Clone(said), "behind"...))
		h, err := ReadHello(r)
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := WriteHello(&again, h); err != nil || !bytes.HasPrefix(append(bytes.Clone(said), "behind"...), again.Bytes()) || r.Len() != len(said)+6-again.Len() {
			t.Errorf("%x became %+v, with %d bytes left; %v", said, h, r.Len(), err)
		}
	})
}
