package test

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// arrows says which packages of ours each may import. The import graph is the
// boundary of trust: a package that a stranger talks to cannot reach what
// could harm anybody.
var arrows = map[string]string{
	"logline": "", "login": "", "imap": "", "pop3": "internal/line", "smtp": "internal/line", "message": "", "maildir": "internal/boottime internal/cores internal/pages",
	"sessionfile": "internal/boottime", "gate": "internal/boottime", "sender": "", "config": "", "pam": "",
	"front":             "login imap pop3 smtp logline internal/seccomp",
	"monitor":           "login pam gate sender sessionfile config logline internal/boottime",
	"session":           "config login logline internal/seccomp",
	"session/imapd":     "session/roles imap maildir message logline internal/cores internal/inflate internal/pages",
	"session/roles":     "imap maildir",
	"session/pop3d":     "pop3 maildir message logline internal/cores",
	"session/submitd":   "session/roles config message maildir sender logline internal/boottime",
	"listen":            "config gate login logline",
	"cmd/smaild":        "listen monitor config logline",
	"cmd/smail-front":   "front logline",
	"cmd/smail-imap":    "session session/imapd maildir",
	"cmd/smail-pop3":    "session session/pop3d maildir",
	"cmd/smail-submit":  "session session/submitd sessionfile maildir login logline",
	"cmd/smailctl":      "config sender sessionfile maildir imap message internal/boottime",
	"cmd/smail-policyd": "config sender sessionfile logline",
	"internal/boottime": "",
	"internal/cores":    "",
	"internal/line":     "",
	"internal/inflate":  "",
	"internal/pages":    "",
	"internal/seccomp":  "",
	"internal/rig":      "",
	"internal/demo":     "internal/rig maildir",
	"internal/escape":   "front session",
	"internal/hostile":  "login",
}

// never are packages from elsewhere that must not be imported.
var never = map[string]string{
	"front":         "os/exec github.com/msteinert/pam/v2",
	"monitor":       "crypto/tls net net/mail mime os/exec",
	"listen":        "crypto/tls net net/mail mime os/exec",
	"gate":          "crypto/tls net net/mail mime os/exec",
	"session":       "os/exec",
	"session/imapd": "os/exec net crypto/tls",
	"session/pop3d": "os/exec net crypto/tls",
	"maildir":       "os/exec net",
	"message":       "os os/exec net",
	"imap":          "os os/exec net",
	"pop3":          "os os/exec net",
	"smtp":          "os os/exec net",
}

func TestImportArrows(t *testing.T) {
	imports := map[string]map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		rel := strings.TrimPrefix(filepath.ToSlash(path), "../")
		if d.IsDir() && (rel == ".git" || rel == "bench" || rel == "run" || rel == "bin") {
			return filepath.SkipDir
		}
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(filepath.Dir(rel))
		if imports[pkg] == nil {
			imports[pkg] = map[string]bool{}
		}
		for _, i := range f.Imports {
			name, _ := strconv.Unquote(i.Path.Value)
			imports[pkg][name] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg, list := range imports {
		allowed, known := arrows[pkg]
		if !known {
			t.Errorf("package %s has no row in arrows", pkg)
		}
		for name := range list {
			ours, isOurs := strings.CutPrefix(name, "smail/")
			if isOurs && !contains(allowed, ours) {
				t.Errorf("%s imports %s", pkg, name)
			}
			if contains(never[pkg], name) {
				t.Errorf("%s imports %s", pkg, name)
			}
			if (name == "C" || name == "github.com/msteinert/pam/v2") && pkg != "pam" {
				t.Errorf("%s imports %s: only pam may", pkg, name)
			}
		}
	}
}

func contains(words, word string) bool {
	for w := range strings.FieldsSeq(words) {
		if w == word {
			return true
		}
	}
	return false
}
