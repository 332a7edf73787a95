package submitd

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"smail/config"
)

// TestSMTPUTF8 is asked of the next hop where it is needed, whatever the client
// said: Go's and other libraries say it whenever it is offered.
func TestSMTPUTF8(t *testing.T) {
	const to = "RCPT TO:<you@there.example>\r\n"
	plain := "DATA\r\nFrom: me@host.example\r\nSubject: x\r\n\r\nb\xc3\xb6dy\r\n.\r\nQUIT\r\n"
	for name, c := range map[string]struct {
		rcpt, data string
		needed     bool
	}{
		"ASCII":   {to, plain, false},
		"address": {"RCPT TO:<y\xc3\xb6u@there.example>\r\n", plain, true},
		"header":  {to, strings.Replace(plain, "Subject: x", "Subject: \xc3\xb6", 1), true},
	} {
		for _, offers := range [][]string{{"8BITMIME"}, {"8BITMIME", "SMTPUTF8"}} {
			p := &peer{t: t, offers: offers}
			cfg := testConfig(t)
			cfg.Relay = p.relay("smtp")
			got := say(t, Options{Config: cfg}, "EHLO x\r\nMAIL FROM:<me@host.example> SMTPUTF8\r\n"+c.rcpt+c.data)
			asked := strings.Contains(strings.Join(p.heard(), "\n"), " SMTPUTF8")
			if want := !c.needed || len(offers) == 2; strings.Contains(got, "250 2.0.0 Ok") != want || asked != (c.needed && want) {
				t.Errorf("%s, %q offered: asked for %v, said %s", name, offers, asked, got)
			}
		}
	}
}

// TestHopMeansYes: other codes of the same kind are a yes as well, RFC 5321
// section 4.3.2; a message that was taken must not come again.
func TestHopMeansYes(t *testing.T) {
	p := &peer{t: t, replies: map[string]string{"RCPT": "251 2.1.5 will forward"}, refuse: func(string) string { return "252 2.0.0 taken" }}
	cfg := testConfig(t)
	cfg.Relay = p.relay("smtp")
	if got := say(t, Options{Config: cfg}, envelopeLines+letter+"QUIT\r\n"); !strings.Contains(got, "250 2.0.0 taken") {
		t.Errorf("said %s", got)
	}
}

// TestHopLastWord: what a next hop says before it closes the connection in the
// midst of a message reaches the client.
func TestHopLastWord(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		r := bufio.NewReader(c)
		fmt.Fprint(c, "220 next\r\n")
		for _, reply := range []string{"250 next", "250 fine", "250 fine", "354 go on"} {
			r.ReadString('\n')
			fmt.Fprint(c, reply+"\r\n")
		}
		r.ReadString('\n')
		fmt.Fprint(c, "552 5.3.4 too large for me\r\n")
		c.(*net.TCPConn).CloseWrite()
		time.Sleep(100 * time.Millisecond)
		c.Close()
	}()
	cfg := testConfig(t)
	cfg.Relay = config.Relay{Kind: "smtp", To: l.Addr().String()}
	cfg.MaxMessageSize = 100 << 20
	big := strings.Repeat(strings.Repeat("x", 70)+"\r\n", 500000)
	got := say(t, Options{Config: cfg}, envelopeLines+"DATA\r\nFrom: me@host.example\r\n\r\n"+big+".\r\nQUIT\r\n")
	if !strings.Contains(got, "552 5.3.4 too large for me") {
		t.Errorf("said %s", got)
	}
}

