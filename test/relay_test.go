package test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRecentLogin: who has just read mail may send, as himself only.
func TestRecentLogin(t *testing.T) {
	h := newHost(t)
	h.serve("imaps", "submissions")
	me := h.alice.Username + "@localhost"
	d := h.dial("submissions")
	d.until("EHLO x", "250 ")
	d.expect("MAIL FROM:<"+me+">", "530")
	reader := h.login()
	reader.until("b LOGOUT", "b OK")
	d = h.dial("submissions")
	d.until("EHLO x", "250 ")
	for _, from := range []string{"mallory@example.net", "", "root@localhost"} {
		d.expect("MAIL FROM:<"+from+">", "553")
	}
	d.expect("MAIL FROM:<"+h.alice.Username+"+detail@EXAMPLE.org>", "250")
	d.expect("RCPT TO:<b@example.net>", "250")
	d.expect("DATA", "354")
	d.expect("Subject: recent\r\n\r\nx\r\n.", "250")
	sent := h.outbox()
	if len(sent) != 1 || !strings.Contains(sent[0], "with ESMTPS id") {
		t.Errorf("sent: %q", sent)
	}
	h.waitLog("login", "by=recent", "user="+h.alice.Username)
	// It does not make itself recent.
	b, err := os.ReadFile(h.Config["session_file"])
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), " submissions = ") || strings.Contains(string(b), " submissions + ") || strings.Count(string(b), h.alice.Username) != 2 {
		t.Errorf("session file:\n%s", b)
	}
}

// TestRecentLoginEnds: what ends it ends it for a session that goes on, too.
func TestRecentLoginEnds(t *testing.T) {
	h := newHost(t)
	h.serve("imaps", "submissions")
	me := h.alice.Username
	begin := func() *dialogue {
		h.login().until("b LOGOUT", "b OK")
		d := h.dial("submissions")
		d.until("EHLO x", "250 ")
		d.expect("MAIL FROM:<"+me+"@localhost>", "250")
		d.expect("RSET", "250")
		d.expect("MAIL FROM:<"+me+"@localhost>", "250")
		d.expect("RSET", "250")
		return d
	}
	d := begin()
	h.dial("imaps").until("a LOGIN "+me+" wrong", "a NO")
	d.expect("MAIL FROM:<"+me+"@localhost>", "530")
	d.expect("QUIT", "221")
	d = begin()
	if out, err := h.ctl("", "forget", "127.0.0.1"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	d.expect("MAIL FROM:<"+me+"@localhost>", "530")
	d.expect("QUIT", "221")
	d = begin()
	if out, err := h.ctl("", "who"); err != nil || !strings.Contains(out, " submissions ") {
		t.Errorf("who: %v\n%s", err, out)
	}
	if out, err := h.ctl("", "kick", "127.0.0.1"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := d.line(); !strings.HasPrefix(got, "421 4.3.2 The administrator") {
		t.Errorf("kicked: %q", got)
	}
}

// TestRecentLoginOfTwo: an address that two users share vouches for neither.
func TestRecentLoginOfTwo(t *testing.T) {
	needRoot(t)
	h := newHost(t)
	h.serve("imaps", "submissions")
	h.login()
	d := h.dial("imaps")
	d.until("a LOGIN "+h.bob.Username+" "+quote(h.password), "a OK")
	d = h.dial("submissions")
	d.until("EHLO x", "250 ")
	d.expect("MAIL FROM:<"+h.alice.Username+"@localhost>", "530")
}

// TestRelayWindow: 0 turns it off; over, only a live session counts.
func TestRelayWindow(t *testing.T) {
	for _, c := range []struct {
		window, liveOnly string
		live             bool
		want             string
	}{
		{"0", "no", true, "530"}, {"1s", "no", false, "530"}, {"1s", "no", true, "250"},
		{"10m", "yes", false, "530"}, {"10m", "yes", true, "250"},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			h := newHost(t, "relay_window", c.window, "relay_live_only", c.liveOnly)
			h.serve("imaps", "submissions")
			reader := h.login()
			if !c.live {
				reader.until("b LOGOUT", "b OK")
				reader.closed()
			}
			time.Sleep(1200 * time.Millisecond)
			d := h.dial("submissions")
			d.until("EHLO x", "250 ")
			d.expect("MAIL FROM:<"+h.alice.Username+"@localhost>", c.want)
		})
	}
}

