package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestCVEFiles: what others wrote, read or removed where a link or a name led
// them. Cases look into alice's Maildir one after another.
func TestCVEFiles(t *testing.T) {
	h := cveHost(t, []string{"imaps", "pop3s", "submissions"})
	h.login()
	replay(t, h, []cve{
		{"CVE-2006-2414", "Dovecot: .. in a mailbox's name led out of the user's mail", func(t *testing.T, h *host) {
			namesThatLeadOut(t, h, "..", "../"+h.bob.Username, "../../", "a/../../b", "./../x")
		}},
		{"CVE-2007-2231", "Dovecot: .. in a name led to files with other ends", func(t *testing.T, h *host) {
			namesThatLeadOut(t, h, "a/../../../"+h.bob.Username+"/Maildir", "/etc/passwd", "~"+h.bob.Username+"/Maildir", "a\\\\..\\\\b/", "INBOX./etc", "&AC4ALg-/x")
		}},
		{"CVE-2021-40525", "Apache James: a name that a client gives was a path", urlsThatLeadOut},
		{"CVE-2008-2936", "Postfix: mail was delivered into what a link led to", linkedFiles},
		{"CVE-2020-28014", "Exim: a file was made where a link of the user's led to", danglingLinks},
		{"CVE-2020-28007", "Exim: a log that was a link overwrote what it led to", linkedSessionFile},
		{"CVE-2021-27216", "Exim: a file was removed that a link led to", linkedLocks},
		{"CVE-2020-8793", "OpenSMTPD: a link led to another's file, of which lines were shown", linkedMessages},
		{"CVE-2020-28008", "Exim: in a folder that is the user's, root followed links", rootStaysOut},
		{"CVE-2019-7524", "Dovecot: an index with a header that is too large overflowed the stack", func(t *testing.T, h *host) {
			damaged(t, h, "CVE-2019-7524", "smail.index", "\xff\xff\xff\xff")
		}},
		{"CVE-2006-5973", "Dovecot: a cache file wrote a byte beyond its end", func(t *testing.T, h *host) { damaged(t, h, "CVE-2006-5973", "smail.index.cache", "\x7f\xff\xff\xff") }},
		{"CVE-2026-33606", "Dovecot: content of a mailbox was read as lines of a protocol", namesWithLines},
		{"CVE-2009-3897", "Dovecot: folders were made that all could write", privateFiles},
		{"attack-10", "a FIFO, a socket or a folder in a file's place: opening it waits for ever", fifos},
	})
}

func namesThatLeadOut(t *testing.T, h *host, names ...string) {
	d := h.login()
	before := h.tree(h.bob.HomeDir) + h.tree(filepath.Dir(h.alice.HomeDir))
	for _, name := range names {
		q := `"` + name + `"`
		for _, c := range []string{"CREATE " + q, "DELETE " + q, "RENAME INBOX " + q, "RENAME " + q + " stolen", "SELECT " + q, "STATUS " + q + " (MESSAGES)",
			"SUBSCRIBE " + q, "APPEND " + q + " {6+}\r\nA: b\r\n", "SETMETADATA " + q + ` (/private/comment "x")`, "GETMETADATA " + q + " /private/comment"} {
			if got := d.until("c "+c, "c "); !strings.Contains("\n"+got, "\nc NO") && !strings.Contains("\n"+got, "\nc BAD") {
				t.Errorf("%s: %s", c, got)
			}
		}
		for _, c := range []string{`LIST "" ` + q, `LIST ` + q + ` *`, `LIST "" "` + name + `/*"`, `LSUB "" ` + q} {
			if got := d.ok(c); strings.Contains(got, h.bob.Username) || strings.Contains(got, "etc") {
				t.Errorf("%s: %s", c, got)
			}
		}
	}
	if after := h.tree(h.bob.HomeDir) + h.tree(filepath.Dir(h.alice.HomeDir)); after != before {
		t.Errorf("files before:\n%s\nafter:\n%s", before, after)
	}
}

// tree lists all below a folder that is not a Maildir's own.
func (h *host) tree(dir string) string {
	var b strings.Builder
	filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Name() == "Maildir" && path == h.maildir(h.alice) {
			return filepath.SkipDir
		}
		fmt.Fprintln(&b, path)
		return nil
	})
	return b.String()
}

