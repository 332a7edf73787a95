package config

import (
	"reflect"
	"strings"
	"testing"
)

// TestExampleIsDefault: the installed file changes nothing but the certificate.
func TestExampleIsDefault(t *testing.T) {
	var text strings.Builder
	if err := Example(&text); err != nil {
		t.Fatal(err)
	}
	c, err := load(t, text.String())
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.TLSCertificates, want.TLSKeys, want.Given = []string{"/etc/smail/tls/cert.pem"}, []string{"/etc/smail/tls/key.pem"}, c.Given
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v\nwant %+v", c, want)
	}
	for _, s := range Settings {
		if !strings.Contains(text.String(), "\n"+s.Name+" ") && !strings.Contains(text.String(), "\n#"+s.Name+" ") {
			t.Errorf("no %s in\n%s", s.Name, &text)
		}
	}
	for line := range strings.Lines(text.String()) {
		if len(line) > 101 {
			t.Errorf("long line %q", line)
		}
	}
}

// TestExamplesAreValid: each default and each example of the table is taken.
func TestExamplesAreValid(t *testing.T) {
	for _, s := range Settings {
		if err := s.set(Default(), strings.Fields(s.Example)); err != nil {
			t.Errorf("%s %s: %v", s.Name, s.Example, err)
		}
	}
}

// TestPrintRoundTrip: what is printed reads as the same settings.
func TestPrintRoundTrip(t *testing.T) {
	const text = "hostname a\ntls_certificate \"/with space\"\ntls_key /b\ntls_certificate /c\ntls_key /d\nlogin_domains a.org b.org\n"
	c, err := load(t, text)
	if err != nil {
		t.Fatal(err)
	}
	var changed, all strings.Builder
	c.Print(&changed, false)
	c.Print(&all, true)
	if n := strings.Count(changed.String(), "\n"); n != 6 {
		t.Errorf("changed settings:\n%s", &changed)
	}
	again, err := load(t, all.String())
	if err != nil {
		t.Fatalf("%v in\n%s", err, &all)
	}
	again.Given = c.Given
	if !reflect.DeepEqual(again, c) {
		t.Errorf("got %+v\nwant %+v", again, c)
	}
}