// TestLMTPDropped: replies that did not come count as failures, and nothing that
// comes later is taken for another message's.
func TestLMTPDropped(t *testing.T) {
	p := &peer{t: t}
	p.refuse = func(rcpt string) string {
		if strings.Contains(rcpt, "two") {
			return "drop"
		}
		return "250 2.0.0 fine"
	}
	cfg := testConfig(t)
	cfg.Relay = p.relay("lmtp")
	const three = "EHLO x\r\nMAIL FROM:<me@host.example>\r\nRCPT TO:<one@there.example>\r\nRCPT TO:<two@there.example>\r\nRCPT TO:<three@there.example> NOTIFY=NEVER\r\n"
	got := say(t, Options{Config: cfg}, three+letter+envelopeLines[len("EHLO me.example\r\n"):]+letter+"QUIT\r\n")
	if strings.Count(got, "250 2.0.0 Handed over") != 2 {
		t.Errorf("said %s", got)
	}
	told := mailsIn(t, cfg.Maildir)
	if len(told) != 1 || !strings.Contains(told[0], "two@there") || strings.Contains(told[0], "three@there") || strings.Contains(told[0], "one@there") {
		t.Errorf("told %q", told)
	}
	if p.conns != 2 {
		t.Errorf("%d connections", p.conns)
	}
}

// TestLastWord: what a next hop says before it closes its connection is its
// answer to all that was under way.
func TestLastWord(t *testing.T) {
	const two = "EHLO x\r\nMAIL FROM:<me@host.example>\r\nRCPT TO:<one@there.example>\r\nRCPT TO:<two@there.example>\r\n"
	p := &peer{t: t}
	cfg := testConfig(t)
	cfg.Relay = p.relay("lmtp")
	p.answer(map[string]string{"DATA": "354 go on\r\n552 5.3.4 Message too big and drop"})
	if got := say(t, Options{Config: cfg}, two+letter+"QUIT\r\n"); !strings.Contains(got, "\r\n552 5.3.4 Message too big\r\n221 ") {
		t.Errorf("to the content: %s", got)
	}

	p = &peer{t: t}
	cfg.Relay = p.relay("lmtp")
	p.answer(map[string]string{"RSET": "250 fine\r\n451 4.4.2 Timeout, closing and drop", "MAIL FROM:<>": "550 5.1.0 Not so"})
	again := "MAIL FROM:<me@host.example>\r\nRCPT TO:<one@there.example>\r\n" + letter
	refused := "MAIL FROM:<>\r\nRCPT TO:<one@there.example>\r\n" + letter // is followed by RSET
	got := say(t, Options{Config: cfg}, "EHLO x\r\n"+again+refused+again+"QUIT\r\n")
	if strings.Count(got, "250 2.0.0 ") < 2 || strings.Contains(got, "421") || p.conns != 2 {
		t.Errorf("to a message on a connection that was kept: %d connections; %s", p.conns, got)
	}
}

// TestLMTPLater: where nobody gets the message now, one who may later decides.
func TestLMTPLater(t *testing.T) {
	p := &peer{t: t}
	p.refuse = func(rcpt string) string {
		if strings.Contains(rcpt, "one") {
			return "550 5.1.1 Nobody"
		}
		return "452 4.2.2 Full"
	}
	cfg := testConfig(t)
	cfg.Relay = p.relay("lmtp")
	got := say(t, Options{Config: cfg}, "EHLO x\r\nMAIL FROM:<me@host.example>\r\nRCPT TO:<one@there.example>\r\nRCPT TO:<two@there.example>\r\n"+letter+"QUIT\r\n")
	if !strings.Contains(got, "452 4.2.2 Full") {
		t.Errorf("said %s", got)
	}
}

