package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestManual: every program and file has a page with all that a page must
// say, and mandoc finds nothing to mend.
func TestManual(t *testing.T) {
	pages, _ := filepath.Glob("../man/*.[1578]")
	programs, _ := filepath.Glob("../cmd/*")
	for _, p := range programs {
		found, _ := filepath.Glob("../man/" + filepath.Base(p) + ".[18]")
		if len(found) != 1 {
			t.Errorf("%s has %d pages", filepath.Base(p), len(found))
			continue
		}
		text := readFile(t, found[0])
		for _, section := range []string{"SYNOPSIS", "DESCRIPTION", "DESCRIPTORS", "ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES", "SEE ALSO", "SECURITY"} {
			if !strings.Contains(text, "\n.Sh "+section+"\n") {
				t.Errorf("%s has no %s", found[0], section)
			}
		}
	}
	for _, page := range pages {
		for _, ref := range regexp.MustCompile(`(?m)^\.Xr (smail[a-z.-]*) ([1-8])`).FindAllStringSubmatch(readFile(t, page), -1) {
			if !isFile("../man/" + ref[1] + "." + ref[2]) {
				t.Errorf("%s refers to %s(%s), which is not there", page, ref[1], ref[2])
			}
		}
	}
	mandoc := need(t, "mandoc", "mandoc")
	out, err := exec.Command(mandoc, append([]string{"-Tlint", "-Wwarning"}, pages...)...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("mandoc: %v\n%s", err, out)
	}
}

// TestCommandsAreDocumented: what smailctl's help lists is in its page and in
// the completions, and nothing else is.
func TestCommandsAreDocumented(t *testing.T) {
	help, err := exec.Command(bin+"/smailctl", "help").Output()
	if err != nil {
		t.Fatal(err)
	}
	page := readFile(t, "../man/smailctl.8")
	commands := regexp.MustCompile(`(?m)^  ([a-z-]+) `).FindAllStringSubmatch(string(help), -1)
	if len(commands) < 5 {
		t.Fatalf("help says\n%s", help)
	}
	for _, c := range commands {
		if !regexp.MustCompile(`(?m)^\.It Cm ` + c[1] + `( |$)`).MatchString(page) {
			t.Errorf("smailctl(8) lacks %s", c[1])
		}
		for _, shell := range []string{"bash", "zsh", "fish"} {
			if !strings.Contains(readFile(t, "../packaging/completion/smailctl."+shell), c[1]) {
				t.Errorf("completion for %s lacks %s", shell, c[1])
			}
		}
	}
	if n := strings.Count(page, "\n.It Cm "); n != len(commands) {
		t.Errorf("smailctl(8) has %d commands, help %d", n, len(commands))
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
