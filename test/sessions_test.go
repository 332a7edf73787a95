package test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ctl runs smailctl with the host's configuration.
func (h *host) ctl(stdin string, args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(h.Bin, "smailctl"), append([]string{"-config", filepath.Join(h.Dir, "smail.conf")}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestKick ends sessions of each service with a word to the client, and what
// they let their address do.
func TestKick(t *testing.T) {
	for _, held := range []string{"brief", "held"} {
		t.Run(held, func(t *testing.T) {
			h := newHost(t, "pam_session", held)
			h.serve("imaps", "pop3s", "submissions")
			name := h.alice.Username
			imap := h.login()
			idle := h.login()
			idle.send("i IDLE\r\n")
			idle.line()
			pop3 := h.dial("pop3s")
			pop3.until("USER "+name, "+OK")
			pop3.until("PASS "+h.password, "+OK")
			smtp := h.smtpLogin()
			out, err := h.ctl("", "who")
			if err != nil || strings.Count(out, "\n") != 5 || strings.Count(out, name+" ") != 4 {
				t.Fatalf("who: %v\n%s", err, out)
			}
			d := h.dial("submissions")
			d.until("EHLO x", "250 ")
			d.expect("MAIL FROM:<"+name+"@localhost>", "250")
			if out, err := h.ctl("", "kick", name); err != nil || strings.Count(out, "\n") != 5 {
				t.Errorf("kick: %v\n%s", err, out)
			}
			const why = "The administrator has ended this session"
			for want, c := range map[string]*dialogue{"* BYE " + why: imap, "-ERR [SYS/TEMP] " + why: pop3, "421 4.3.2 " + why: smtp, "421 4.3.2  " + why: d} {
				if got := c.line(); strings.TrimSpace(got) != strings.Replace(want, "  ", " ", 1) {
					t.Errorf("got %q, want %q", got, want)
				}
				c.closed()
			}
			if got := idle.line(); !strings.HasPrefix(got, "* BYE "+why) {
				t.Errorf("in IDLE: %q", got)
			}
			d = h.dial("submissions")
			d.until("EHLO x", "250 ")
			d.expect("MAIL FROM:<"+name+"@localhost>", "530")
			if out, err := h.ctl("", "kick", name); err == nil || strings.TrimSpace(out) != "smailctl: no such session" {
				t.Errorf("again: %v, %q", err, out)
			}
		})
	}
}

// TestLastWords: a front that comes to run only when session and monitor are gone
// still passes on what was said.
func TestLastWords(t *testing.T) {
	for _, held := range []string{"brief", "held"} {
		t.Run(held, func(t *testing.T) {
			h := newHost(t, "pam_session", held)
			h.serve("imaps")
			d := h.login()
			front, parent := d.processes()
			if err := syscall.Kill(front, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			defer syscall.Kill(front, syscall.SIGCONT)
			if out, err := h.ctl("", "kick", h.alice.Username); err != nil {
				t.Fatalf("kick: %v\n%s", err, out)
			}
			for deadline := time.Now().Add(10 * time.Second); atoi(t, status(t, front, "PPid")) == parent; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the front's parent does not end")
				}
			}
			syscall.Kill(front, syscall.SIGCONT)
			if got := d.line(); !strings.HasPrefix(got, "* BYE The administrator") {
				t.Errorf("got %q", got)
			}
			if !d.closed() {
				t.Error("the connection stays open")
			}
		})
	}
}

// TestSessionsAndForget: what they show, and that nobody may send after it.
func TestSessionsAndForget(t *testing.T) {
	h := newHost(t)
	h.serve("imaps", "submissions")
	name := h.alice.Username
	h.login()
	h.login()
	sends := func(want string) {
		t.Helper()
		d := h.dial("submissions")
		d.until("EHLO x", "250 ")
		d.expect("MAIL FROM:<"+name+"@localhost>", want)
	}
	sends("250")
	out, err := h.ctl("", "sessions", "-json")
	var list []struct {
		User, Address, Service, First, Last string
		Logins, Relays                      int
		Sessions                            []int
		Void                                bool
		MaySend                             bool `json:"may_send"`
	}
	if err != nil || json.Unmarshal([]byte(out), &list) != nil || len(list) != 2 || list[1].Service != "submissions" || !list[1].Void {
		t.Fatalf("sessions: %v\n%s", err, out)
	}
	r := list[0]
	last, err := time.Parse(time.RFC3339, r.Last)
	if r.User != name || r.Address != "127.0.0.1" || r.Service != "imaps" || r.Logins != 2 || r.Relays != 1 || len(r.Sessions) != 2 || !r.MaySend ||
		err != nil || time.Since(last).Abs() > time.Minute {
		t.Errorf("sessions: %+v", r)
	}
	if out, err := h.ctl("", "forget", "127.0.0.1"); err != nil || out != "2 records\n" {
		t.Errorf("forget: %v, %q", err, out)
	}
	sends("530")
	if out, err := h.ctl("", "who"); err != nil || strings.Count(out, name) != 3 {
		t.Errorf("who: %v\n%s", err, out)
	}
	if out, err := h.ctl("", "forget", "192.0.2.1"); err == nil {
		t.Errorf("forget of nobody: %q", out)
	}
}

// TestVoidedByWrongPassword: an address with one must log in before it may send.
func TestVoidedByWrongPassword(t *testing.T) {
	h := newHost(t, "relay_folder", "")
	h.Config["relay_folder"] = filepath.Join(h.Dir, "sessions", "relay")
	h.WriteConfig()
	h.serve("imaps", "submissions")
	name := h.alice.Username
	h.login()
	file := filepath.Join(h.Config["relay_folder"], "127.0.0.1")
	if b, err := os.ReadFile(file); err != nil || !bytes.HasPrefix(b, []byte(name+"@localhost: "+name+"\n"+name+"@example.org: "+name+"\n")) {
		t.Errorf("relay folder: %v, %q", err, b)
	}
	d := h.dial("imaps")
	d.until("a LOGIN "+name+" wrong", "a NO")
	d = h.dial("submissions")
	d.until("EHLO x", "250 ")
	d.expect("MAIL FROM:<"+name+"@localhost>", "530")
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("relay folder: %v", err)
	}
	h.login()
	d = h.dial("submissions")
	d.until("EHLO x", "250 ")
	d.expect("MAIL FROM:<"+name+"@localhost>", "250")
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

// TestDeniedNetwork and the most that an address may send.
func TestDeniedNetwork(t *testing.T) {
	h := newHost(t, "relay_max_messages", "2")
	h.serve("imaps", "submissions")
	h.login()
	me := h.alice.Username + "@localhost"
	d := h.dial("submissions")
	d.until("EHLO x", "250 ")
	for range 2 {
		d.expect("MAIL FROM:<"+me+">", "250")
		d.expect("RCPT TO:<b@example.net>", "250")
		d.expect("DATA", "354")
		d.expect("Subject: x\r\n\r\nx\r\n.", "250")
	}
	d.expect("MAIL FROM:<"+me+">", "530 5.7.0 Too many messages without AUTH")
	h.Config["relay_deny_networks"] = "127.0.0.0/8"
	h.WriteConfig()
	d = h.dial("submissions")
	d.until("EHLO x", "250 ")
	d.expect("MAIL FROM:<"+me+">", "530")
}

// TestAuthTest: a right and a wrong password, and why not.
func TestAuthTest(t *testing.T) {
	h := newHost(t)
	name := h.alice.Username
	for _, service := range []string{"imaps", "pop3s", "submissions"} {
		if out, err := h.ctl(h.password+"\n", "auth-test", "-service", service, name); err != nil || !strings.Contains(out, name+" can log in to "+service+"\n") {
			t.Errorf("%s: %v\n%s", service, err, out)
		}
	}
	out, err := h.ctl("wrong\n", "auth-test", name)
	if err == nil || !strings.Contains(out, "login refused") || !strings.Contains(out, "smailctl: "+name+": the login was refused: a NO [AUTHENTICATIONFAILED]") {
		t.Errorf("wrong password: %v\n%s", err, out)
	}
	if out, err := h.ctl("", "auth-test", name); err == nil {
		t.Errorf("no password: %s", out)
	}
}

// TestRelayAuthFile: one that others can read is not used, and a login that
// fails for it lets nobody send.
func TestRelayAuthFile(t *testing.T) {
	h := newHost(t)
	path := h.write("relay.auth", "name\nsecret\n")
	h.Config["relay"], h.Config["relay_auth"] = "smtp 127.0.0.1:"+freePort(t), path
	h.WriteConfig()
	h.serve("submissions")
	h.smtpLogin()
	h.ctl("", "forget", h.alice.Username)
	os.Chmod(path, 0o644)
	d := h.dial("submissions")
	d.until("EHLO x", "250 ")
	d.expect("AUTH PLAIN "+plain(h.alice.Username, h.password), "454")
	h.waitLog("login unavailable", "must be a file of root's that nobody else can read")
	os.Chmod(path, 0o600)
	d = h.dial("submissions")
	d.until("EHLO x", "250 ")
	d.expect("MAIL FROM:<"+h.alice.Username+"@localhost>", "530")
}
