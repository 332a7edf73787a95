package submitd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"smail/config"
	"smail/message"
	"smail/sender"
)

// testConfig relays into a Maildir of the test.
func testConfig(t *testing.T) *config.Config {
	t.Helper()
	dir := t.TempDir()
	senders := filepath.Join(dir, "senders")
	if err := os.WriteFile(senders, []byte("sales@host.example me\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return &config.Config{Hostname: "host.example", MaxMessageSize: 1 << 20, MaxRecipients: 10, SenderCheck: "reject", RelayMaxMessages: 10,
		SendersFile: senders, Maildir: filepath.Join(dir, "own"), Fsync: "never", Relay: config.Relay{Kind: "maildir", To: filepath.Join(dir, "out")}}
}

// say runs a session over what a client sends, and returns what it is told.
func say(t *testing.T, o Options, text string) string {
	t.Helper()
	if o.User == "" {
		o.User = "me"
	}
	c := &client{Reader: strings.NewReader(text)}
	if _, err := Serve(c, o); err != nil {
		t.Logf("session ended: %v", err)
	}
	return c.said.String()
}

const envelopeLines = "EHLO me.example\r\nMAIL FROM:<me@host.example>\r\nRCPT TO:<you@there.example>\r\n"

// mailsIn returns the messages of a Maildir's folder.
func mailsIn(t *testing.T, dir string) (all []string) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(dir, "[cn]*", "*"))
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && filepath.Base(filepath.Dir(f)) != "tmp" {
			all = append(all, string(b))
		}
	}
	return all
}

// TestAuthor: From and Sender of a message, by each setting.
func TestAuthor(t *testing.T) {
	const me = "From: Me <me@host.example>\n"
	for _, c := range []struct{ header, reject, rewrite, off string }{
		{me, me, me, me},
		{"From: me+list@HOST.example\n", "same", "same", "same"},
		{"from : me@host.example (it's me)\n", "same", "same", "same"},
		{"From: \"A, B\" <me@host.example>, me@host.example\n", "same+", "same+", "same+"},
		{"From: Sales <sales@host.example>\n", "same+", "same+", "same+"},
		{"From: team: me@host.example;\n", "same", "same", "same"},
		{"Subject: x\n", "Subject: x\nFrom: <me@host.example>\n", "Subject: x\nFrom: <me@host.example>\n", "Subject: x\nFrom: <me@host.example>\n"},
		{"From: Bob <bob@host.example>\n", "550 5.7.1 From: bob@host.example is not an address of me", "From: \"Bob\" <me@host.example>\n", "same+"},
		{"From: me@host.example,\n bob@host.example\n", "550 5.7.1", "From: <me@host.example>\n", "same+"},
		{"From: me@host.example (<bob@host.example>)\n", "same", "same", "same"},
		{"From: bob@host.example <me@host.example>\n", "550 5.6.0", "From: <me@host.example>\n", "same+"},
		{"From: <me@host.example> <bob@host.example>\n", "550 5.6.0", "From: <me@host.example>\n", "same+"},
		{"From: \n", "550 5.6.0", "From: <me@host.example>\n", "same+"},
		{"From: undisclosed:;\n", "550 5.6.0", "From: <me@host.example>\n", "same+"},
		{"From: =?x-none?Q?M=FC?= <me@host.example>\n", "same", "same", "same"},
		{"From: M\xfcller <me@host.example>\n", "same", "same", "same"},
		{"From: J. R. Me <me@host.example>\n", "same", "same", "same"},
		{"From: me@host.example\nFrom: bob@host.example\n", "550 5.6.0", "From: <me@host.example>\n", "same"},
		{"From: Bob <bob@host.example>, me@host.example\n", "550 5.7.1", "From: \"Bob\" <me@host.example>\n", "same+"},
		{me + "Resent-From: me@host.example\nResent-From: bob@host.example\n", "same", "same", "same"},
		{me + "Resent-From: me@host.example\nResent-From: bob@host.example\nResent-Sender: carol@host.example\n", "same", "same", "same"},
		{me + "Resent-From: me@host.example\nReceived: x\nResent-Sender: carol@host.example\n", "same", "same", "same"},
		{me + "Resent-To: a@b.example\nResent-To: c@d.example\nResent-From: bob@host.example\n", "550 5.7.1 Resent-From: is not", "550 5.7.1 Resent-From: is not", "same"},
		{me + "Resent-From: bob@host.example\n", "550 5.7.1 Resent-From: is not", "550 5.7.1 Resent-From: is not", "same"},
		{me + "Resent-From: me@host.example\nResent-Sender: bob@host.example\n", "550 5.7.1 Resent-Sender: is not", "550 5.7.1 Resent-Sender: is not", "same"},
		{me + "Sender: me@host.example\n", "same", "same", "same"},
		{me + "Sender: bob@host.example\n", "550 5.7.1 Sender: is not", me, me},
		{"From: sales@host.example\nSender: sales@host.example\n", "same", "same", "same"},
		{"From: bob@host.example\nSender: bob@host.example\n", "550 5.7.1", "From: <me@host.example>\n", "From: bob@host.example\nSender: me@host.example\n"},
		{"From: me@host.example\nSubject: no line end", "From: me@host.example\nSubject: no line end\n", "From: me@host.example\nSubject: no line end\n", "From: me@host.example\nSubject: no line end\n"},
	} {
		for check, want := range map[string]string{"reject": c.reject, "rewrite": c.rewrite, "off": c.off} {
			cfg := testConfig(t)
			cfg.SenderCheck = check
			s := &server{Options: Options{Config: cfg, User: "me"}}
			s.own, _ = sender.Of("me", cfg.Hostname, nil, cfg.SendersFile)
			if strings.HasPrefix(want, "same") {
				want = c.header + map[bool]string{true: "Sender: me@host.example\n"}[strings.HasSuffix(want, "+")]
			}
			h, err := s.author(message.Header(c.header))
			got := string(h)
			if err != nil {
				got = err.Error()
				want = strings.TrimPrefix(want, "SMTP error ")
			}
			if code := len("550 5.7.1"); err != nil && (len(want) < code || !strings.Contains(got, want[:3]) || !strings.Contains(got, strings.TrimSpace(want[code:]))) || err == nil && got != want {
				t.Errorf("%q by %s: %q, want %q", c.header, check, got, want)
			}
			s.Recent = true
			if _, err := s.author(message.Header(c.header)); (err != nil) != strings.HasPrefix(c.reject, "550") {
				t.Errorf("%q without a password, %s: %v", c.header, check, err)
			}
		}
	}
}

