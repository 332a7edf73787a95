package test

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNotPeople: accounts that are not people's are refused although PAM would
// let them in with any password.
func TestNotPeople(t *testing.T) {
	needRoot(t)
	h := newHost(t)
	if err := h.PAM("auth required pam_permit.so", "account required pam_permit.so", "session required pam_permit.so"); err != nil {
		t.Fatal(err)
	}
	h.serve("imaps")
	const answer = "a NO [AUTHENTICATIONFAILED] Wrong name or password"
	for name, reason := range map[string]string{
		"root": "uid 0 is not from min_uid", "daemon": "uid 1 is not from min_uid", "smail": "is not from min_uid",
		"nobody": "uid 65534 is not from min_uid 1000 to max_uid 60000", "nosuchuser": "no such account",
		"SMAILALICE": "no such account", "smailalice@example.net": "name is not an account's", "a/b": "name is not an account's",
		"smailalice ": "name is not an account's", "../smailalice": "name is not an account's", "-smailalice": "name is not an account's",
		"smailalice:x": "name is not an account's", "%u": "name is not an account's", "smailalice\tx": "name is not an account's",
		strings.Repeat("a", 65): "name is not an account's", strings.Repeat("a", 255): "name is not an account's",
		strings.Repeat("a", 256): "name is not an account's", // the front's own limit is before it
	} {
		before := len(h.log.String())
		d := h.dial("imaps")
		if got := d.expect(fmt.Sprintf("a LOGIN %s x", quote(name)), "a NO"); got != answer {
			t.Errorf("%.20q: answered %q", name, got)
		}
		if log := h.log.String()[before:]; !strings.Contains(log, "login refused") || !strings.Contains(log, reason) {
			t.Errorf("%.20q: not %q in the log:\n%s", name, reason, log)
		}
	}
	for what, command := range map[string]string{
		"NUL in a name":            "a AUTHENTICATE PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00smailalice\x00x\x00y")),
		"NUL in a literal":         "a LOGIN {4+}\r\nab\x00c x",
		"64 KiB, literal":          "a LOGIN {65536+}\r\n" + strings.Repeat("a", 65536) + " x",
		"64 KiB, literal, waiting": "a LOGIN {65536}",
		"64 KiB, SASL":             "a AUTHENTICATE PLAIN " + strings.Repeat("QUJD", 16<<10),
		"another's name":           "a AUTHENTICATE PLAIN " + base64.StdEncoding.EncodeToString([]byte("smailbob\x00smailalice\x00x")),
	} {
		d := h.dial("imaps")
		d.Write([]byte(command + "\r\n"))
		if line, err := d.r.ReadString('\n'); err == nil && !strings.HasPrefix(line, "a BAD") && !strings.HasPrefix(line, "a NO") && !strings.HasPrefix(line, "* BYE") {
			t.Errorf("%s: %q", what, line)
		}
	}
	if strings.Contains(h.log.String(), "by=password") {
		t.Errorf("somebody got in:\n%s", h.log)
	}
	d := h.dial("imaps") // and a good name does
	d.until("a LOGIN "+h.alice.Username+" x", "a OK")
}

// TestNoLogin: while the system lets nobody in, /etc/nologin's text is not what
// the client sees.
func TestNoLogin(t *testing.T) {
	needRoot(t)
	h := newHost(t)
	nologin := filepath.Join(h.Dir, "nologin")
	os.WriteFile(nologin, []byte("Maintenance\n"), 0o644)
	if err := h.PAM("auth required pam_unix.so", "account requisite pam_nologin.so file="+nologin, "account required pam_unix.so", "session required pam_permit.so"); err != nil {
		t.Fatal(err)
	}
	h.serve("imaps")
	d := h.dial("imaps")
	d.expect("a LOGIN "+h.alice.Username+" "+quote(h.password), "a NO [AUTHENTICATIONFAILED] Wrong name or password")
	h.waitLog("login refused", "pam_acct_mgmt")
	os.Remove(nologin)
	d.until("b LOGIN "+h.alice.Username+" "+quote(h.password), "b OK")
}
