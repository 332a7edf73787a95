package message

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"
)

func parse(t testing.TB, text string) *Part {
	t.Helper()
	p, err := Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// body returns a part's body as a client gets it.
func body(t testing.TB, text string, p *Part) string {
	t.Helper()
	var b bytes.Buffer
	r := p.Body()
	if err := CopyCRLF(&b, r.Reader(strings.NewReader(text)), 0, -1); err != nil {
		t.Fatal(err)
	}
	if int64(b.Len()) != r.Size() {
		t.Errorf("body has %d bytes, told %d", b.Len(), r.Size())
	}
	return b.String()
}

const nested = "Subject: outer\nContent-Type: multipart/mixed; boundary=\"o\"\n\npreamble\n--o\n\nfirst\n\n--o\n" +
	"Content-Type: multipart/alternative; boundary=i\n\n--i\nContent-Type: text/plain\n\nplain\n--i\nContent-Type: text/html\n\n<p>\n--i--\nepilogue of i\n--o\n" +
	"Content-Type: message/rfc822\n\nSubject: inner\n\nforwarded\n--o--\nepilogue\n"

func TestParts(t *testing.T) {
	for _, text := range []string{nested, strings.ReplaceAll(nested, "\n", "\r\n")} {
		p := parse(t, text)
		for _, c := range []struct {
			path []int
			typ  string
			body string
		}{
			{[]int{1}, "text/plain", "first\r\n"},
			{[]int{2, 1}, "text/plain", "plain"},
			{[]int{2, 2}, "text/html", "<p>"},
			{[]int{3}, "message/rfc822", "Subject: inner\r\n\r\nforwarded"},
			{[]int{3, 1}, "text/plain", "forwarded"},
		} {
			part := p.Find(c.path)
			if part == nil {
				t.Errorf("%v: no such part", c.path)
				continue
			}
			if got := part.Type + "/" + part.Subtype; got != c.typ {
				t.Errorf("%v is %s, want %s", c.path, got, c.typ)
			}
			if got := body(t, text, part); got != c.body {
				t.Errorf("%v: got %q, want %q", c.path, got, c.body)
			}
		}
		for _, path := range [][]int{{4}, {1, 1}, {2, 3}, {3, 2}, {3, 1, 1}, {0}} {
			if p.Find(path) != nil {
				t.Errorf("%v was found", path)
			}
		}
		if want := int64(len(strings.ReplaceAll(nested, "\n", "\r\n"))); p.Size() != want {
			t.Errorf("size %d, want %d", p.Size(), want)
		}
	}
}

// TestMalformed: whatever a message is, it is shown.
func TestMalformed(t *testing.T) {
	for name, c := range map[string]struct{ text, typ, body string }{
		"empty":               {"", "text/plain", ""},
		"only a header":       {"Subject: x\n", "text/plain", ""},
		"no header":           {"\nbody\n", "text/plain", "body\r\n"},
		"mbox line":           {"From me Mon\nSubject: x\n\nbody", "text/plain", "body"},
		"missing boundary":    {"Content-Type: multipart/mixed\n\nbody\n", "text/plain", "body\r\n"},
		"unknown type":        {"Content-Type: nonsense\n\nbody\n", "text/plain", "body\r\n"},
		"unclosed multipart":  {"Content-Type: multipart/mixed; boundary=x\n\n--x\n\npart\n", "multipart/mixed", "--x\r\n\r\npart\r\n"},
		"boundary in header":  {"Content-Type: multipart/mixed; boundary=x\n\n--x\nA: b\n--x\n\nsecond\n--x--\n", "multipart/mixed", "--x\r\nA: b\r\n--x\r\n\r\nsecond\r\n--x--\r\n"},
		"bare CR and NUL":     {"Subject: a\rb\n\nx\ry\x00\n", "text/plain", "x\ry\x00\r\n"},
		"8-bit header":        {"Subject: \xff\xfe\n\nbody\n", "text/plain", "body\r\n"},
		"rfc822 at the end":   {"Content-Type: message/rfc822\n\n", "message/rfc822", ""},
		"multipart, no parts": {"Content-Type: multipart/mixed; boundary=x\n\nnothing\n", "multipart/mixed", "nothing\r\n"},
	} {
		p := parse(t, c.text)
		if got := p.Type + "/" + p.Subtype; got != c.typ {
			t.Errorf("%s: is %s, want %s", name, got, c.typ)
		}
		if got := body(t, c.text, p); got != c.body {
			t.Errorf("%s: body %q, want %q", name, got, c.body)
		}
	}
}

// TestBombs: nesting and parts end at their limits, and time is linear.
func TestBombs(t *testing.T) {
	var deep strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&deep, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
	}
	depth := 0
	for p := parse(t, deep.String()); len(p.Children) > 0; p = p.Children[0] {
		depth++
	}
	if depth > maxDepth {
		t.Errorf("%d parts deep", depth)
	}
	wide := "Content-Type: multipart/mixed; boundary=x\n\n" + strings.Repeat("--x\n\n\n", 50000)
	if n := len(parse(t, wide).Children); n > maxParts {
		t.Errorf("%d parts", n)
	}
	long := "X: " + strings.Repeat("y", 5<<20) + "\n\nbody"
	if p := parse(t, long); len(p.Header) > maxHeaderBytes || body(t, long, p) != "body" {
		t.Errorf("kept %d bytes of a header", len(p.Header))
	}
	ParseAddresses([]byte(strings.Repeat("(", 1<<20)))
	ParseAddresses([]byte(strings.Repeat("a,", 1<<20)))
}

