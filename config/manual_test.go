package config

import (
	"os"
	"strings"
	"testing"
)

// TestManualHasEverySetting compares smail.conf(5) with the table, both ways:
// type, meaning, default and example.
func TestManualHasEverySetting(t *testing.T) {
	b, err := os.ReadFile("../man/smail.conf.5")
	if err != nil {
		t.Fatal(err)
	}
	entries := strings.Split(string(b), "\n.It Ic ")[1:]
	if len(entries) != len(Settings) {
		t.Errorf("the page has %d directives, the table %d", len(entries), len(Settings))
	}
	for i, s := range Settings {
		if i >= len(entries) {
			break
		}
		for _, want := range s.manual() {
			if !strings.Contains(".It Ic "+entries[i]+"\n", want+"\n") {
				t.Errorf("%s: the page lacks\n%s\nin\n%s", s.Name, want, entries[i])
			}
		}
	}
}

// manual returns what a setting's entry must say.
func (s Setting) manual() []string {
	value := "There is no default."
	if strings.Contains(s.Doc, "if not set") {
		value = s.Doc
	} else if s.Default != nil {
		value = "Default:\n.Li " + strings.Join(s.Default, " ")
	}
	return []string{
		".It Ic " + s.Name + " Ar " + strings.ReplaceAll(s.Type, "|", `\*(Ba`),
		strings.ReplaceAll(s.Doc, ". ", ".\n"),
		value,
		".Dl " + s.Name + " " + s.Example,
	}
}
