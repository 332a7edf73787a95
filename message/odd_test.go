package message

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// TestComments: RFC 2045 section 5.1 allows them wherever words end.
func TestComments(t *testing.T) {
	for header, want := range map[string]string{
		"Content-Type: text/html (HTML); charset=koi8-r":             "text/html koi8-r ",
		"Content-Type: text (a) / (b (c \\) d)) html; charset=utf-8": "text/html utf-8 ",
		"Content-Type: text/plain; charset=us-ascii (Plain text)":    "text/plain us-ascii ",
		"Content-Type: message/rfc822 (x)":                           "message/rfc822  ",
		"Content-Transfer-Encoding: base64 (x)":                      "text/plain  base64",
		"Content-Transfer-Encoding: Base64;":                         "text/plain  base64",
		"Content-Type: text/(plain":                                  "text/plain  ",
	} {
		p := ParseBytes([]byte(header + "\n\nx\n"))
		if got := p.Type + "/" + p.Subtype + " " + p.param("charset") + " " + p.Encoding(); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	p := ParseBytes([]byte("Content-Type: multipart/mixed (x); boundary=b\n\n--b\n\none\n--b--\n"))
	if len(p.Children) != 1 {
		t.Errorf("%d parts", len(p.Children))
	}
}

// TestOddCharsets: those that browsers know otherwise, or not at all.
func TestOddCharsets(t *testing.T) {
	for _, c := range []struct{ charset, text, want string }{
		{"iso-2022-kr", "hello", "hello"}, {"iso-2022-cn", "hello", "hello"}, {"hz-gb-2312", "~{VPND~} hello", "中文 hello"},
		{"utf-16", "\xfe\xff\x00h\x00i", "hi"}, {"utf-16", "\xff\xfeh\x00i\x00", "hi"}, {"utf-16", "\x00h\x00i", "hi"},
		{"koi8-r*ru", "\xf0\xf2", "ПР"},
	} {
		got, err := io.ReadAll(utf8Reader(c.charset, strings.NewReader(c.text)))
		if string(got) != c.want || err != nil {
			t.Errorf("%s: %q, %v; want %q", c.charset, got, err, c.want)
		}
	}
	if got := UTF8([]byte("=?koi8-r*ru?B?8NLJ18XU?=")); got != "Привет" {
		t.Errorf("with a language: %q", got)
	}
}

// TestPreviewOfGrowingLetters: some letters take more bytes in lower case.
func TestPreviewOfGrowingLetters(t *testing.T) {
	for _, letter := range []string{"Ⱥ", "İ", "\u212a", "x"} {
		m := []byte("Content-Type: text/html; charset=utf-8\n\n<STYLE>" + strings.Repeat(letter, 100) + "</sTyle>hi </x><script>" + letter + "\n")
		got, err := ParseBytes(m).Preview(bytes.NewReader(m))
		if err != nil || strings.TrimSpace(got) != "hi" {
			t.Errorf("%s: %q, %v", letter, got, err)
		}
	}
}