// TestNotWished: RFC 3461 section 4.1 and RFC 3464 sections 2.2.1 and 2.3.1.
func TestNotWished(t *testing.T) {
	p := &peer{t: t}
	p.refuse = func(rcpt string) string {
		if strings.Contains(rcpt, "good") {
			return "250 2.0.0 fine"
		}
		return "552 5.2.2 Full"
	}
	cfg := testConfig(t)
	cfg.Relay = p.relay("lmtp")
	for notify, told := range map[string]int{"SUCCESS": 0, "SUCCESS,FAILURE": 1} {
		say(t, Options{Config: cfg}, "EHLO x\r\nMAIL FROM:<me@host.example> ENVID=QQ314\r\nRCPT TO:<good@there.example>\r\n"+
			"RCPT TO:<bad@there.example> NOTIFY="+notify+" ORCPT=rfc822;orig@there.example\r\n"+letter+"QUIT\r\n")
		mails := mailsIn(t, cfg.Maildir)
		if told > 0 && len(mails) == 1 && strings.Contains(mails[0], "\nOriginal-Envelope-Id: QQ314\n") && strings.Contains(mails[0], "\nOriginal-Recipient: rfc822; orig@there.example\n") {
			continue
		}
		if told > 0 || len(mails) > 1 {
			t.Errorf("%s: told %q", notify, mails)
		}
	}
}

// TestGreetingBeyondASCII: a client's own name makes its message none for SMTPUTF8.
func TestGreetingBeyondASCII(t *testing.T) {
	p := &peer{t: t}
	cfg := testConfig(t)
	cfg.Relay = p.relay("smtp")
	o := Options{Config: cfg, Peer: "192.0.2.7", Greeted: "J\u00f6rg-PC"}
	got := say(t, o, "MAIL FROM:<me@host.example> SMTPUTF8\r\nRCPT TO:<you@there.example>\r\n"+letter+"QUIT\r\n")
	if h := strings.Join(p.heard(), "\n"); !strings.Contains(got, "250 2.0.0 Ok") || !strings.Contains(h, "Received: from [192.0.2.7] ([192.0.2.7])") {
		t.Errorf("said %s; heard %s", got, h)
	}
}

// TestNestedMail: RFC 5321 section 4.1.4.
func TestNestedMail(t *testing.T) {
	p := &peer{t: t}
	cfg := testConfig(t)
	cfg.Relay = p.relay("smtp")
	got := say(t, Options{Config: cfg}, envelopeLines+"MAIL FROM:<me@host.example>\r\n"+letter+"QUIT\r\n")
	if !strings.Contains(got, "503 5.5.1") || !strings.Contains(got, "250 2.0.0 Ok") {
		t.Errorf("said %s", got)
	}
	if h := strings.Join(p.heard(), "\n"); strings.Count(h, "MAIL") != 1 || strings.Count(h, "RCPT") != 1 {
		t.Errorf("heard %s", h)
	}
}

// TestNotifyAll: one word for all recipients keeps nobody's notice back.
func TestNotifyAll(t *testing.T) {
	const never, success, failure, delay = smtp.DSNNotifyNever, smtp.DSNNotifySuccess, smtp.DSNNotifyFailure, smtp.DSNNotifyDelayed
	type wish = []smtp.DSNNotify
	for _, c := range []struct {
		of   []wish
		want wish
	}{
		{[]wish{nil, nil}, nil},
		{[]wish{{never}, {never}}, wish{never}},
		{[]wish{{never}, {failure}}, wish{failure}},
		{[]wish{{never}, nil}, wish{failure, delay}},
		{[]wish{nil, {success}}, wish{failure, delay, success}},
		{[]wish{{success, failure}, {failure}}, wish{success, failure}},
	} {
		var to []recipient
		for _, w := range c.of {
			to = append(to, recipient{options: smtp.RcptOptions{Notify: w}})
		}
		if got := notifyAll(to); !slices.Equal(got, c.want) {
			t.Errorf("of %v: got %v, want %v", c.of, got, c.want)
		}
	}
}

// TestAddressesThatMeanOthers: quotes are gone by now, and without them these are
// other addresses, or none.
func TestAddressesThatMeanOthers(t *testing.T) {
	for a, good := range map[string]bool{"a@b@c": false, ".a@c": false, "a.@c": false, "a..b@c": false, "a:b@c": false, "[a]@c": false,
		"a.b@c": true, "a@[IPv6:2001:db8::1]": true, "a+b=c@d.example": true} {
		if err := checkAddress(a, false); (err == nil) != good {
			t.Errorf("%s: %v", a, err)
		}
	}
}
