package message

import (
	"testing"
	"time"
)

func TestDate(t *testing.T) {
	for value, want := range map[string]string{
		"Fri, 5 Jun 2026 01:02:03 +0200":             "2026-06-05T01:02:03+02:00",
		"Fri,5 Jun 2026 01:02:03 +0000":              "2026-06-05T01:02:03Z",
		"5 June 26 01:02 -0730":                      "2026-06-05T01:02:00-07:30",
		"Fri, 5 Jun 2026 23:59:60 +0000":             "2026-06-05T23:59:59Z",
		"Fri, 5 Jun 2026 01:02:03":                   "2026-06-05T01:02:03Z",
		"Fri, 5 Jun 2026 01:02:03 Z":                 "2026-06-05T01:02:03Z",
		"Fri, 5 Jun 2026 (x) 01:02:03 (y) -0100":     "2026-06-05T01:02:03-01:00",
		"Fri, 5 Jun 2026 01:02:03 GMT+02:00":         "2026-06-05T01:02:03+02:00",
		"Fri, 5 Jun 2026 1:2:3 EST":                  "2026-06-05T01:02:03-05:00",
		"Fri, 5 Jun 2026 01:02:03 pdt":               "2026-06-05T01:02:03-07:00",
		"Fri, 5 Jun 2026 01:02:03 +9999":             "2026-06-05T01:02:03Z",
		"Fri, 5 Jun 2026 25:02:03 +0100":             "2026-06-05T00:00:00+01:00",
		"21 Nov 1997 09(comment):   55  :  06 -0600": "1997-11-21T09:55:06-06:00",
		"Fri, 5 Jun 2026":                            "2026-06-05T00:00:00Z",
		"Fri Jun  5 01:02:03 2026":                   "2026-06-05T01:02:03Z",
		"Fri Jun  5 01:02:03 EDT 2026":               "2026-06-05T01:02:03-04:00",
		"05-Jun-2026 01:02:03 +0100":                 "2026-06-05T01:02:03+01:00",
		"Sun, 2 Jan 99 10:00:00 UT":                  "1999-01-02T10:00:00Z",
		"Sun, 2 Jan 126 10:00:00 GMT":                "2026-01-02T10:00:00Z",
		"Fri, 5 Jun\r\n 2026 01:02:03 +0000 (X)":     "2026-06-05T01:02:03Z",
		"Fri, 31 Jun 2026 01:02:03 +0000":            "",
		"Fri, 0 Jun 2026 01:02:03 +0000":             "",
		"Fri, 5 Foo 2026 01:02:03 +0000":             "",
		"Fri, 5 Jun 20261 01:02:03 +0000":            "",
		"yesterday":                                  "",
		"":                                           "",
		"Fri":                                        "",
		"Fri, Jun 5":                                 "",
	} {
		date, ok := Header("Date: " + value + "\n").Date()
		got := ""
		if ok {
			got = date.Format(time.RFC3339)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}

// FuzzDate: a date that is understood is a day, and written as RFC 5322 has it the
// same one.
func FuzzDate(f *testing.F) {
	f.Add("Fri, 5 Jun 2026 (x) 01:02:03 (y) GMT+02:00")
	f.Add("Fri Jun  5 01:02:03 EDT 2026")
	f.Add("05-Jun-26 1:2")
	f.Fuzz(func(t *testing.T, value string) {
		date, ok := parseDate([]byte(value))
		if !ok || date.Year() < 1900 {
			return
		}
		again, ok := parseDate([]byte(date.Format("Mon, 2 Jan 2006 15:04:05 -0700")))
		if !ok || !again.Equal(date) {
			t.Errorf("%q: %v, then %v, %v", value, date, again, ok)
		}
	})
}

// TestNormalID: RFC 5256 has ids in one form.
func TestNormalID(t *testing.T) {
	ids := MessageIDs([]byte("<\"q\"@t> < a b@t> <\"a\\\"b\"@t> <\"@t> <\"\"@t> <x> <q@\"t\">"))
	want := []string{"q@t", "ab@t", "a\"b@t", "\"@t", "\"\"@t", "x", "q@\"t\""}
	if len(ids) != len(want) {
		t.Fatalf("%q", ids)
	}
	for i := range want {
		if ids[i] != want[i] {
			t.Errorf("%q, want %q", ids[i], want[i])
		}
	}
}

func TestContainsWithHeaders(t *testing.T) {
	m := "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: application/pdf\n" +
		"Content-Disposition: attachment; filename=\"invoice-4711.pdf\"\n\nabc\n--x--\n"
	p := parse(t, m)
	for _, headers := range []bool{true, false} {
		hit, err := p.Contains(nil, []byte(m), Fold("Invoice-4711"), headers)
		if hit != headers || err != nil {
			t.Errorf("with headers %v: %v, %v", headers, hit, err)
		}
	}
}
