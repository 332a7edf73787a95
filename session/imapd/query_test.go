package imapd

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSearchOnCores: what is looked at on several cores is found as if it were looked
// at one after another, whether the cache has it or not.
func TestSearchOnCores(t *testing.T) {
	root := filepath.Join(t.TempDir(), "Maildir")
	cur := filepath.Join(root, "cur")
	if err := os.MkdirAll(cur, 0o700); err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{}
	for i := range atOnce + 2*grain + 1 {
		subject, n := fmt.Sprintf("number %d", i%7), fmt.Sprint(i+1)
		switch i % 7 {
		case 3:
			subject = "=?utf-8?b?Z3LDvG4=?= and more" // grün
			want["gr\u00fcn"] = append(want["gr\u00fcn"], n)
		case 5:
			subject = "Folded\r\n over LINES"
			want["folded over lines"] = append(want["folded over lines"], n)
		default:
			want["number"] = append(want["number"], n)
		}
		text := "From: a@example.org\r\nSubject: " + subject + "\r\nX-Subject: grün number\r\n\r\nfolded over lines\r\n"
		if err := os.WriteFile(filepath.Join(cur, fmt.Sprintf("%d.M%dP1.host:2,", 1000000000+i, i)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, round := range []string{"nothing is known", "the cache has it"} {
		client, ended := start(t, root)
		r := bufio.NewReader(client)
		r.ReadString('\n')
		say := func(command string) string {
			fmt.Fprintf(client, "a %s\r\n", command)
			untagged := ""
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				if strings.HasPrefix(line, "a ") {
					if !strings.HasPrefix(line, "a OK") {
						t.Fatalf("%s: %s", command, line)
					}
					return untagged
				}
				if strings.HasPrefix(line, "* SEARCH") {
					untagged = strings.TrimSpace(line)
				}
			}
		}
		say("SELECT INBOX")
		for text, numbers := range want {
			command := fmt.Sprintf("SEARCH CHARSET UTF-8 SUBJECT {%d+}\r\n%s", len(text), text)
			if got := say(command); got != "* SEARCH "+strings.Join(numbers, " ") {
				t.Errorf("%s: %q: %.200q, want %d", round, text, got, len(numbers))
			}
		}
		say("LOGOUT")
		client.Close()
		<-ended
	}
}