func urlsThatLeadOut(t *testing.T, h *host) {
	d := h.login()
	d.ok("SELECT INBOX")
	for _, u := range []string{"/../" + h.bob.Username + ";UID=1", "/%2e%2e%2f" + h.bob.Username + "/Maildir;UID=1", "/INBOX/;UID=1/;SECTION=../../x", "file:///etc/passwd", "/%00;UID=1", "//etc/passwd;UID=1", "/INBOX%0d%0ax;UID=1"} {
		if got := d.until(`c APPEND INBOX CATENATE (URL "`+u+`")`, "c "); !strings.Contains(got, "c NO") && !strings.Contains(got, "c BAD") || strings.Contains(got, "root:") {
			t.Errorf("%s: %s", u, got)
		}
	}
	d.alive()
}

// own are the files that a session keeps in a folder.
var ownFiles = []string{"dovecot-uidlist", "dovecot-keywords", "subscriptions", "maildirsize", "smail.keywords", "smail.metadata", "smail.metadata-server",
	"smail.index", "smail.index.names", "smail.index.cache", "maildirfolder", "dovecot-uidvalidity"}

// busy does all that writes one of them.
func (h *host) busy(name string) {
	d := h.login()
	for _, c := range []string{"SELECT " + name, "FETCH 1:* (ENVELOPE BODYSTRUCTURE RFC822.SIZE)", `STORE 1:* +FLAGS (\Seen key` + name + ")", "SUBSCRIBE " + name,
		"SETMETADATA " + name + ` (/private/comment "x")`, `SETMETADATA "" (/private/comment "x")`, "COPY 1 INBOX", "CREATE made" + name, "APPEND " + name + " {11+}\r\nA: b\r\n\r\nx\r\n", "NOOP"} {
		d.until("c "+c, "c ") // some may fail, for something is in the way
	}
	d.ok("LOGOUT")
	d.closed()
}

func linkedFiles(t *testing.T, h *host) {
	precious := filepath.Join(h.alice.HomeDir, "precious")
	for _, text := range []string{"as it was\n", "3 V1700000000 N2 G0123\n1 :x\n"} {
		for i, in := range []string{h.maildir(h.alice), ""} {
			name := fmt.Sprintf("linked%d%d", len(text), i)
			h.folder(name, "Subject: x\n\nx\n").ok("LOGOUT")
			if in == "" {
				in = filepath.Join(h.maildir(h.alice), "."+name)
			}
			os.WriteFile(precious, []byte(text), 0o600)
			h.own(precious, h.alice)
			for _, f := range ownFiles {
				os.Remove(filepath.Join(in, f))
				os.Symlink(precious, filepath.Join(in, f))
			}
			h.busy(name)
			if got := readFile(t, precious); got != text {
				t.Errorf("%s: what a link led to became %q", in, got)
			}
			for _, f := range ownFiles {
				if to, _ := os.Readlink(filepath.Join(in, f)); to != "" {
					os.Remove(filepath.Join(in, f))
				}
			}
		}
	}
	h.busy("linked101")
}

func danglingLinks(t *testing.T, h *host) {
	h.folder("dangling", "Subject: x\n\nx\n").ok("LOGOUT")
	made := filepath.Join(h.alice.HomeDir, "made")
	dir := filepath.Join(h.maildir(h.alice), ".dangling")
	for _, f := range append(ownFiles, "dovecot-uidlist.tmp", "smail.metadata.tmp", "dovecot-keywords.tmp") {
		os.Remove(filepath.Join(dir, f))
		os.Symlink(made+"-"+f, filepath.Join(dir, f))
	}
	h.busy("dangling")
	if found, _ := filepath.Glob(made + "*"); len(found) > 0 {
		t.Errorf("made: %v", found)
	}
}

func linkedSessionFile(t *testing.T, h *host) {
	file := h.Config["session_file"]
	kept := readFile(t, file)
	target := h.write("target", "as it was\n")
	os.Remove(file)
	os.Symlink(target, file)
	h.login().alive() // mail is read all the same
	h.waitLog("session file not written")
	if got := readFile(t, target); got != "as it was\n" {
		t.Errorf("what the link led to became %q", got)
	}
	os.Remove(file)
	os.WriteFile(file, []byte(kept), 0o644)
	os.Chown(file, atoi(t, h.alice.Uid), -1) // and one that is a user's is not believed
	h.login().ok("LOGOUT")
	d := h.dial("submissions")
	d.until("EHLO x", "250 ")
	d.expect("MAIL FROM:<"+h.alice.Username+"@localhost>", "530")
	os.Remove(file)
}

