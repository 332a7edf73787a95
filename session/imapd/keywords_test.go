package imapd

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// TestKeywordsOfOthers: what another session has made a keyword is one for this, and
// FLAGS says so before a message has it.
func TestKeywordsOfOthers(t *testing.T) {
	root := filepath.Join(t.TempDir(), "Maildir")
	var clients [2]net.Conn
	var readers [2]*bufio.Reader
	say := func(who int, command, wanted string) {
		t.Helper()
		fmt.Fprintf(clients[who], "%s\r\n", command)
		tag, _, _ := strings.Cut(command, " ")
		all := ""
		for {
			line, err := readers[who].ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			all += line
			if strings.HasPrefix(line, tag+" ") {
				break
			}
		}
		if !strings.Contains(all, wanted) {
			t.Errorf("%s: got %q, want %q", command, all, wanted)
		}
	}
	for i := range clients {
		client, ended := start(t, root)
		defer func() { client.Close(); <-ended }()
		clients[i], readers[i] = client, bufio.NewReader(client)
		for n := range 2 {
			if i == 0 {
				deliver(t, root, n+1, "x")
			}
		}
		say(i, "a SELECT INBOX", "a OK")
	}
	const a, b = 0, 1
	say(a, "b STORE 1 +FLAGS (Kw8)", "b OK")
	io.WriteString(clients[b], "c APPEND INBOX (Kw9) {3+}\r\nabc\r\n")
	say(b, "d NOOP", "d OK")
	say(a, "d NOOP", "* 3 EXISTS")
	say(a, "e UID SEARCH KEYWORD Kw9", "* SEARCH 3\r\n")
	say(a, "f UID SEARCH UNKEYWORD Kw9", "* SEARCH 1 2\r\n")
	say(a, "g STORE 3 -FLAGS (Kw9)", "* 3 FETCH (FLAGS (")
	say(a, "h UID SEARCH KEYWORD Kw9", "* SEARCH\r\n")
	say(b, "i STORE 2 +FLAGS (Kw1)", "i OK")
	say(a, "j STORE 2 -FLAGS.SILENT (Kw1)", "j OK")
	say(a, "k UID SEARCH KEYWORD Kw1", "* SEARCH\r\n")
	say(b, "l STORE 2 +FLAGS (Kw2)", "l OK")
	say(a, "m NOOP", "* FLAGS (")
	say(b, "n STORE 2 +FLAGS (Kw3)", "n OK")
	fmt.Fprint(clients[a], "o NOOP\r\n")
	var got []string
	for len(got) == 0 || !strings.HasPrefix(got[len(got)-1], "o ") {
		line, err := readers[a].ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, line)
	}
	if !strings.HasPrefix(got[0], "* FLAGS") || !strings.Contains(strings.Join(got, ""), "* 2 FETCH") {
		t.Errorf("in this order: %q", got)
	}
}
