package test

import (
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// nodemailer is what Node.js programs send with; npm has it.
const nodemailer = "nodemailer@7.0.11"

// sentOnce says whether one message was sent, with a subject and the user as
// its author.
func (h *host) sentOnce(subject string) {
	h.t.Helper()
	found := 0
	for _, m := range h.outbox() {
		header, _, _ := strings.Cut(m, "\n\n")
		if strings.Contains(header, "\nSubject: "+subject+"\n") && strings.Contains(header, h.alice.Username+"@localhost") && strings.Contains(header, "SMTPSA id ") {
			found++
		}
	}
	if found != 1 {
		h.t.Errorf("%d messages with the subject %s", found, subject)
	}
}

func TestSnail(t *testing.T) { everyStart(t, trySnail) }

func trySnail(t *testing.T, h *host) {
	need(t, "s-nail", "s-nail")
	h.serve("submissions", "submission")
	for service, set := range map[string][]string{"submissions": {"-Smta=smtps://%s@localhost:%s"}, "submission": {"-Smta=smtp://%s@localhost:%s", "-Ssmtp-use-starttls"}} {
		set[0] = fmt.Sprintf(set[0], h.alice.Username+":"+url.QueryEscape(h.password), h.port(service))
		set[0] = strings.ReplaceAll(set[0], "+", "%20")
		args := append([]string{"-:/", "-Sv15-compat", "-Ssmtp-auth=plain", "-Stls-verify=strict", "-Stls-ca-file=" + filepath.Join(h.Dir, "cert.pem"), "-Ssendwait",
			"-Sfrom=" + h.alice.Username + "@localhost", "-s", "snail-" + service}, set...)
		h.must("hello\n.\n", "s-nail", append(args, "to@example.net")...)
		h.sentOnce("snail-" + service)
	}
}

func TestNeomuttSends(t *testing.T) { everyStart(t, tryNeomuttSends) }

func tryNeomuttSends(t *testing.T, h *host) {
	need(t, "neomutt", "neomutt")
	h.serve("submissions", "submission")
	cert := filepath.Join(h.Dir, "cert.pem")
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(h.password)
	for service, scheme := range map[string]string{"submissions": "smtps", "submission": "smtp"} {
		rc := h.write("muttrc", fmt.Sprintf("set smtp_url=\"%s://%s@localhost:%s\" smtp_pass=\"%s\" smtp_authenticators=\"plain\"\n"+
			"set certificate_file=\"%s\" ssl_ca_certificates_file=\"%s\" ssl_force_tls=yes from=\"%s@localhost\" use_from=yes copy=no\n",
			scheme, h.alice.Username, h.port(service), quoted, cert, cert, h.alice.Username))
		h.must("hello\n", "neomutt", "-n", "-F", rc, "-s", "mutt-"+service, "--", "to@example.net")
		h.sentOnce("mutt-" + service)
	}
}

// TestNodemailer: pooled, with a delivery status notification asked for, UTF-8
// in an address, and a From that is not the user's.
func TestNodemailer(t *testing.T) {
	need(t, "npm", "npm")
	dir := t.TempDir()
	if out, err := exec.Command("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", dir, nodemailer).CombinedOutput(); err != nil {
		if all {
			t.Fatalf("npm install %s: %v\n%s", nodemailer, err, out)
		}
		t.Skipf("needs %s of npm", nodemailer)
	}
	t.Setenv("NODE_PATH", filepath.Join(dir, "node_modules"))
	everyStart(t, func(t *testing.T, h *host) {
		h.serve("submissions", "submission")
		file, _ := filepath.Abs("testdata/nodemailer.cjs")
		out := h.must(h.password, "node", file, h.alice.Username, filepath.Join(h.Dir, "cert.pem"), h.port("submissions"), h.port("submission"))
		if !strings.HasSuffix(out, "all well\n") {
			t.Errorf("nodemailer: %s", out)
		}
		for _, subject := range []string{"node 1", "node 2", "node 3"} {
			h.sentOnce(subject)
		}
	})
}
