package imap

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	goimap "github.com/emersion/go-imap/v2"
)

func decode(input string) (*Decoder, *bytes.Buffer) {
	asked := &bytes.Buffer{}
	d := NewDecoder(bufio.NewReader(strings.NewReader(input)), BeforeLogin, func() error {
		asked.WriteString("+")
		return nil
	})
	d.Begin()
	return d, asked
}

func TestAString(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"atom ", "atom"}, {"a]b ", "a]b"}, {`"quo\"ted\\" `, `quo"ted\`}, {`"" `, ""},
		{"{3}\r\na b ", "a b"}, {"{0+}\r\n ", ""}, {"{2}\n\xc3\xa4 ", "ä"},
	} {
		d, _ := decode(c.in)
		var s string
		if !d.AString(&s) || !d.SP() || s != c.want {
			t.Errorf("%q: got %q, %v; want %q", c.in, s, d.Err(), c.want)
		}
	}
	for _, in := range []string{"", " ", "(", "\r\n", "\"a\r\n", "\"a\x00\"", `"a\b"`, "{1}", "{x}\r\n", "{5000}\r\n", "{2}\r\na\x00 ", "\xff "} {
		d, asked := decode(in)
		var s string
		if d.AString(&s) || d.Err() == nil {
			t.Errorf("%q: got %q, want an error", in, s)
		}
		if strings.HasPrefix(in, "{5000}") && asked.Len() > 0 {
			t.Error("asked for a literal that is too large")
		}
	}
}

// TestDiscard: whatever a command held, the next one is read where it begins.
func TestDiscard(t *testing.T) {
	for _, rest := range []string{"x y z\r\n", "(((\r\n", "\"a\r\n", "{5+}\r\nhello more\r\n", "{5+}\r\nhello{3+}\r\nabc\r\n",
		"a {100}\r\n", "{21+}\r\na DELETE everything\r\n\r\n", "\x00\r\n"} {
		d, _ := decode(rest + "next\r\n")
		var n uint32
		d.Number(&n) // fails, and reads some of it
		if err := d.Discard(); err != nil {
			t.Errorf("%q: %v", rest, err)
			continue
		}
		d.Begin()
		var s string
		if d.Atom(&s); s != "next" {
			t.Errorf("after %q the next command is %q (%v)", rest, s, d.Err())
		}
	}
	for _, rest := range []string{strings.Repeat("x", 9000) + "\r\n", "{99999999999999999999+}\r\n", "{4294967295+}\r\n", "no end"} {
		d, _ := decode(rest)
		var n uint32
		d.Number(&n)
		if err := d.Discard(); err == nil {
			t.Errorf("%.20q: the connection went on", rest)
		}
	}
}

func TestRefuseConsumesLiteral(t *testing.T) {
	d, _ := decode("{11+}\r\na LOGOUT\r\n \r\nnext\r\n")
	var l Literal
	if !d.LiteralHeader(&l) || !l.NonSync || l.Size != 11 {
		t.Fatalf("literal %+v, %v", l, d.Err())
	}
	d.Refuse(l, No("", "no"))
	if err := d.Discard(); err != nil {
		t.Fatal(err)
	}
	d.Begin()
	var s string
	if d.Atom(&s); s != "next" {
		t.Errorf("next command is %q", s)
	}
}

func TestNumSet(t *testing.T) {
	for _, c := range []struct{ in, resolved string }{
		{"1", "1"}, {"1:3,2:5,7", "1:5,7"}, {"*", "9"}, {"5:*", "5:9"}, {"*:5", "5:9"}, {"12:*", "9:12"}, {"3,1,2", "1,2,3"},
		{"1:4294967295", "1:4294967295"},
	} {
		d, _ := decode(c.in + "\r\n")
		var s NumSet
		if !d.NumSet(&s) || !d.CRLF() {
			t.Errorf("%s: %v", c.in, d.Err())
			continue
		}
		if got := s.Resolve(9).String(); got != c.resolved {
			t.Errorf("%s: got %s, want %s", c.in, got, c.resolved)
		}
	}
	for _, in := range []string{"", "0", "1,", "a", "1:", "4294967296", "-1", ":3"} {
		d, _ := decode(in + "\r\n")
		var s NumSet
		if d.NumSet(&s) && d.CRLF() {
			t.Errorf("%q was accepted as %s", in, s)
		}
	}
	r := NumSet{{2, 4}, {7, 7}, {10, 20}}
	for n, want := range map[uint32]bool{1: false, 2: true, 4: true, 5: false, 7: true, 20: true, 21: false} {
		if r.Contains(n) != want {
			t.Errorf("%s contains %d: %v", r, n, !want)
		}
	}
}

func TestMailboxNames(t *testing.T) {
	for utf8, encoded := range map[string]string{
		"INBOX": "INBOX", "Entwürfe": "Entw&APw-rfe", "R&D": "R&-D", "日本語": "&ZeVnLIqe-", "😀": "&2D3eAA-", "a/b.c": "a/b.c",
		"~peter/mail/台北/日本語": "~peter/mail/&U,BTFw-/&ZeVnLIqe-", // RFC 3501 section 5.1.3
	} {
		if got := EncodeMailbox(utf8); got != encoded {
			t.Errorf("%q: encoded %q, want %q", utf8, got, encoded)
		}
		if got, err := DecodeMailbox(encoded); err != nil || got != utf8 {
			t.Errorf("%q: decoded %q, %v, want %q", encoded, got, err, utf8)
		}
	}
	if got, _ := DecodeMailbox("inBox"); got != "INBOX" {
		t.Errorf("inBox: %q", got)
	}
	for _, bad := range []string{"&", "&A", "&AA-", "&AGE-", "&2D0-", "a\x00b", "a\nb", "\xff", "&&-"} {
		if got, err := DecodeMailbox(bad); err == nil {
			t.Errorf("%q was decoded to %q", bad, got)
		}
	}
}

func FuzzMailbox(f *testing.F) {
	f.Add("Entw&APw-rfe")
	f.Add("&-&U,BTFw-")
	f.Fuzz(func(t *testing.T, s string) {
		name, err := DecodeMailbox(s)
		if err != nil {
			return
		}
		if again, err := DecodeMailbox(EncodeMailbox(name)); err != nil || again != name {
			t.Errorf("%q: %q came back as %q, %v", s, name, again, err)
		}
	})
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "a.b", true}, {"%", "a.b", false}, {"%", "a", true}, {"a.%", "a.b", true}, {"a.%", "a.b.c", false},
		{"a*c", "a.b.c", true}, {"%.c", "a.b.c", false}, {"*.c", "a.b.c", true}, {"", "", true}, {"", "a", false}, {"a", "ab", false},
	} {
		if got := Match(c.pattern, c.name, '.'); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
	start := time.Now()
	Match(strings.Repeat("*%", 500)+"x", strings.Repeat("a", 250), '.')
	if d := time.Since(start); d > time.Second {
		t.Errorf("many wildcards took %v", d)
	}
}

func TestFetchItems(t *testing.T) {
	for _, in := range []string{"ALL", "(FLAGS UID)", "BODY[]", "BODY.PEEK[1.2.MIME]", "BODY[HEADER.FIELDS (From To)]<0.100>",
		"(BODY BODYSTRUCTURE ENVELOPE RFC822.SIZE INTERNALDATE RFC822 RFC822.HEADER RFC822.TEXT BODY[1.HEADER] BODY[TEXT])", "body[header.fields.not (\"X\")]"} {
		d, _ := decode(in + "\r\n")
		var f FetchItems
		if !d.FetchItems(&f) || !d.CRLF() {
			t.Errorf("%s: %v", in, d.Err())
		}
	}
	for _, in := range []string{"", "NONE", "(ALL)", "BODY[MIME]", "BODY[0]", "BODY[1.]", "BODY[]<1.0>", "BODY[]<1>", "FLAGS[1]",
		"BODY[" + strings.Repeat("1.", 200) + "1]", "BODY[]<1.9223372036854775808>", "BODY[HEADER.FIELDS]", "(FLAGS"} {
		d, _ := decode(in + "\r\n")
		var f FetchItems
		if d.FetchItems(&f) && d.CRLF() {
			t.Errorf("%s was accepted", in)
		}
	}
	d, _ := decode("BODY.PEEK[1.2.header.fields (a \"b c\")]<5.10>\r\n")
	var f FetchItems
	d.FetchItems(&f)
	if got, want := f.Sections[0].Label, `BODY[1.2.HEADER.FIELDS (a "b c")]<5>`; got != want {
		t.Errorf("label %s, want %s", got, want)
	}
}

func TestSearchKeys(t *testing.T) {
	for _, in := range []string{"ALL", "1:3 UID 4 FROM x", "OR SEEN (NOT FLAGGED TEXT {3+}\r\nabc)", "CHARSET utf-8 SUBJECT x", "SENTSINCE 1-Feb-1994",
		`BEFORE "01-Jan-2000"`, "HEADER X-Y z", "KEYWORD $Junk LARGER 10"} {
		d, _ := decode(in + "\r\n")
		var k Search
		if !d.Search(&k) || !d.CRLF() {
			t.Errorf("%s: %v", in, d.Err())
		}
	}
	for _, in := range []string{"", "NOPE", "OR SEEN", "NOT", "LARGER x", "BEFORE yesterday", "CHARSET x-klingon ALL", "ALL CHARSET utf-8",
		strings.Repeat("NOT ", 100) + "ALL", "(ALL"} {
		d, _ := decode(in + "\r\n")
		var k Search
		if d.Search(&k) && d.CRLF() {
			t.Errorf("%.40s was accepted", in)
		}
	}
}

func TestAppendString(t *testing.T) {
	for in, want := range map[string]string{"": `""`, "a b": `"a b"`, `a"\`: `"a\"\\"`, "a\r\nb": "{4}\r\na\r\nb", "ä": "{2}\r\nä"} {
		if got := string(AppendString(nil, in)); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	long := strings.Repeat("x", 2000)
	if got := string(AppendString(nil, long)); got != "{2000}\r\n"+long {
		t.Errorf("a long string is not a literal: %.20q", got)
	}
}

// TestEncoderGathers: many responses leave in few writes.
func TestEncoderGathers(t *testing.T) {
	w := &countingWriter{}
	e := NewEncoder(w)
	for i := range 10000 {
		e.Raw("* ").Num(uint32(i)).Raw(" FETCH (FLAGS ()").Raw(")").CRLF()
	}
	if err := e.Flush(); err != nil {
		t.Fatal(err)
	}
	if w.writes > 12 {
		t.Errorf("%d bytes left in %d writes", w.bytes, w.writes)
	}
	broken := errors.New("broken")
	e = NewEncoder(&failingWriter{broken})
	e.Raw("x")
	if err := e.Flush(); err != broken {
		t.Errorf("Flush: %v", err)
	}
}

type countingWriter struct{ writes, bytes int }

func (w *countingWriter) Write(p []byte) (int, error) {
	w.writes++
	w.bytes += len(p)
	return len(p), nil
}

type failingWriter struct{ err error }

func (w *failingWriter) Write([]byte) (int, error) { return 0, w.err }

var _ io.Writer = (*Encoder)(nil)

// TestLineSurvivesInterruption: DONE may come in two pieces with news between.
func TestLineSurvivesInterruption(t *testing.T) {
	interrupted := errors.New("interrupted")
	r := io.MultiReader(strings.NewReader("DO"), iotest.ErrReader(interrupted))
	d := NewDecoder(bufio.NewReader(&switching{readers: []io.Reader{r, strings.NewReader("NE\r\n")}, at: interrupted}), AfterLogin, nil)
	if _, err := d.Line(); err != interrupted {
		t.Fatalf("got %v", err)
	}
	if line, err := d.Line(); line != "DONE" || err != nil {
		t.Errorf("got %q, %v", line, err)
	}
}

// switching goes on with its next reader after an error.
type switching struct {
	readers []io.Reader
	at      error
}

func (s *switching) Read(p []byte) (int, error) {
	n, err := s.readers[0].Read(p)
	if err == s.at {
		s.readers = s.readers[1:]
	}
	return n, err
}

func FuzzCommand(f *testing.F) {
	for _, s := range []string{"1:* (FLAGS BODY[1.TEXT]<0.5>)", "OR SEEN (NOT TEXT {3+}\r\nabc)", "\"a\\\"b\" {5+}\r\nhello"} {
		f.Add(s + "\r\nnext\r\n")
	}
	f.Fuzz(func(t *testing.T, in string) {
		for _, parse := range []func(*Decoder){
			func(d *Decoder) { var v FetchItems; d.FetchItems(&v) },
			func(d *Decoder) { var v Search; d.Search(&v) },
			func(d *Decoder) { var k []SortKey; var v Search; d.Sort(&k, &v) },
			func(d *Decoder) { var v List; d.ListArgs(&v) },
			func(d *Decoder) { var v SelectParams; d.SelectParams(&v) },
			func(d *Decoder) { var v []MetadataEntry; var m string; d.SetMetadata(&m, &v) },
			func(d *Decoder) { var v MetadataOptions; var m string; d.GetMetadata(&m, &v) },
			func(d *Decoder) { var v NumSet; d.NumSet(&v) },
			func(d *Decoder) { var v string; d.Mailbox(&v) },
			func(d *Decoder) { d.ID(map[string]string{}) },
			func(d *Decoder) { var v []goimap.Flag; d.Flags(&v) },
		} {
			d, _ := decode(in)
			parse(d)
			d.Discard()
		}
	})
}