// TestPiecesDoNotMatter: a message is the same however it is read.
func TestPiecesDoNotMatter(t *testing.T) {
	long := "Subject: x\r\n\r\n" + strings.Repeat("z", chunkBytes-1) + "\r\n" + strings.Repeat("w", 2*chunkBytes) + "\n--\r\n"
	for _, text := range []string{nested, strings.ReplaceAll(nested, "\n", "\r\n"), long} {
		want := int64(len(AppendCRLF(nil, []byte(text))))
		a := parse(t, text)
		b, err := Parse(iotest.OneByteReader(strings.NewReader(text)))
		if err != nil || a.Size() != want || b.Size() != want || a.BodyLines() != b.BodyLines() {
			t.Errorf("%.20q: sizes %d and %d, want %d; lines %d and %d; %v", text, a.Size(), b.Size(), want, a.BodyLines(), b.BodyLines(), err)
		}
		if c := ParseBytes([]byte(text)); c.Size() != want || c.BodyLines() != a.BodyLines() || len(c.Children) != len(a.Children) {
			t.Errorf("%.20q: in memory it has %d bytes, %d lines, %d parts", text, c.Size(), c.BodyLines(), len(c.Children))
		}
		if n, _ := CRLFSize(iotest.HalfReader(strings.NewReader(text))); n != want {
			t.Errorf("%.20q: CRLFSize %d, want %d", text, n, want)
		}
	}
}

// TestPartial: every window of a message is a window of the whole.
func TestPartial(t *testing.T) {
	text := "a\r\nb\nc\n\nd\re\n"
	whole := string(AppendCRLF(nil, []byte(text)))
	for skip := range len(whole) + 2 {
		for limit := range len(whole) + 2 {
			var b bytes.Buffer
			if err := CopyCRLF(&b, iotest.OneByteReader(strings.NewReader(text)), int64(skip), int64(limit)); err != nil {
				t.Fatal(err)
			}
			from := min(skip, len(whole))
			if want := whole[from:min(from+limit, len(whole))]; b.String() != want {
				t.Errorf("<%d.%d>: got %q, want %q", skip, limit, b.String(), want)
			}
		}
	}
}

func TestAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"a@b":                          "|a|b",
		"A B <a@b>":                    "A B|a|b",
		`"Doe, J" <j@d>, x@y`:          "Doe, J|j|d ; |x|y",
		"a@b (Name)":                   "Name|a|b",
		"=?utf-8?q?J=C3=BC?= <j@d>":    "=?utf-8?q?J=C3=BC?=|j|d",
		"friends: a@b, c@d;, e@f":      "|friends|- ; |a|b ; |c|d ; - ; |e|f",
		"undisclosed-recipients:;":     "|undisclosed-recipients|- ; -",
		"<@r1,@r2:a@b>":                "|a|b",
		"":                             "",
		"nobody":                       "|nobody|MISSING_DOMAIN",
		"\"quoted local\"@d":           "|quoted local|d",
		"a @ b":                        "|a|b",
		"<>, , ;":                      "",
		"broken <a@b, c@d>":            "broken|a|b",
		"J (comment (nested)) D <j@d>": "J D|j|d",
		`"Mail Delivery System"`:       "Mail Delivery System|MISSING_MAILBOX|MISSING_DOMAIN",
		"Undisclosed recipients":       "Undisclosed recipients|MISSING_MAILBOX|MISSING_DOMAIN",
		"ab c@x":                       "ab|c|x",
		"Ann Lee ann . lee @ x . org":  "Ann Lee|ann.lee|x.org",
		`"a b"."c"@d, ""@e`:            "|a b.c|d ; ||e",
	} {
		var got []string
		for _, a := range ParseAddresses([]byte(in)) {
			switch {
			case a.Host == nil && a.Mailbox == nil:
				got = append(got, "-")
			case a.Host == nil:
				got = append(got, fmt.Sprintf("%s|%s|-", a.Name, a.Mailbox))
			default:
				got = append(got, fmt.Sprintf("%s|%s|%s", a.Name, a.Mailbox, a.Host))
			}
		}
		if s := strings.Join(got, " ; "); s != want {
			t.Errorf("%q: got %q, want %q", in, s, want)
		}
	}
}

