package imapd

import (
	"bufio"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"smail/maildir"
)

// TestNotifyRename: another name of a folder, with which what is below it and its
// metadata go: RFC 5465 section 5.4.
func TestNotifyRename(t *testing.T) {
	root := filepath.Join(t.TempDir(), "Maildir")
	other, err := maildir.Open(root, maildir.Never)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	note := func(folder, entry string) {
		t.Helper()
		err := other.SetMetadata(folder, func(entries map[string][]byte) error {
			entries[entry] = []byte("x")
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, folder := range []string{"Work", "Work.Sub", "Work.Sub.Sub"} {
		if err := other.Create(folder); err != nil {
			t.Fatal(err)
		}
	}
	note("Work", "/private/comment")
	client, ended := start(t, root)
	fmt.Fprint(client, "a NOTIFY SET (personal (MailboxName MailboxMetadataChange))\r\nb NOOP\r\n")
	r := bufio.NewReader(client)
	next := func() string {
		t.Helper()
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimRight(line, "\r\n")
	}
	for !strings.HasPrefix(next(), "b OK") {
	}
	for _, names := range [][2]string{{"Work", "Job"}, {"Job", "Work"}} {
		if err := other.Rename(names[0], names[1]); err != nil {
			t.Fatal(err)
		}
		if got, want := next(), fmt.Sprintf(`* LIST (\HasChildren) "." %q ("OLDNAME" (%q))`, names[1], names[0]); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		entry := "/private/of-" + names[1]
		note(names[1], entry)
		if got, want := next(), fmt.Sprintf("* METADATA %q %s", names[1], entry); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	client.Close()
	<-ended
}
