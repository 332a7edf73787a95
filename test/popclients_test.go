package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// manyMessages is what each POP3 client has to cope with; getmail, which takes
// ten milliseconds of its own for each, with a part.
const manyMessages = 10000

// TestPOP3Clients: each takes ten thousand messages, and when it comes again
// only what is new.
func TestPOP3Clients(t *testing.T) {
	h := newHost(t)
	h.setPassword("without quotes") // which fetchmail's file cannot hold
	h.serve("pop3s")
	cert := filepath.Join(h.Dir, "cert.pem")
	fill := func(n int, from int) {
		h.deliver(h.alice, "Subject: new\n\n.text\n")
		for i := range n - 1 {
			name := fmt.Sprintf("%d.M%dP1.many", 1700000000+from, i)
			text := fmt.Sprintf("Subject: %d\nFrom: a@example.net\nTo: b@example.net\nMessage-ID: <%d.%d@example.net>\n\n.text\n", i, from, i)
			if err := os.WriteFile(filepath.Join(h.maildir(h.alice), "new", name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		h.own(h.maildir(h.alice), h.alice)
	}
	// each client is a way to fetch into a file or folder, in which it is counted
	// how many messages there are.
	for i, c := range []struct {
		name string
		many int
		make func(t *testing.T) (fetch func(), count func() int)
	}{{"fetchmail", manyMessages, h.fetchmail}, {"mpop", manyMessages, h.mpop}, {"getmail", manyMessages / 10, h.getmail}, {"poplib", manyMessages, h.poplib}} {
		t.Run(c.name, func(t *testing.T) {
			os.RemoveAll(h.maildir(h.alice))
			fill(c.many, 2*i)
			fetch, count := c.make(t)
			fetch()
			if n := count(); n != c.many {
				t.Fatalf("%d messages, want %d", n, c.many)
			}
			fill(3, 2*i+1)
			fetch()
			if n := count(); n != c.many+3 {
				t.Errorf("%d messages with the new ones, want %d", n, c.many+3)
			}
		})
	}
	t.Run("flush", func(t *testing.T) { // what was seen goes
		rc := h.fetchmailrc("nokeep flush", h.Dir+"/flushed")
		h.must("", "fetchmail", "-f", rc, "--nodetach", "--nosyslog", "-s", "-a")
		left, _ := filepath.Glob(filepath.Join(h.maildir(h.alice), "[cn]*", "*.*"))
		if len(left) != 0 {
			t.Errorf("%d messages are left", len(left))
		}
	})
	t.Run("curl", func(t *testing.T) {
		os.RemoveAll(h.maildir(h.alice))
		fill(manyMessages, 100)
		url := fmt.Sprintf("pop3s://localhost:%s/", h.port("pop3s"))
		auth := h.write("netrc", fmt.Sprintf("machine localhost login %s password \"%s\"\n", h.alice.Username, h.password))
		if out := h.must("", "curl", "-sS", "--netrc-file", auth, "--cacert", cert, url); strings.Count(out, "\n") != manyMessages {
			t.Errorf("LIST has %d lines", strings.Count(out, "\n"))
		}
		out := h.must("", "curl", "-sS", "--netrc-file", auth, "--cacert", cert, fmt.Sprintf("%s[1-%d]", url, manyMessages))
		if n := strings.Count(out, "\n.text\r\n"); n != manyMessages {
			t.Errorf("%d messages, want %d", n, manyMessages)
		}
	})
}

func (h *host) fetchmailrc(more, to string) string {
	return h.write("fetchmailrc", fmt.Sprintf("poll localhost service %s proto POP3 uidl user %q pass %q ssl sslcertfile %s %s bsmtp %q\n",
		h.port("pop3s"), h.alice.Username, h.password, filepath.Join(h.Dir, "cert.pem"), more, to))
}

func (h *host) fetchmail(t *testing.T) (func(), func() int) {
	need(t, "fetchmail", "fetchmail")
	got := filepath.Join(h.Dir, "fetchmail")
	rc := h.fetchmailrc("keep", got)
	return func() { h.must("", "fetchmail", "-f", rc, "--nodetach", "--nosyslog", "-s", "-i", got+".ids") },
		func() int { return strings.Count(readFile(t, got), "\n..text\r\n") }
}

func (h *host) mpop(t *testing.T) (func(), func() int) {
	need(t, "mpop", "mpop")
	dir := h.emptyMaildir("mpop")
	rc := h.write("mpoprc", fmt.Sprintf("account default\nhost localhost\nport %s\ntls on\ntls_starttls off\ntls_trust_file %s\nuser %s\npasswordeval cat %s\nkeep on\nuidls_file %s\ndelivery maildir %s\n",
		h.port("pop3s"), filepath.Join(h.Dir, "cert.pem"), h.alice.Username, h.write("pw", h.password+"\n"), filepath.Join(h.Dir, "mpop.ids"), dir))
	return func() { h.must("", "mpop", "-q", "-C", rc) }, func() int { return countFiles(dir) }
}

func (h *host) getmail(t *testing.T) (func(), func() int) {
	need(t, "getmail", "getmail6")
	got, state := filepath.Join(h.Dir, "getmail"), filepath.Join(h.Dir, "getmail.state")
	os.Mkdir(state, 0o700)
	// It does not hear of a child that ends before it waits, and gives up in time.
	script := h.write("append", "#!/bin/sh\ncat >>'"+got+"'\nsleep 0.03\n")
	os.Chmod(script, 0o755)
	os.WriteFile(filepath.Join(state, "rc"), fmt.Appendf(nil, "[retriever]\ntype = SimplePOP3SSLRetriever\nserver = localhost\nport = %s\nusername = %s\npassword = %s\nca_certs = %s\n"+
		"[destination]\ntype = MDA_external\npath = %s\nallow_root_commands = true\n[options]\nread_all = false\ndelete = false\n",
		h.port("pop3s"), h.alice.Username, h.password, filepath.Join(h.Dir, "cert.pem"), script), 0o600)
	return func() { h.must("", "getmail", "--quiet", "--getmaildir", state, "--rcfile", "rc") },
		func() int { return strings.Count(readFile(t, got), "\n.text\n") }
}

// poplib is Python's: a script that keeps the unique ids of what it has.
func (h *host) poplib(t *testing.T) (func(), func() int) {
	need(t, "python3", "python3")
	got := filepath.Join(h.Dir, "poplib")
	script := h.write("poplib_fetch.py", `import poplib, ssl, sys, os
port, user, cert, got = sys.argv[1:]
have = set(open(got).read().split()) if os.path.exists(got) else set()
c = poplib.POP3_SSL("localhost", int(port), context=ssl.create_default_context(cafile=cert))
c.utf8()
c.user(user); c.pass_(sys.stdin.read().rstrip("\n"))
capa = c.capa()
for want in "TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "UTF8", "LANG":
    assert want in capa, capa
count, size = c.stat()
sizes = {l.split()[0]: int(l.split()[1]) for l in c.list()[1]}
assert len(sizes) == count and sum(sizes.values()) == size
with open(got, "a") as out:
    for line in c.uidl()[1]:
        n, uid = line.decode().split()
        if uid not in have:
            lines = c.retr(int(n))[1]
            assert lines[-1] == b".text", lines
            assert sum(len(l) + 2 for l in lines) == sizes[n.encode()]
            assert c.top(int(n), 0)[1] == lines[:-1]
            out.write(uid + "\n")
c.quit()
`)
	return func() {
		h.must(h.password, "python3", script, h.port("pop3s"), h.alice.Username, filepath.Join(h.Dir, "cert.pem"), got)
	}, func() int { return strings.Count(readFile(t, got), "\n") }
}

func (h *host) emptyMaildir(name string) string {
	dir := filepath.Join(h.Dir, name)
	for _, sub := range []string{"", "cur", "new", "tmp"} {
		os.Mkdir(filepath.Join(dir, sub), 0o700)
	}
	return dir
}

func countFiles(dir string) int {
	files, _ := filepath.Glob(filepath.Join(dir, "[cn]*", "*"))
	return len(files)
}
