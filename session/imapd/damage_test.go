package imapd

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestIndexCutShort: a file that is cut short under a session costs it the connection,
// and the next one nothing.
func TestIndexCutShort(t *testing.T) {
	for _, name := range []string{"smail.index", "smail.index.names"} {
		root := filepath.Join(t.TempDir(), "Maildir")
		client, ended := start(t, root)
		for n := range 500 {
			path := filepath.Join(root, "cur", fmt.Sprintf("17000%05d.M%dP1.a-rather-long-name-of-a-host:2,S", n, n))
			if err := os.WriteFile(path, []byte("Subject: x\n\nx\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		fmt.Fprint(client, "a SELECT INBOX\r\n")
		r := bufio.NewReader(client)
		for line := ""; !strings.HasPrefix(line, "a OK"); {
			var err error
			if line, err = r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Truncate(filepath.Join(root, name), 0); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(client, "b FETCH 450 (UID BODY.PEEK[])\r\n")
		io.ReadAll(r)
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "cut short") {
			t.Errorf("%s: ended with %v", name, err)
		}
		client.Close()
		speakTo(t, root, "c SELECT INBOX", "* 500 EXISTS", "d FETCH 450 (UID)", "* 450 FETCH (UID 450)")
	}
}

// speakTo sends commands, each followed by what must come back among its responses.
func speakTo(t *testing.T, root string, dialogue ...string) {
	t.Helper()
	client, ended := start(t, root)
	r := bufio.NewReader(client)
	for i := 0; i < len(dialogue); i += 2 {
		fmt.Fprint(client, dialogue[i]+"\r\n")
		tag, _, _ := strings.Cut(dialogue[i], " ")
		found := false
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			found = found || strings.TrimRight(line, "\r\n") == dialogue[i+1]
			if strings.HasPrefix(line, tag+" ") {
				break
			}
		}
		if !found {
			t.Errorf("%s: no %s", dialogue[i], dialogue[i+1])
		}
	}
	client.Close()
	<-ended
}
