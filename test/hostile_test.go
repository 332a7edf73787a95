package test

import (
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hostileFront puts a program that attacks in the front's place.
func (h *host) hostileFront(mode, rest string) {
	h.t.Helper()
	front := filepath.Join(h.Libexec, "smail-front")
	os.Remove(front)
	build := exec.Command("go", "build", "-o", front, "../internal/hostile")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		h.t.Fatalf("%v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(h.Libexec, "mode"), []byte(mode+"\n"+rest), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// attacked connects, and waits until the attack has ended the connection.
func (h *host) attacked(within time.Duration) {
	h.t.Helper()
	conn, err := net.Dial("tcp", h.addr["imaps"])
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.Close()
	h.waitLog("hostile began")
	conn.SetReadDeadline(time.Now().Add(within))
	if _, err := conn.Read(make([]byte, 1)); os.IsTimeout(err) {
		h.t.Errorf("the connection goes on after %v; %v", within, h.chain())
	}
	for deadline := time.Now().Add(3 * time.Second); len(h.chain()) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("still there: %v", h.chain())
		}
	}
}

// TestHostileFront: whoever has taken over a front gets no more than a client,
// and the monitor ends at the first frame that it did not expect.
func TestHostileFront(t *testing.T) {
	needRoot(t)
	for _, c := range []struct {
		mode, monitor string // what the monitor logs
		answers       string // how many, and which
	}{
		{"text", "not a handshake's message", ""},
		{"twice", "second signature", "s"},
		{"passwords", "too many logins", "rrr"},
		{"recent", "asked for what its service has not", ""},
		{"garbage", "version is not", ""},
		{"answer", "malformed frame", ""},
		{"long", "malformed frame", ""},
		{"flood", "too many logins", ""},
		{"silent", "", ""},
	} {
		t.Run(c.mode, func(t *testing.T) {
			h := newHost(t, "login_timeout", "8s")
			h.hostileFront(c.mode, "")
			h.serve("imaps")
			h.attacked(20 * time.Second)
			if c.monitor != "" {
				h.waitLog("smaild ends", c.monitor)
			}
			answers := ""
			for line := range strings.Lines(h.log.String()) {
				if _, a, found := strings.Cut(line, "hostile answered: "); found {
					answers += strings.TrimSpace(a)
				}
			}
			if answers != c.answers {
				t.Errorf("answers %q, want %q", answers, c.answers)
			}
			h.unharmed()
		})
	}
}

// unharmed looks at the listener that was attacked through its child: it is the
// same process, and serves with a good front.
func (h *host) unharmed() {
	h.t.Helper()
	if strings.Contains(h.log.String(), "by=password") || strings.Contains(h.log.String(), "panic") {
		h.t.Errorf("log:\n%s", h.log)
	}
	good := readFile(h.t, filepath.Join(bin, "smail-front"))
	front := filepath.Join(h.Libexec, "smail-front")
	os.Remove(front)
	os.WriteFile(front, []byte(good), 0o711)
	os.Chmod(front, 0o711)
	conn, err := net.Dial("tcp", h.addr["imaps"]) // the spare still has the hostile one
	if err == nil {
		time.Sleep(time.Second) // who has left is not served
		conn.Close()
	}
	h.login().until("z LOGOUT", "z OK")
	rss := 0
	for line := range strings.Lines(readFile(h.t, "/proc/"+h.listener()+"/status")) {
		fmt.Sscanf(line, "VmHWM: %d kB", &rss)
	}
	if rss == 0 || rss > 32<<10 {
		h.t.Errorf("the listener has grown to %d kB", rss)
	}
}

// TestHostileFrontSees nothing: no file, no key, no other process.
func TestHostileFrontSees(t *testing.T) {
	needRoot(t)
	h := newHost(t)
	h.deliver(h.alice, "Subject: secret\n\nx\n")
	os.Chmod(filepath.Join(h.alice.HomeDir), 0o700)
	key := readFile(t, filepath.Join(h.Dir, "key.pem"))
	block, _ := pem.Decode([]byte(key))
	files := []string{"/etc/shadow", filepath.Join(h.Dir, "key.pem"), filepath.Join(h.maildir(h.alice), "new"), filepath.Join(h.Dir, "sessions/sessions.lock")}
	h.serve("imaps")
	h.login().until("z LOGOUT", "z OK") // so that there is a session file
	h.hostileFront("look", strings.Join(files, " ")+"\n"+string(block.Bytes))
	conn, err := net.Dial("tcp", h.serveOther())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	h.waitLog("hostile done")
	for _, path := range files {
		h.waitLog("hostile read: "+path, "permission denied")
	}
	for _, what := range []string{"kill", "attach", "become root"} {
		h.waitLog("hostile "+what+":", "operation not permitted")
	}
	h.waitLog("hostile environ of the monitor:", "permission denied")
	h.waitLog("hostile key in setup: false")
	h.waitLog("hostile environment: GOMAXPROCS=1 GOTRACEBACK=none")
	for line := range strings.Lines(h.log.String()) {
		_, detail, found := strings.Cut(line, "hostile descriptor: ")
		if !found {
			continue
		}
		fd, to, _ := strings.Cut(strings.TrimSpace(detail), " ")
		if n := atoi(t, fd); n > 9 || !(n == 2 || to == "/dev/null" || strings.HasPrefix(to, "socket:") || strings.HasPrefix(to, "anon_inode:") || strings.HasPrefix(to, "/proc/") || to == "") {
			t.Errorf("descriptor %s", detail)
		}
	}
}

// serveOther starts a second listener, which has no spare of before.
func (h *host) serveOther() string {
	h.t.Helper()
	addr, err := h.Listen("imaps", "127.0.0.1:0", h.log.in)
	if err != nil {
		h.t.Fatal(err)
	}
	return addr
}

// TestHostileHello: what a front tells the session gives nobody anything.
func TestHostileHello(t *testing.T) {
	needRoot(t)
	h := newHost(t)
	h.deliver(h.bob, "Subject: bob's\n\nx\n")
	h.hostileFront("session", h.alice.Username+"\n"+h.password)
	h.serve("imaps")
	h.attacked(20 * time.Second)
	said := ""
	for line := range strings.Lines(h.log.String()) {
		if _, s, found := strings.Cut(line, "hostile session said: "); found {
			said += s
		}
	}
	for _, bad := range []string{"MESSAGES 1", "root:", "bob's", "smailbob/", `c OK`} {
		if strings.Contains(said, bad) {
			t.Errorf("%q in %s", bad, said)
		}
	}
	if !strings.Contains(said, "b OK") || !strings.Contains(said, "BYE") {
		t.Errorf("the session said %s", said)
	}
	h.waitLog("end user="+h.alice.Username, "smail-imap")
	if uid := int(must1(os.Stat(h.maildir(h.alice))).Sys().(*syscall.Stat_t).Uid); fmt.Sprint(uid) != h.alice.Uid {
		t.Errorf("the Maildir belongs to %d", uid)
	}
}

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
