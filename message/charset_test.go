package message

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

// TestCharsets: what mail is written in becomes UTF-8, a byte at a time too.
func TestCharsets(t *testing.T) {
	for charset, c := range map[string][2]string{
		"koi8-r":       {"\xf0\xd2\xc9\xd7\xc5\xd4", "Привет"},
		"Windows-1251": {"\xcf\xf0\xe8\xe2\xe5\xf2", "Привет"},
		"iso-8859-15":  {"\xa4 5", "€ 5"},
		"gb2312":       {"\xc4\xe3\xba\xc3", "你好"},
		"GB18030":      {"\x81\x30\x81\x30", "\u0080"},
		"big5":         {"\xa7\x41\xa6\x6e", "你好"},
		"shift_jis":    {"\x82\xb1\x82\xf1", "こん"},
		"iso-2022-jp":  {"\x1b$B$3$s\x1b(B!", "こん!"},
		"euc-kr":       {"\xbe\xc8\xb3\xe7", "안녕"},
		"utf-16le":     {"h\x00i\x00", "hi"},
		"cp850":        {"\x81", "ü"},
		"us-ascii":     {"plain", "plain"},
		"":             {"caf\xe9 and caf\xc3\xa9", "café and café"},
		"no-such":      {"\x80 x", "€ x"},
	} {
		for _, r := range []io.Reader{strings.NewReader(c[0]), iotest.OneByteReader(strings.NewReader(c[0]))} {
			if b, err := io.ReadAll(utf8Reader(charset, r)); err != nil || string(b) != c[1] {
				t.Errorf("%s: %q, %v, want %q", charset, b, err, c[1])
			}
		}
	}
}

