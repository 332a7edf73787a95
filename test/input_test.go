package test

import (
	"strings"
	"testing"
)

// TestHostileInput before login: a clear error, and no memory for it.
func TestHostileInput(t *testing.T) {
	h := newHost(t)
	h.serve("imaps", "pop3s", "submissions")
	for _, c := range []struct{ name, service, send, want string }{
		{"literal of 4 GiB", "imaps", "a LOGIN {4294967295+}\r\n", "* BYE Literal of more than"},
		{"synchronising literal of 4 GiB", "imaps", "a LOGIN {4294967295}\r\n", "a BAD A command may have 3 literals"},
		{"line of 1 MiB", "imaps", "a LOGIN " + strings.Repeat("x", 1<<20), "* BYE Command longer than"},
		{"NUL", "imaps", "a LOGIN \"a\x00b\" c\r\n", "a BAD A quoted string may not hold"},
		{"NUL in a literal", "imaps", "a LOGIN {3+}\r\na\x00b c\r\n", "a BAD A literal may not hold NUL"},
		{"unknown command", "imaps", "a XYZZY\r\n", "a BAD Unknown command"},
		{"nothing", "imaps", "\r\n", "* BAD Expected a tag"},
		{"line of 1 MiB", "pop3s", "USER " + strings.Repeat("x", 1<<20), "-ERR Line too long"},
		{"NUL", "pop3s", "USER a\x00b\r\nPASS x\r\n", "+OK"},
		{"unknown command", "pop3s", "XYZZY\r\n", "-ERR Unknown command"},
		{"line of 1 MiB", "submissions", "EHLO " + strings.Repeat("x", 1<<20), "500 5.5.6 Line too long"},
		{"name of a machine", "submissions", "EHLO Alice's-PC%1\r\n", "250-"},
		{"name with brackets", "submissions", "EHLO <a>\r\n", "501 5.5.4"},
		{"name with spaces", "submissions", "EHLO a b\r\n", "250-"},
		{"space at the end", "imaps", "a NOOP \r\n", "a OK"},
		{"two spaces at the end", "imaps", "a NOOP  \r\n", "a BAD"},
		{"long tag", "imaps", strings.Repeat("a", 256) + " NOOP\r\n", "* BAD Tag of more than 255"},
		{"unknown command", "submissions", "XYZZY\r\n", "500 5.5.2 Unknown command"},
		{"BDAT before login", "submissions", "EHLO x\r\nBDAT 5 LAST\r\nQUIT\r\n", "250-"},
	} {
		t.Run(c.service+" "+c.name, func(t *testing.T) {
			d := h.dial(c.service)
			go d.Write([]byte(c.send)) // the other side may stop reading
			if got := d.line(); !strings.HasPrefix(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestHostileInputAfterLogin: literals are never taken for commands.
func TestHostileInputAfterLogin(t *testing.T) {
	h := newHost(t)
	h.serve("imaps")
	for _, c := range []struct{ name, send, want string }{
		{"refused literal with a command in it", "b APPEND Nowhere {25+}\r\nx: y\r\n\r\nc CREATE Evil\r\n\r\n\r\n", "b NO [TRYCREATE]"},
		{"too large a message", "b APPEND INBOX {99999999}\r\n", "b NO [TOOBIG]"},
		{"literal of 4 GiB", "b APPEND INBOX {4294967295+}\r\n", "* BYE Literal of more than"},
		{"set of all numbers", "b UID FETCH 1:4294967295 FLAGS\r\n", "b BAD No mailbox is selected"},
		{"line of 1 MiB", "b LIST \"\" " + strings.Repeat("%", 1<<20), "* BYE Command longer than"},
		{"many stars", "b LIST \"\" " + strings.Repeat("%*", 400) + "q\r\n", "b OK"},
		{"folder outside", "b CREATE ../evil\r\n", "b NO [CANNOT]"},
		{"folder with a slash", "b CREATE a/b\r\n", "b NO [CANNOT]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := h.login()
			go d.Write([]byte(c.send))
			if got := d.line(); !strings.HasPrefix(got, c.want) {
				t.Fatalf("got %q, want %q", got, c.want)
			}
			if !strings.HasPrefix(c.want, "*") {
				if got := d.until("z LIST \"\" *", "z OK"); strings.Contains(got, "Evil") {
					t.Errorf("a literal was executed: %s", got)
				}
			}
		})
	}
}

// TestLoginIsLate: who does not log in in time is told, by every protocol.
func TestLoginIsLate(t *testing.T) {
	h := newHost(t, "login_timeout", "3s")
	h.serve("imaps", "pop3s", "submissions")
	for service, want := range map[string]string{"imaps": "* BYE You", "pop3s": "-ERR You", "submissions": "421 4.4.2 You"} {
		d := h.dial(service)
		if got := d.line(); !strings.HasPrefix(got, want) || !d.closed() {
			t.Errorf("%s: %q, want %q and the end", service, got, want)
		}
	}
}

// TestSubmissionBeforeLogin: what has its own code.
func TestSubmissionBeforeLogin(t *testing.T) {
	h := newHost(t)
	h.serve("submission", "submissions")
	d := h.dial("submission")
	d.until("EHLO x", "250 ")
	d.expect("STARTTLS now", "501 5.5.4")
	d.expect("STARTTLS", "220")
	s := h.dial("submissions")
	s.until("EHLO x", "250 ")
	s.expect("AUTH PLAIN", "334")
	s.expect(strings.Repeat("A", 20000), "500 5.5.6 Line too long")
}
