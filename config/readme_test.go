package config

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestReadmeHasEverySetting compares README.md's table with ours, both ways.
func TestReadmeHasEverySetting(t *testing.T) {
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(b)
	for _, s := range Settings {
		if row := s.row(); !strings.Contains(readme, row) {
			t.Errorf("README.md lacks:\n%s", row)
		}
	}
	_, table, _ := strings.Cut(readme, "| directive |")
	table, _, _ = strings.Cut(table, "\n\n")
	if n := strings.Count(table, "\n| `"); n != len(Settings) {
		t.Errorf("README.md has %d settings, the table %d", n, len(Settings))
	}
}

// row is a setting's row in README.md.
func (s Setting) row() string {
	typ := strings.ReplaceAll(s.Type, "|", `\|`)
	value := strings.Join(s.Default, " ")
	if value != "" {
		value = "`" + value + "`"
	}
	return fmt.Sprintf("| `%s` %s | %s | %s |\n", s.Name, typ, value, s.Doc)
}
