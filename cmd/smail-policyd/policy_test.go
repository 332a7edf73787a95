package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"smail/sessionfile"
)

// set writes a configuration and a session file with some logins.
func set(t testing.TB, settings string) *server {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "smail.conf")
	sessions := filepath.Join(dir, "sessions")
	senders := filepath.Join(dir, "senders")
	os.WriteFile(senders, []byte("sales@host.example alice\n"), 0o644)
	text := "hostname host.example\nlogin_domains example.org\nsession_file " + sessions + "\nsenders_file " + senders + "\n" + settings
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for i, login := range []struct{ user, addr string }{
		{"alice", "192.0.2.7"}, {"alice", "2001:db8::7"}, {"alice", "192.0.2.8"}, {"bob", "192.0.2.8"}, {"bob", "100.64.0.1"},
	} {
		r := sessionfile.New(1000+len(login.user), login.user, netip.MustParseAddr(login.addr), "imaps")
		if err := sessionfile.Add(sessions, r, 10*time.Minute, 100); err != nil {
			t.Fatal(i, err)
		}
	}
	return &server{configPath: path}
}

// ask sends text to a server and returns all that it answers.
func (s *server) ask(t testing.TB, text string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			s.serve(c)
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, text)
	c.(*net.TCPConn).CloseWrite()
	got, _ := io.ReadAll(c)
	return string(got)
}

func request(address, from string, more ...string) string {
	return "request=smtpd_access_policy\nprotocol_state=RCPT\n" + strings.Join(more, "") +
		fmt.Sprintf("client_address=%s\nsender=%s\nrecipient=x@there.example\n\n", address, from)
}

func TestPolicy(t *testing.T) {
	s := set(t, "")
	for _, c := range []struct{ request, want string }{
		{request("192.0.2.7", "alice@host.example"), "PERMIT"}, {request("192.0.2.7", "alice+x@EXAMPLE.org"), "PERMIT"},
		{request("192.0.2.7", "sales@host.example"), "PERMIT"}, {request("2001:db8::7", "alice@host.example"), "PERMIT"},
		{request("::ffff:192.0.2.7", "alice@host.example"), "PERMIT"}, {request("192.0.2.7", "bob@host.example"), "DUNNO"},
		{request("192.0.2.9", "alice@host.example"), "DUNNO"}, {request("192.0.2.8", "alice@host.example"), "DUNNO"},
		{request("100.64.0.1", "bob@host.example"), "DUNNO"}, {request("192.0.2.7", ""), "DUNNO"}, {request("unknown", "alice@host.example"), "DUNNO"},
		{request("192.0.2.7", "alice@host.example", "sasl_username=alice\n"), "DUNNO"}, {"request=other\n\n", "DUNNO"}, {"\n", "DUNNO"},
		{request("192.0.2.7", "alice@host.example") + request("192.0.2.9", "alice@host.example"), "PERMIT\n\naction=DUNNO"},
	} {
		if got := s.ask(t, c.request); got != "action="+c.want+"\n\n" {
			t.Errorf("%q: %q, want %s", c.request, got, c.want)
		}
	}
	for _, bad := range []string{"request=smtpd_access_policy\n", "x\n\n", strings.Repeat("a=b\n", 200) + "\n", strings.Repeat("a", 10000) + "\n\n", "request"} {
		if got := s.ask(t, bad); got != "" {
			t.Errorf("%.40q: %q", bad, got)
		}
	}
	off := set(t, "relay_window 0\n")
	if got := off.ask(t, request("192.0.2.7", "alice@host.example")); got != "action=DUNNO\n\n" {
		t.Errorf("without a window: %q", got)
	}
}

func TestMaps(t *testing.T) {
	s := set(t, "")
	for _, c := range []struct{ ask, want string }{
		{"16:client 192.0.2.7,", "5:OK OK,"}, {"15:relay 192.0.2.7,14:user 192.0.2.7,", "8:OK RELAY,8:OK alice,"},
		{"16:client 192.0.2.8,", "9:NOTFOUND ,"}, {"12:client 192.0,", "9:NOTFOUND ,"}, {"7:client ,", "9:NOTFOUND ,"},
		{"3:x y,", "53:PERM no such map: client, relay and user are there,"}, {"99999:", ""}, {"3:abc;", ""}, {"5:ab", ""}, {"9", ""},
		{"get 192.0.2.7\n", "200 OK\n"}, {"get 192.0.2.8\nget host.example\n", "500 not found\n500 not found\n"},
		{"get 2001%3adb8%3A%3A7\n", "200 OK\n"}, {"get %zz\n", "400 only get is understood\n"}, {"put 192.0.2.7 OK\n", "400 only get is understood\n"},
	} {
		got := s.ask(t, c.ask)
		if strings.HasPrefix(c.want, "53:") {
			got, c.want = got[3:], c.want[3:]
		}
		if got != c.want {
			t.Errorf("%q: %q, want %q", c.ask, got, c.want)
		}
	}
}

// TestBrokenFile: nobody may send when the session file cannot be read.
func TestBrokenFile(t *testing.T) {
	s := set(t, "")
	path := filepath.Join(filepath.Dir(s.configPath), "sessions")
	os.Remove(path)
	os.Mkdir(path, 0o755)
	for ask, want := range map[string]string{request("192.0.2.7", "alice@host.example"): "action=DUNNO\n\n",
		"16:client 192.0.2.7,": "38:TEMP the session file cannot be read,", "get 192.0.2.7\n": "400 the session file cannot be read\n"} {
		if got := s.ask(t, ask); strings.TrimLeft(got, "0123456789:") != strings.TrimLeft(want, "0123456789:") {
			t.Errorf("%q: %q, want %q", ask, got, want)
		}
	}
}

func FuzzAsk(f *testing.F) {
	f.Add(request("192.0.2.7", "alice@host.example"))
	f.Add("16:client 192.0.2.7,")
	f.Add("get 192.0.2.7\n")
	s := set(f, "")
	f.Fuzz(func(t *testing.T, text string) {
		got := s.ask(t, text)
		if strings.Contains(got, "PERMIT") && !strings.Contains(text, "alice") && !strings.Contains(text, "sales") {
			t.Errorf("%q: %q", text, got)
		}
	})
}

// TestEndlessLength: a netstring whose length never ends is not read to its end.
func TestEndlessLength(t *testing.T) {
	s := set(t, "")
	client, conn := net.Pipe()
	client.SetDeadline(time.Now().Add(10 * time.Second))
	go s.serve(conn)
	n, err := client.Write([]byte(strings.Repeat("7", 64<<10)))
	if err == nil || n > maxLine {
		t.Errorf("%d bytes were taken, %v", n, err)
	}
}
