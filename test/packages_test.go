package test

import (
	"bytes"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDebIsReproducible builds the .deb twice and has lintian look at it.
func TestDebIsReproducible(t *testing.T) {
	t.Parallel()
	need(t, "dpkg-buildpackage", "dpkg-dev")
	need(t, "dh", "debhelper")
	deb := buildTwice(t, "../packaging/build-deb", "smail_*.deb")
	lintian := need(t, "lintian", "lintian")
	out, err := exec.Command(lintian, "--allow-root", "--fail-on", "error,warning", deb).CombinedOutput()
	if err != nil {
		t.Errorf("lintian: %v\n%s", err, out)
	}
}

// TestRPMIsReproducible builds the .rpm twice and has rpmlint look at it.
func TestRPMIsReproducible(t *testing.T) {
	t.Parallel()
	need(t, "rpmbuild", "rpm")
	rpm := buildTwice(t, "../packaging/build-rpm", "smail-*.rpm")
	rpmlint := need(t, "rpmlint", "rpmlint")
	out, err := exec.Command(rpmlint, "-r", "../packaging/rpm/smail.rpmlintrc", rpm).CombinedOutput()
	if err != nil || !strings.Contains(string(out), " 0 errors") {
		t.Errorf("rpmlint: %v\n%s", err, out)
	}
}

// buildTwice runs a script that builds a package into a folder, and compares
// what comes out.
func buildTwice(t *testing.T, script, pattern string) string {
	t.Helper()
	var first string
	var sums [2][32]byte
	for i := range sums {
		dir := t.TempDir()
		if out, err := exec.Command(script, dir).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
		found, _ := filepath.Glob(filepath.Join(dir, pattern))
		if len(found) != 1 {
			t.Fatalf("built %v", found)
		}
		text, err := os.ReadFile(found[0])
		if err != nil {
			t.Fatal(err)
		}
		sums[i] = sha256.Sum256(text)
		first = found[0]
	}
	if !bytes.Equal(sums[0][:], sums[1][:]) {
		t.Errorf("two builds differ: %x %x", sums[0], sums[1])
	}
	return first
}

// TestAppArmorProfile: the parser takes the profile.
func TestAppArmorProfile(t *testing.T) {
	parser := need(t, "apparmor_parser", "apparmor")
	out, err := exec.Command(parser, "--skip-kernel-load", "--skip-cache", "../packaging/apparmor/usr.sbin.smaild").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
