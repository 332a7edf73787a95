package test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSSLScan: only TLS 1.2 and 1.3, only suites with an AEAD and forward secrecy.
func TestSSLScan(t *testing.T) {
	scan := need(t, "sslscan", "sslscan")
	h := newHost(t)
	h.serve("imaps")
	out := h.must("", scan, "--no-colour", "--show-sigs", h.addr["imaps"])
	for _, old := range []string{"SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"} {
		if !regexp.MustCompile(regexp.QuoteMeta(old) + ` +disabled`).MatchString(out) {
			t.Errorf("%s is not disabled", old)
		}
	}
	accepted := regexp.MustCompile(`(?m)^(?:Preferred|Accepted) +(TLSv\S+) +\d+ bits +(\S+)`).FindAllStringSubmatch(out, -1)
	if len(accepted) < 5 {
		t.Errorf("only %d suites", len(accepted))
	}
	for _, a := range accepted {
		if !regexp.MustCompile(`^(TLS_|ECDHE-.*(GCM|CHACHA20))`).MatchString(a[2]) {
			t.Errorf("%s offers %s", a[1], a[2])
		}
	}
	if strings.Contains(out, "not supported") && !strings.Contains(out, "Session renegotiation not supported") || regexp.MustCompile(`(?m) vulnerable`).MatchString(strings.ReplaceAll(out, "not vulnerable", "")) {
		t.Errorf("found something:\n%s", out)
	}
	if t.Failed() {
		t.Log(out)
	}
}

// TestTestSSL: testssl.sh finds nothing of medium severity or worse.
func TestTestSSL(t *testing.T) {
	scan := need(t, "testssl", "testssl.sh")
	h := newHost(t)
	h.serve("imaps", "submission")
	for service, args := range map[string][]string{"imaps": nil, "submission": {"--starttls", "smtp"}} {
		file := filepath.Join(h.Dir, service+".json")
		args = append(args, "--quiet", "--color", "0", "--warnings", "batch", "--jsonfile", file,
			"--add-ca", filepath.Join(h.Dir, "cert.pem"), "--ip", "127.0.0.1", "localhost:"+h.port(service))
		out, _ := h.client("", scan, args...)
		var findings []struct{ ID, Severity, Finding string }
		text, _ := os.ReadFile(file)
		if err := json.Unmarshal(text, &findings); err != nil || len(findings) < 50 {
			t.Fatalf("%s: %d findings, %v\n%s", service, len(findings), err, out)
		}
		for _, f := range findings {
			if f.ID == "cert_revocation" { // nobody is there to revoke the test's own certificate
				continue
			}
			switch f.Severity {
			case "MEDIUM", "HIGH", "CRITICAL", "FATAL":
				t.Errorf("%s: %s %s: %s", service, f.Severity, f.ID, f.Finding)
			}
		}
	}
}