// TestSender: the envelope's.
func TestSender(t *testing.T) {
	for _, c := range []struct {
		from, check string
		recent      bool
		want        string
	}{
		{"me@host.example", "reject", false, "250"}, {"sales+x@host.example", "reject", false, "250"}, {"", "reject", false, "250"},
		{"bob@host.example", "reject", false, "553 5.7.1"}, {"bob@host.example", "rewrite", false, "250"}, {"bob@host.example", "off", false, "250"},
		{"bob@host.example", "off", true, "553 5.7.1"}, {"", "off", true, "553 5.7.1"}, {"me@host.example", "off", true, "250"},
		{"-oXfile@host.example", "off", false, "553 5.1.3"}, {`"a b"@host.example`, "off", false, "553 5.1.3"}, {"a\x01@host.example", "off", false, "553 5.1.3"},
		{"m\u00e9@host.example", "off", false, "553 5.6.7"}, {strings.Repeat("a", 65) + "@host.example", "off", false, "553 5.1.3"},
	} {
		cfg := testConfig(t)
		cfg.SenderCheck = c.check
		got := say(t, Options{Config: cfg, Recent: c.recent}, "EHLO x\r\nMAIL FROM:<"+c.from+">\r\nQUIT\r\n")
		lines := strings.Split(got, "\r\n")
		if reply := lines[len(lines)-3]; !strings.HasPrefix(reply, c.want) {
			t.Errorf("%q, %s, recent %v: %s, want %s", c.from, c.check, c.recent, reply, c.want)
		}
	}
}