func TestHeader(t *testing.T) {
	h := Header("From x\nSubject: a\n b\r\n\tc\nno colon\nTo: x\nTO : y\nBcc: z\n\n")
	if got := string(h.Get("subject")); got != "a b c" {
		t.Errorf("Subject: %q", got)
	}
	if got := string(h.Select([]string{"to", "subject"}, false)); got != "Subject: a\r\n b\r\n\tc\r\nTo: x\r\nTO : y\r\n\r\n" {
		t.Errorf("selected %q", got)
	}
	if got := string(h.Without([]string{"BCC", "to"})); got != "From x\nSubject: a\n b\r\n\tc\nno colon\n\n" {
		t.Errorf("without: %q", got)
	}
	value, params := Header("C: a; x=1; Y=\"2;\\\"3\" (c) ; z*0=q\n\n").Field("C")
	if string(value) != "a" || fmt.Sprint(params) != `[{x 1} {y 2;"3} {z q}]` {
		t.Errorf("%s %v", value, params)
	}
	for in, want := range map[string]string{ // RFC 2231
		`a; f*0="a very long "; f*1="name.pdf"; x=1`:    "[{f a very long name.pdf} {x 1}]",
		`a; f*1*=%BC; f*0*=utf-8''%C3; f*2=" x%"`:       "[{f* utf-8''%C3%BC%20x%25}]",
		`a; f*0="a b"; f*1*=%C3; f*0=twice`:             "[{f* ''a%20b%C3}]",
		`a; f*0=b; f*2=c; f*=utf-8''d; g*x=y; h*1=lost`: "[{f b} {f* utf-8''d} {g*x y} {h*1 lost}]",
	} {
		if _, params := ParseParams([]byte(in)); fmt.Sprint(params) != want {
			t.Errorf("%s: %v", in, params)
		}
	}
	if value, _ := ParseParams([]byte("(c) attachment (d); x=y")); string(value) != "attachment" {
		t.Errorf("with comments: %q", value)
	}
	for in, want := range map[string]string{"=?utf-8?B?w7w?=": "ü", "=?utf-8?b?w7w=?= =?UTF-8?B?w7zDvA?= x": "üüü x", "=?utf-8?B?": "=?utf-8?B?"} {
		if got := UTF8([]byte(in)); got != want {
			t.Errorf("%s: %q", in, got)
		}
	}
	got, err := ReadHeader(iotest.OneByteReader(strings.NewReader("A: b\r\n\r\nbody")), nil)
	if err != nil || string(got) != "A: b\r\n\r\n" {
		t.Errorf("ReadHeader: %q, %v", got, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(nested))
	f.Add([]byte("Content-Type: multipart/digest; boundary=x\n\n--x\n\nA: b\n\nc\n--x--"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Parse(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if want := int64(len(AppendCRLF(nil, text))); p.Size() != want {
			t.Errorf("size %d, want %d", p.Size(), want)
		}
		check(t, text, p)
	})
}

// check walks all parts: each lies within its parent.
func check(t *testing.T, text []byte, p *Part) {
	if p.start.raw > p.body.raw || p.body.raw > p.end.raw || p.end.raw > int64(len(text)) {
		t.Fatalf("part from %d, %d to %d of %d", p.start.raw, p.body.raw, p.end.raw, len(text))
	}
	var b bytes.Buffer
	r := p.Body()
	if err := CopyCRLF(&b, r.Reader(bytes.NewReader(text)), 0, -1); err != nil || int64(b.Len()) != r.Size() {
		t.Fatalf("body has %d bytes, told %d: %v", b.Len(), r.Size(), err)
	}
	for _, child := range p.Children {
		check(t, text, child)
	}
	if p.Message != nil {
		check(t, text, p.Message)
	}
	ParseAddresses(p.Header.Get("From"))
}

func BenchmarkParse(b *testing.B) {
	text := []byte(strings.Replace(nested, "forwarded", strings.Repeat("a line of some text that is as long as lines are\n", 20000), 1))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		Parse(bytes.NewReader(text))
	}
}

// FuzzHeader: every field is among those that are selected or among the others,
// and in none twice.
func FuzzHeader(f *testing.F) {
	f.Add([]byte("From: a <b@c>\nSubject : x\n y\nContent-Type: text/plain; a=\"b\"\n\n"))
	f.Add([]byte("From me\nTo: x: a, b;\r\nto: \xff\r\n\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		count := func(h Header) (n int) {
			for range h.Fields() {
				n++
			}
			return n
		}
		h := Header(text)
		names := []string{"From", "To", "Content-Type"}
		chosen, others := Header(h.Select(names, false)), Header(h.Select(names, true))
		if count(chosen)+count(others) != count(h) {
			t.Errorf("%q has %d fields, of which %q and %q", text, count(h), chosen, others)
		}
		for _, name := range names {
			if !bytes.Equal(h.Get(name), chosen.Get(name)) {
				t.Errorf("%s is %q in %q, and %q where it was selected", name, h.Get(name), text, chosen.Get(name))
			}
			ParseAddresses(h.Get(name))
			h.Field(name)
		}
		if rest := h.Without(names); rest.Get("From") != nil {
			t.Errorf("%q still has From", rest)
		}
	})
}
