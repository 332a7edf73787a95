package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// imapflow is a client with everything on; npm has it.
const imapflow = "imapflow@2.10.2"

// script runs one of testdata's scripts, which end by saying that all is well.
func (h *host) script(command, name string, args ...string) {
	h.t.Helper()
	file, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		h.t.Fatal(err)
	}
	args = append([]string{file, h.alice.Username, filepath.Join(h.Dir, "cert.pem"), h.port("imaps"), h.maildir(h.alice)}, args...)
	if out := h.must(h.password, command, args...); !strings.HasSuffix(out, "all well\n") {
		h.t.Errorf("%s: %s", name, out)
	}
}

// TestImapflow: CONDSTORE, QRESYNC, COMPRESS and IDLE at once.
func TestImapflow(t *testing.T) {
	need(t, "npm", "npm")
	dir := t.TempDir()
	if out, err := exec.Command("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", dir, imapflow).CombinedOutput(); err != nil {
		if all {
			t.Fatalf("npm install %s: %v\n%s", imapflow, err, out)
		}
		t.Skipf("needs %s of npm", imapflow)
	}
	t.Setenv("NODE_PATH", filepath.Join(dir, "node_modules"))
	everyStart(t, func(t *testing.T, h *host) {
		h.serve("imaps")
		h.deliver(h.alice, "Subject: first\n\nhello\n")
		quota := filepath.Join(h.maildir(h.alice), "maildirsize")
		if err := os.WriteFile(quota, []byte("100000000S,10000C\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		h.own(quota, h.alice)
		h.script("node", "imapflow.cjs")
	})
}

// TestNeomutt: header cache, CONDSTORE, QRESYNC and IDLE, on a terminal.
func TestNeomutt(t *testing.T) { tryScript(t, "neomutt", "neomutt") }

// TestOfflineimap: both ways, compressed, and then nothing.
func TestOfflineimap(t *testing.T) { tryScript(t, "offlineimap", "offlineimap3") }

// tryScript tries a client that takes its time, started one way only.
func tryScript(t *testing.T, client, packageName string) {
	need(t, client, packageName)
	need(t, "python3", "python3")
	h := newHost(t)
	h.serve("imaps")
	h.deliver(h.alice, "Subject: first\nFrom: a@example.net\nDate: Mon, 1 Jan 1996 00:00:00 +0000\n\nhello\n")
	h.script("python3", client+".py", filepath.Join(h.Dir, client))
}