// fakeSendmail writes its arguments and its standard input below h.Dir.
func (h *host) fakeSendmail(exit int) string {
	h.t.Helper()
	dir := filepath.Join(h.Dir, "outbox")
	path := h.write("sendmail", fmt.Sprintf("#!/bin/sh\nprintf '%%s\\n' \"$@\" >'%[1]s/args'\ncat >'%[1]s/mail'\nid -un >'%[1]s/who'\necho said >&2\nexit %[2]d\n", dir, exit))
	os.Chmod(path, 0o755)
	return path
}

// send sends one message as alice and returns the reply to it.
func (h *host) send(from string, to ...string) string {
	h.t.Helper()
	d := h.smtpLogin()
	d.expect("MAIL FROM:<"+from+"> BODY=8BITMIME RET=HDRS", "250")
	for _, r := range to {
		d.expect("RCPT TO:<"+r+"> NOTIFY=FAILURE", "250")
	}
	d.expect("DATA", "354")
	d.send("Subject: sent\r\nBcc: hidden@example.net\r\nTo: b@example.net\r\n\r\n..dot\r\n.\r\n")
	return d.line()
}

func TestSendmail(t *testing.T) {
	h := newHost(t)
	h.Config["relay"] = "sendmail " + h.fakeSendmail(0)
	h.WriteConfig()
	h.serve("submissions")
	me := h.alice.Username + "@localhost"
	if got := h.send(me, "b@example.net", "c@example.net"); !strings.HasPrefix(got, "250 2.0.0") {
		t.Fatalf("got %q", got)
	}
	read := func(name string) string {
		b, _ := os.ReadFile(filepath.Join(h.Dir, "outbox", name))
		return string(b)
	}
	if got, want := read("args"), "-i\n-f\n"+me+"\n-N\nfailure\n-R\nhdrs\n--\nb@example.net\nc@example.net\n"; got != want {
		t.Errorf("arguments %q, want %q", got, want)
	}
	if got := read("who"); strings.TrimSpace(got) != h.alice.Username {
		t.Errorf("sendmail ran as %s", got)
	}
	mail := read("mail")
	for _, want := range []string{"Received: from client.example.net ([127.0.0.1])\n\tby localhost (smail) with ESMTPSA id ",
		"\nSubject: sent\nTo: b@example.net\nFrom: <" + me + ">\nDate: ", "\nMessage-ID: <", "@localhost>\n\n.dot\n"} {
		if !strings.Contains(mail, want) {
			t.Errorf("no %q in %q", want, mail)
		}
	}
	if strings.Contains(mail, "hidden") || strings.Contains(mail, "\r") {
		t.Errorf("handed over: %q", mail)
	}
}

// TestSendmailFails: what may succeed later is 451, what cannot is 554.
func TestSendmailFails(t *testing.T) {
	for exit, want := range map[int]string{75: "451 4.3.0", 71: "451 4.3.0", 1: "451 4.3.0", 67: "554 5.0.0", 65: "554 5.0.0"} {
		t.Run(fmt.Sprint(exit), func(t *testing.T) {
			h := newHost(t)
			h.Config["relay"] = "sendmail " + h.fakeSendmail(exit)
			h.WriteConfig()
			h.serve("submissions")
			if got := h.send(h.alice.Username+"@localhost", "b@example.net"); !strings.HasPrefix(got, want) {
				t.Errorf("got %q, want %s", got, want)
			}
			h.waitLog("said")
		})
	}
}

// nextHop is an SMTP or LMTP server that answers as it is told: a reply for
// each line that begins with a key, 250 for others. It passes on what it read up
// to the end of each message.
func nextHop(t *testing.T, l net.Listener, replies map[string]string) <-chan string {
	got := make(chan string, 10)
	t.Cleanup(func() { l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r := bufio.NewReader(conn)
		fmt.Fprint(conn, "220 next ESMTP\r\n")
		var mail strings.Builder
		data := false
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			mail.WriteString(line)
			reply := "250 2.0.0 fine"
			for key, value := range replies {
				if strings.HasPrefix(line, key) {
					reply = value
				}
			}
			switch {
			case data && line != ".\r\n":
				continue
			case line == ".\r\n":
				data = false
			case strings.HasPrefix(line, "EHLO"), strings.HasPrefix(line, "LHLO"):
				reply = "250-next\r\n250-8BITMIME\r\n250 SIZE"
			case line == "DATA\r\n" && reply[0] == '2':
				reply, data = "354 go on", true
			}
			if reply == "drop" {
				return
			}
			fmt.Fprint(conn, reply+"\r\n")
			if line == ".\r\n" {
				got <- mail.String()
				mail.Reset()
			}
		}
	}()
	return got
}