func linkedLocks(t *testing.T, h *host) {
	h.folder("locks", "Subject: x\n\nx\n").ok("LOGOUT")
	precious := filepath.Join(h.alice.HomeDir, "precious-lock")
	host, _ := os.Hostname()
	text := fmt.Sprintf("%d:%s", 1<<22+1, host) // of a process that is no more
	os.WriteFile(precious, []byte(text), 0o600)
	h.own(precious, h.alice)
	if err := os.Link(precious, filepath.Join(h.maildir(h.alice), ".locks/dovecot-uidlist.lock")); err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(h.maildir(h.alice), ".locks/smail.index")) // so that the lock is wanted
	d := h.login()
	d.ok("STATUS locks (MESSAGES)")
	if got := readFile(t, precious); got != text {
		t.Errorf("what a lock led to became %q", got)
	}
	outside := filepath.Join(h.alice.HomeDir, "outside")
	os.MkdirAll(outside, 0o700)
	os.WriteFile(filepath.Join(outside, "kept"), nil, 0o600)
	h.own(outside, h.alice)
	os.Symlink(outside, filepath.Join(h.maildir(h.alice), ".locks/link"))
	d.ok("DELETE locks")
	if !isFile(filepath.Join(outside, "kept")) {
		t.Error("DELETE followed a link")
	}
}

func linkedMessages(t *testing.T, h *host) {
	secret := filepath.Join(h.alice.HomeDir, "secret")
	os.WriteFile(secret, []byte("Subject: secret\n\nsecret\n"), 0o600)
	h.own(secret, h.alice)
	d := h.folder("linkedmail", "Subject: mine\n\nx\n")
	cur := filepath.Join(h.maildir(h.alice), ".linkedmail/cur")
	for i, to := range []string{secret, "/etc/passwd", "/dev/zero", "../../../secret", filepath.Join(h.bob.HomeDir, "x")} {
		os.Symlink(to, filepath.Join(cur, fmt.Sprintf("18%08d.M1P1.link:2,", i)))
	}
	d.ok("NOOP")
	got := d.ok("UID SEARCH TEXT secret") + d.until("c UID FETCH 1:* (RFC822.SIZE BODY.PEEK[])", "c ")
	if strings.Contains(got, "secret") || strings.Contains(got, "root:") || !strings.Contains(got, "Subject: mine") {
		t.Errorf("got %s", got)
	}
	d.alive()
	folder := filepath.Join(h.maildir(h.alice), ".linkedfolder")
	os.Symlink(h.alice.HomeDir, folder)
	d.until("c SELECT linkedfolder", "c NO")
	d.expect("c CREATE linkedfolder", "c NO [ALREADYEXISTS]")
	if isFile(filepath.Join(h.alice.HomeDir, "maildirfolder")) {
		t.Error("CREATE wrote where a link leads to")
	}
	os.Remove(folder)
}

// rootStaysOut: a login with a home full of traps for root alone.
func rootStaysOut(t *testing.T, h *host) {
	target := h.write("roots", "as it was\n")
	for _, name := range []string{".forward", ".pam_environment", ".k5login", ".hushlogin", "Maildir.lock", "dead.letter", ".google_authenticator"} {
		os.Symlink(target, filepath.Join(h.alice.HomeDir, name))
		defer os.Remove(filepath.Join(h.alice.HomeDir, name))
	}
	h.login().alive()
	p := h.dial("pop3s")
	p.expect("USER "+h.alice.Username, "+OK")
	p.expect("PASS "+h.password, "+OK")
	if got := readFile(t, target); got != "as it was\n" {
		t.Errorf("a file of root's became %q", got)
	}
	if out := h.must("", "find", h.maildir(h.alice), "-user", "root", "!", "-type", "l"); out != "" {
		t.Errorf("root's: %s", out)
	}
}

