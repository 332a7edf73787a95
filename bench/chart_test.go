package main

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"
)

// TestChart: bars are as long as they are good, whatever is better; what was
// not measured is left out.
func TestChart(t *testing.T) {
	server := func(name string, logins, idle float64) *report {
		r := &report{Name: name, Version: "1:2.3+x<y", Date: "2026-01-02T03:04:05Z", Machine: map[string]string{"cpu": "A&B"}}
		r.row("login.cheap.seq", "cycles/s", "high").add(logins)
		r.row("idle.1.p50", "ms", "low").add(idle)
		return r
	}
	svg := chart([]*report{server("dovecot", 50, 400), server("smail", 100, 4)})
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
	}
	for _, want := range []string{`width="430" height="11" fill="#0b57b0"`, `width="215" height="11" fill="#d9822b"`, `width="4" height="11" fill="#d9822b"`,
		"2026-01-02, A&amp;B", "smail 2.3", "logins, one after another", "50.0 cycles/s"} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %s in\n%s", want, svg)
		}
	}
	if strings.Contains(svg, "POP3") {
		t.Error("draws what was not measured")
	}
}