// TestNextHop: 250 only after the next one's 250.
func TestNextHop(t *testing.T) {
	for _, c := range []struct{ name, key, reply, want string }{
		{"takes it", "", "", "250 2.0.0"},
		{"refuses the recipient", "RCPT", "550 5.1.1 no such user", "550 5.1.1 no such user"},
		{"is busy", "MAIL", "450 4.2.0 later", "450 4.2.0 later"},
		{"refuses the message", ".\r\n", "554 5.7.1 spam", "554 5.7.1 spam"},
		{"drops the connection", ".\r\n", "drop", "451 4.3.0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			replies := map[string]string{}
			if c.key != "" {
				replies[c.key] = c.reply
			}
			got := nextHop(t, l, replies)
			h.Config["relay"] = "smtp " + l.Addr().String()
			h.WriteConfig()
			h.serve("submissions")
			if reply := h.send(h.alice.Username+"@localhost", "b@example.net"); !strings.HasPrefix(reply, c.want) {
				t.Errorf("got %q, want %s", reply, c.want)
			}
			if c.key == "" {
				if mail := <-got; !strings.Contains(mail, "\r\n\r\n..dot\r\n.\r\n") || strings.Contains(mail, "hidden") {
					t.Errorf("next hop got %q", mail)
				}
			}
		})
	}
}

func TestNextHopDown(t *testing.T) {
	h := newHost(t, "relay", "smtp 127.0.0.1:"+freePort(t))
	h.serve("submissions")
	if got := h.send(h.alice.Username+"@localhost", "b@example.net"); !strings.HasPrefix(got, "451 4.3.0") {
		t.Errorf("got %q", got)
	}
}

func TestLMTP(t *testing.T) {
	h := newHost(t)
	path := filepath.Join(h.Dir, "lmtp")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	os.Chmod(path, 0o777)
	got := nextHop(t, l, nil)
	h.Config["relay"] = "lmtp " + path
	h.WriteConfig()
	h.serve("submissions")
	if reply := h.send(h.alice.Username+"@localhost", "b@example.net"); !strings.HasPrefix(reply, "250") {
		t.Errorf("got %q", reply)
	}
	if mail := <-got; !strings.HasPrefix(mail, "LHLO localhost\r\n") || !strings.Contains(mail, "RCPT TO:<b@example.net>") {
		t.Errorf("LMTP server got %q", mail)
	}
}

// TestLMTPInPart: a confined session can still tell its user in INBOX who did not get
// a message.
func TestLMTPInPart(t *testing.T) {
	h := newHost(t)
	path := filepath.Join(h.Dir, "lmtp")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	os.Chmod(path, 0o777)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprint(c, "220 x\r\n")
		replies := map[string]string{"LHLO": "250 x", "MAIL": "250 ok", "RCPT": "250 ok", "DATA": "354 go", ".": "250 has it\r\n550 5.2.2 full", "QUIT": "221 x"}
		for lines := bufio.NewScanner(c); lines.Scan(); {
			verb, _, _ := strings.Cut(lines.Text(), " ")
			if reply := replies[verb]; reply != "" {
				fmt.Fprint(c, reply+"\r\n")
			}
		}
	}()
	h.Config["relay"] = "lmtp " + path
	h.WriteConfig()
	h.serve("submissions")
	if reply := h.send(h.alice.Username+"@localhost", "b@example.net", "c@example.net"); !strings.HasPrefix(reply, "250") {
		t.Errorf("got %q", reply)
	}
	told, _ := filepath.Glob(h.maildir(h.alice) + "/new/*")
	if len(told) != 1 || !strings.Contains(readFile(t, told[0]), "c@example.net") {
		t.Errorf("INBOX was told %q\n%s", told, h.log)
	}
}