// damaged writes nonsense over each place of a file that a session trusts to be
// its own: what is shown stays right.
func damaged(t *testing.T, h *host, name, file, nonsense string) {
	h.folder(name, "Subject: one\n\nx\n", "Subject: two\n\ny\n").ok("LOGOUT")
	h.busy(name)
	path := filepath.Join(h.maildir(h.alice), "."+name, file)
	whole := readFile(t, path)
	for at := 0; at < len(whole); at += max(4, len(whole)/24) {
		b := whole[:at] + nonsense + whole[min(len(whole), at+len(nonsense)):]
		os.WriteFile(path, []byte(b), 0o600)
		d := h.login()
		_, session := d.processes()
		grows(t, session, 6, func() { d.ok("SELECT " + name) })
		if got := d.ok("FETCH 1:2 (UID ENVELOPE)"); !strings.Contains(got, `"one"`) || !strings.Contains(got, `"two"`) || !strings.Contains(got, "UID 2") {
			t.Errorf("at %d: %s", at, got)
		}
		d.ok("LOGOUT")
	}
	os.WriteFile(path, nil, 0o600)
	h.busy(name)
}

func namesWithLines(t *testing.T, h *host) {
	d := h.folder("lines", "Subject: one\n\nx\n")
	cur := filepath.Join(h.maildir(h.alice), ".lines/cur")
	for i, name := range []string{"1800000000.M1\n9 :1700000000.M0P1.cve", "1800000001.M2 W5:2,S", "1800000002.M3\t:2,", "1800000003\r\n4000000000 :x:2,"} {
		path := filepath.Join(cur, name)
		if err := os.WriteFile(path, []byte(fmt.Sprintf("Subject: odd%d\n\nx\n", i)), 0o600); err != nil {
			t.Fatal(err)
		}
		h.own(path, h.alice)
	}
	d.until("c NOOP", "c ")
	d.ok("LOGOUT")
	for range 2 {
		d = h.login()
		got := d.ok("SELECT lines")
		if strings.Contains(got, "UIDNEXT 4000") {
			t.Errorf("a name gave UIDNEXT: %s", got)
		}
		if got := d.ok("UID FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]"); !strings.Contains(got, "Subject: one") {
			t.Errorf("UID 1 is another message now: %s", got)
		}
		d.ok("LOGOUT")
	}
}

func privateFiles(t *testing.T, h *host) {
	d := h.login()
	d.ok("CREATE private.sub")
	d.ok("APPEND private.sub {11+}\r\nA: b\r\n\r\nx\r\n")
	h.folder("private", "Subject: x\n\nx\n")
	h.busy("private")
	if out := h.must("", "find", h.maildir(h.alice), "!", "-type", "l", "-perm", "/077"); out != "" {
		t.Errorf("others may look into: %s", out)
	}
	if out := h.must("", "find", filepath.Dir(h.Config["session_file"]), "-perm", "/022", "!", "-type", "l"); out != "" {
		t.Errorf("others may write: %s", out)
	}
}

// fifos stand in the place of each file, and of messages: no command waits for
// who writes into them.
func fifos(t *testing.T, h *host) {
	for i, f := range append(ownFiles, "cur/1800000000.M1P1.fifo:2,", "new/1800000001.M1P1.fifo") {
		name := fmt.Sprint("fifos", i)
		in := filepath.Join(h.maildir(h.alice), "."+name)
		d := h.folder(name, "Subject: x\n\nx\n")
		d.ok("LOGOUT")
		if f == "subscriptions" || strings.HasSuffix(f, "-server") || f == "maildirsize" {
			in = h.maildir(h.alice)
		}
		path := filepath.Join(in, f)
		os.Rename(path, path+".aside")
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		h.own(path, h.alice)
		d = h.login()
		d.SetDeadline(soon())
		for _, c := range []string{"SELECT " + name, "FETCH 1:* (ENVELOPE)", "FETCH 1:* BODY.PEEK[]", `STORE 1 +FLAGS (k)`, `LSUB "" *`, "SUBSCRIBE " + name, `GETMETADATA "" /private/comment`, "NOOP"} {
			d.send("c " + c + "\r\n")
			if !answered(d, "c ") {
				t.Errorf("with a FIFO as %s, %s waits for ever", f, c)
				break
			}
		}
		os.Remove(path)
		os.Rename(path+".aside", path)
		d.Close()
	}
}

// answered reads to a tagged reply, or the deadline.
func answered(d *dialogue, prefix string) bool {
	for {
		l, err := d.r.ReadString('\n')
		if err != nil || strings.HasPrefix(l, prefix) {
			return err == nil
		}
	}
}