func TestUTF8(t *testing.T) {
	for value, want := range map[string]string{
		"plain":                                 "plain",
		"=?utf-8?q?Gr=C3=BC=C3=9Fe?=":           "Grüße",
		"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=": "ab",
		"=?koi8-r?B?8NLJ18XU?= x":               "Привет x",
		"=?iso-2022-jp?B?GyRCJDMkcxsoQg==?=":    "こん",
		"raw \xfc":                              "raw ü",
		"=?utf-8?q?broken":                      "=?utf-8?q?broken",
		"=?x-none?q?a=FC?=":                     "aü",
	} {
		if got := UTF8([]byte(value)); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

// TestDecode: transfer encodings, as broken as they come.
func TestDecode(t *testing.T) {
	for _, c := range []struct{ encoding, body, want string }{
		{"base64", "aGVs\r\nbG8=\r\n", "hello"},
		{"BASE64", "aGVsbG8", "hello"},
		{"base64", "aGVs*** bG8=\r\n-- footer\r\n", "hello" + "\x7e\x8a\x28\xb6\x85\xeb"[:0]},
		{"base64", "aGk=aGk=", "hihi"},
		{" quoted-printable ", "caf=C3=A9 =\r\nend", "café end"},
		{"8bit", "x", "x"},
		{"", "x", "x"},
	} {
		p := &Part{Header: Header("Content-Transfer-Encoding: " + c.encoding + "\r\n\r\n")}
		r, ok := p.Decode(iotest.HalfReader(strings.NewReader(c.body)))
		b, err := io.ReadAll(r)
		if !ok || err != nil || !strings.HasPrefix(string(b), c.want) {
			t.Errorf("%s %q: %q, %v, %v, want %q", c.encoding, c.body, b, ok, err, c.want)
		}
	}
	p := &Part{Header: Header("Content-Transfer-Encoding: x-uuencode\r\n\r\n")}
	if _, ok := p.Decode(strings.NewReader("")); ok {
		t.Error("x-uuencode is known")
	}
}

func TestBaseSubject(t *testing.T) {
	for subject, want := range map[string]string{
		"plain":                             "plain false",
		"Re: plain":                         "plain true",
		"RE: re:Fwd: plain":                 "plain true",
		"Re [2]: plain":                     "plain true",
		"[list] Re: plain":                  "plain true",
		"[list] plain":                      "plain false",
		"Re: [list] [b] plain (fwd)":        "plain true",
		"[Fwd: Re: plain]":                  "plain true",
		"[only a blob]":                     "[only a blob] false",
		"Re:":                               " true",
		"fw: \t  many   spaces ":            "many spaces true",
		"=?utf-8?q?Re=3A_Gr=C3=BC=C3=9Fe?=": "Grüße true",
		"Reply":                             "Reply false",
		"[a[b] x":                           "[a[b] x false",
		"":                                  " false",
	} {
		base, reply := BaseSubject([]byte(subject))
		if got := fmt.Sprint(base, " ", reply); got != want {
			t.Errorf("%q: %q, want %q", subject, got, want)
		}
	}
}

func TestMessageIDs(t *testing.T) {
	for value, want := range map[string]string{
		"<a@b>":                   "[a@b]",
		"<a@b> <c@d>\r\n <e@f>":   "[a@b c@d e@f]",
		"<a@\r\n b>":              "[a@b]",
		"text <a@b (comment) <c>": "[c]",
		"<>":                      "[]",
		"none":                    "[]",
		"<unclosed":               "[]",
	} {
		if got := fmt.Sprint(MessageIDs([]byte(value))); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
	if n := len(MessageIDs([]byte(strings.Repeat("<a@b>", 5000)))); n != maxReferences {
		t.Errorf("%d ids", n)
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte("Re: [x] =?utf-8?q?a?= (fwd)"), "iso-2022-jp")
	f.Add([]byte("[Fwd: <a@b> \xff"), "utf-16")
	f.Fuzz(func(t *testing.T, text []byte, charset string) {
		if !utf8.ValidString(UTF8(text)) {
			t.Errorf("UTF8(%q) is no UTF-8", text)
		}
		base, _ := BaseSubject(text)
		if again, _ := BaseSubject([]byte(base)); len(again) > len(base) {
			t.Errorf("the base of %q is %q, and of that %q", text, base, again)
		}
		for _, id := range MessageIDs(text) {
			if id == "" || strings.ContainsAny(id, "<> \t\r\n") {
				t.Errorf("id %q of %q", id, text)
			}
		}
		if _, err := io.Copy(io.Discard, utf8Reader(charset, strings.NewReader(string(text)))); err != nil {
			t.Errorf("%s: %v", charset, err)
		}
	})
}

// TestLenientQuotedPrintable: what breaks the rules stands for itself.
func TestLenientQuotedPrintable(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for in, want := range map[string]string{
		"a=3Db=\r\nc \t\r\nd":   "a=bc\r\nd",
		"a=\nb= \t\r\nc":        "abc",
		"abc\x0cdef\x01\x7f":    "abc\x0cdef\x01\x7f",
		"abc= \x0b\nd":          "abc= \x0b\nd",
		"=4":                    "=4",
		"=":                     "",
		"=4g=zz==41=e4":         "=4g=zz=A\xe4",
		long:                    long,
		"  lead and  inner  \n": "  lead and  inner\n",
	} {
		for _, chunk := range []int{1, 7, 10000} {
			got, err := io.ReadAll(&lenientQP{r: &chunked{in, chunk}})
			if err != nil || string(got) != want {
				t.Errorf("%.40q by %d: got %.40q, %v, want %.40q", in, chunk, got, err, want)
			}
		}
	}
}

type chunked struct {
	rest string
	n    int
}

func (c *chunked) Read(p []byte) (int, error) {
	if c.rest == "" {
		return 0, io.EOF
	}
	n := copy(p[:min(c.n, len(p))], c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// TestShortCharsets: a text that is too short for its charset is no failure.
func TestShortCharsets(t *testing.T) {
	for _, charset := range []string{"utf-32", "utf-16", "iso-2022-jp", "gb18030", "hz-gb-2312", "replacement"} {
		for _, text := range []string{"", "\x00", "\xff\xfe", "\x84\x31\x95", "\x00\x00\xfe\xff\x00"} {
			m := "Content-Type: text/plain; charset=" + charset + "\n\n" + text
			if _, err := ParseBytes([]byte(m)).Preview(strings.NewReader(m)); err != nil {
				t.Errorf("%s %q: %v", charset, text, err)
			}
		}
	}
}