// TestMend: what is added, what is taken out, and what the saved copy keeps.
func TestMend(t *testing.T) {
	cfg := testConfig(t)
	cfg.SaveSent = true
	o := Options{Config: cfg, Peer: "192.0.2.7", Greeted: "me.example", TLS: "TLS1.3 X"}
	const header = "From: me@host.example\r\nBcc: secret@there.example\r\nReturn-Path: <x@x>\r\nSubject: s\r\n"
	got := say(t, o, envelopeLines+"DATA\r\n"+header+"\r\nbody\r\n.\r\nQUIT\r\n")
	if !strings.Contains(got, "250 2.0.0 Handed over") {
		t.Fatalf("said %s", got)
	}
	out := mailsIn(t, cfg.Relay.To)
	if len(out) != 1 {
		t.Fatalf("sent %q", out)
	}
	for _, want := range []string{"Received: from me.example ([192.0.2.7])\n\tby host.example (smail) with ESMTPSA id ", "\n\t(TLS1.3 X);\n\t", "\nSubject: s\nDate: ", "\nMessage-ID: <", "@host.example>\n\nbody\n"} {
		if !strings.Contains(out[0], want) {
			t.Errorf("no %q in %q", want, out[0])
		}
	}
	if strings.Contains(out[0], "secret") || strings.Contains(out[0], "Return-Path") {
		t.Errorf("sent %q", out[0])
	}
	saved := mailsIn(t, filepath.Join(cfg.Maildir, ".Sent"))
	if len(saved) != 1 || !strings.HasSuffix(saved[0], "\nBcc: secret@there.example\n\nbody\n") {
		t.Errorf("saved %q", saved)
	}
	if files, _ := filepath.Glob(filepath.Join(cfg.Maildir, ".Sent/cur/*:2,S")); len(files) != 1 {
		t.Error("the copy is not seen")
	}
	cfg.HideClientAddress = true
	say(t, o, envelopeLines+"DATA\r\n"+header+"\r\nhidden\r\n.\r\nQUIT\r\n")
	for _, m := range mailsIn(t, cfg.Relay.To) {
		if strings.HasSuffix(m, "\nhidden\n") && (strings.Contains(m, "192.0.2.7") || strings.Contains(m, "me.example") || !strings.HasPrefix(m, "Received: by host.example (smail) with ESMTPSA id ")) {
			t.Errorf("the client's address shows: %q", m)
		}
	}
	if n := len(mailsIn(t, filepath.Join(cfg.Maildir, ".Sent"))); n != 2 {
		t.Errorf("%d copies", n)
	}
}

// TestNotSaved: what was refused has no copy.
func TestNotSaved(t *testing.T) {
	cfg := testConfig(t)
	cfg.SaveSent = true
	got := say(t, Options{Config: cfg}, envelopeLines+"DATA\r\nFrom: me@host.example\r\n\r\nbad\n\r\n.\r\nQUIT\r\n")
	if !strings.Contains(got, "550 5.6.0") || len(mailsIn(t, filepath.Join(cfg.Maildir, ".Sent"))) != 0 || len(mailsIn(t, cfg.Relay.To)) != 0 {
		t.Errorf("said %s", got)
	}
}

// TestRefusals: one after another they end the session, with a line of the log each up
// to then and none behind it; a message that is sent begins the count anew.
func TestRefusals(t *testing.T) {
	const refused = "MAIL FROM:<bob@host.example>\r\n"
	got := say(t, Options{Config: testConfig(t)}, "EHLO x\r\n"+strings.Repeat(refused, 3000))
	if n := strings.Count(got, "553 5.7.1"); n != maxRefusals || !strings.Contains(got, "421 4.7.0 Too many refusals\r\n") {
		t.Errorf("%d refusals, and then %q", n, got[max(0, len(got)-100):])
	}
	message := envelopeLines[len("EHLO me.example\r\n"):] + letter
	got = say(t, Options{Config: testConfig(t)}, "EHLO x\r\n"+strings.Repeat(refused, maxRefusals)+message+strings.Repeat(refused, maxRefusals)+message)
	if n := strings.Count(got, "250 2.0.0 Handed over"); n != 2 {
		t.Errorf("%d messages: %q", n, got)
	}
}
