package main

import (
	"os"
	"strings"
	"testing"
)

// TestVersion: whoever makes a release changes it everywhere.
func TestVersion(t *testing.T) {
	for file, want := range map[string]string{
		"NEWS.md": "\n## " + version + " ", "packaging/rpm/smail.spec": "\nVersion:        " + version + "\n",
		"packaging/debian/changelog": "smaild (" + version + ") ",
	} {
		text, err := os.ReadFile("../../" + file)
		if err != nil || !strings.Contains("\n"+string(text), want) {
			t.Errorf("%s lacks %q: %v", file, want, err)
		}
	}
}
