package sender

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const sample = `# address  users
sales@example.org  alice bob
Office@Example.NET	alice,bob # both
@shop.example      alice
nobody
two@ats@example.org alice
@ alice
info@example.org
`

func TestOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "senders")
	os.WriteFile(path, []byte(sample), 0o644)
	a, err := Of("alice", "mail.example.org", []string{"example.org"}, path)
	if err == nil || strings.Count(err.Error(), "\n") != 3 || !strings.Contains(err.Error(), "line 5: ") {
		t.Errorf("errors: %v", err)
	}
	for address, want := range map[string][2]bool{ // own, by name
		"alice@mail.example.org": {true, true}, "alice@EXAMPLE.org": {true, true}, "alice+x@example.org": {true, true},
		"sales@example.org": {true, false}, "SALES+x@example.org": {true, false}, "office@example.net": {true, false},
		"any@shop.example": {true, false}, "a+b@SHOP.example": {true, false},
		"alice@example.net": {}, "bob@example.org": {}, "alice": {}, "": {}, "@": {}, "alice@": {}, "info@example.org": {},
		"x@evil.shop.example": {}, "alice@example.org@evil.example": {}, "+alice@example.org": {},
		"Alice@example.org": {true, true}, "ALICE+X@example.org": {true, true}, "al\u0130ce@example.org": {}, "alice\x00@example.org": {},
	} {
		if got := [2]bool{a.Own(address), a.Named(address)}; got != want {
			t.Errorf("%q: own, by name: %v, want %v", address, got, want)
		}
	}
	if got := strings.Join(a.List(), " "); got != "alice@mail.example.org alice@example.org sales@example.org Office@Example.NET @shop.example" {
		t.Errorf("list: %s", got)
	}
	if a.Main() != "alice@mail.example.org" {
		t.Error(a.Main())
	}
	detail := &Addresses{user: "alice", domains: []string{"example.org"}, given: []string{"info+Boss@example.org", "@\u00dcber.example"}}
	for address, want := range map[string]bool{
		"INFO+boss@example.org": true, "info@example.org": false, "info+x@example.org": false, "info+boss+x@example.org": false,
		"x@\u00dcBER.example": true, "x@\u00fcber.example": false, "\u017fales@example.org": false, "alice@\u212aexample.org": false,
	} {
		if got := detail.Own(address); got != want {
			t.Errorf("%q: own: %v, want %v", address, got, want)
		}
	}
	big, _ := Of("Alice", "example.org", nil, "")
	if !big.Own("Alice@example.org") || big.Own("alice@example.org") {
		t.Error("a user whose name has capitals is taken for another")
	}
}

// TestFiles: one that others can write, or that is none, gives nobody anything.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "senders")
	own := func() (bool, error) {
		a, err := Of("alice", "h", nil, path)
		return a.Own("sales@example.org"), err
	}
	if ok, err := own(); ok || err != nil {
		t.Errorf("missing: %v, %v", ok, err)
	}
	os.WriteFile(path, []byte(sample), 0o644)
	os.Chmod(path, 0o664)
	if ok, err := own(); ok || err == nil {
		t.Errorf("writable by a group: %v, %v", ok, err)
	}
	os.Chmod(path, 0o644)
	if ok, _ := own(); !ok {
		t.Error("a good file is not believed")
	}
	os.WriteFile(path, []byte(strings.Repeat("x", maxLineBytes+1)+" y\n"+sample), 0o644)
	if ok, err := own(); !ok || err == nil { // the others count
		t.Errorf("a long line: %v, %v", ok, err)
	}
	os.Truncate(path, maxFileBytes+1)
	if ok, err := own(); ok || err == nil {
		t.Errorf("a long file: %v, %v", ok, err)
	}
	os.Remove(path)
	os.Mkdir(path, 0o755)
	if ok, err := own(); ok || err == nil {
		t.Errorf("a folder: %v, %v", ok, err)
	}
}

func FuzzSenders(f *testing.F) {
	f.Add(sample)
	f.Fuzz(func(t *testing.T, text string) {
		parse(strings.NewReader(text), "senders", func(address string, users []string) {
			if len(users) == 0 || strings.Count(address, "@") != 1 || strings.ContainsAny(address, " \t\n\r<>") {
				t.Errorf("taken: %q %q", address, users)
			}
		})
	})
}
