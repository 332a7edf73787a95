package test

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// TestImapclient is go-imap's client, which parses strictly, on everything
// that IMAP4rev1 and our extensions have.
func TestImapclient(t *testing.T) { everyStart(t, tryImapclient) }

func tryImapclient(t *testing.T, h *host) {
	h.serve("imaps")
	for _, text := range []string{
		"Subject: plain\nFrom: \"A, B\" <a@example.net>\nTo: b@example.net (Bee)\nDate: Mon, 1 Jun 2026 10:00:00 +0200\nMessage-ID: <1@test>\n\nhello\n",
		"Subject: =?utf-8?q?=C3=A4?=\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\nContent-Type: message/rfc822\n\n" +
			"Subject: inner\nFrom: c@example.net\n\ninner text\n--b\nContent-Type: image/png; name=\"x.png\"\n" +
			"Content-Disposition: attachment; filename=\"x.png\"\nContent-Transfer-Encoding: base64\n\nAAAA\n--b--\n",
	} {
		h.deliver(h.alice, text)
		time.Sleep(2 * time.Millisecond) // a later name
	}
	updates := make(chan uint32, 100)
	c, err := imapclient.DialTLS(h.addr["imaps"], &imapclient.Options{
		TLSConfig: &tls.Config{InsecureSkipVerify: true},
		UnilateralDataHandler: &imapclient.UnilateralDataHandler{Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			if d.NumMessages != nil {
				updates <- *d.NumMessages
			}
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	try := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	try("login", c.Login(h.alice.Username, h.password).Wait())
	_, err = c.Namespace().Wait()
	try("namespace", err)
	_, err = c.ID(&imap.IDData{Name: "test"}).Wait()
	try("id", err)
	box, err := c.Select("INBOX", nil).Wait()
	try("select", err)
	if box.NumMessages != 2 || box.UIDNext != 3 || box.UIDValidity == 0 {
		t.Errorf("select: %+v", box)
	}
	msgs, err := c.Fetch(imap.SeqSetNum(1, 2), &imap.FetchOptions{UID: true, Flags: true, Envelope: true, RFC822Size: true,
		InternalDate: true, BodyStructure: &imap.FetchItemBodyStructure{Extended: true},
		BodySection: []*imap.FetchItemBodySection{{Part: []int{2}, Specifier: imap.PartSpecifierText, Peek: true},
			{Specifier: imap.PartSpecifierHeader, HeaderFields: []string{"Subject"}, Peek: true}}}).Collect()
	try("fetch", err)
	if len(msgs) != 2 {
		t.Fatalf("fetched %d messages", len(msgs))
	}
	if e := msgs[0].Envelope; e.Subject != "plain" || e.From[0].Name != "A, B" || e.To[0].Name != "Bee" || e.MessageID != "1@test" {
		t.Errorf("envelope: %+v", e)
	}
	var parts []string
	msgs[1].BodyStructure.Walk(func(path []int, part imap.BodyStructure) bool {
		parts = append(parts, part.MediaType())
		return true
	})
	if got := strings.Join(parts, " "); got != "multipart/mixed text/plain message/rfc822 image/png" {
		t.Errorf("structure: %s", got)
	}
	inner := msgs[1].FindBodySection(&imap.FetchItemBodySection{Part: []int{2}, Specifier: imap.PartSpecifierText, Peek: true})
	if string(inner) != "inner text" {
		t.Errorf("BODY[2.TEXT]: %q", inner)
	}
	try("create", c.Create("Tr\u00e4sh", nil).Wait())
	boxes, err := c.List("", "*", nil).Collect()
	try("list", err)
	var names []string // those of the folders that are offered, too
	for _, b := range boxes {
		names = append(names, b.Mailbox)
	}
	if got, want := strings.Join(names, " "), "Archive Drafts INBOX Junk Sent Trash Tr\u00e4sh"; got != want {
		t.Errorf("list: %s, want %s", got, want)
	}
	copied, err := c.Copy(imap.UIDSetNum(1, 2), "Tr\u00e4sh").Wait()
	try("copy", err)
	if copied.DestUIDs.String() != "1:2" {
		t.Errorf("copied to %s", copied.DestUIDs)
	}
	_, err = c.Move(imap.UIDSetNum(2), "Tr\u00e4sh").Wait()
	try("move", err)
	found, err := c.UIDSearch(&imap.SearchCriteria{Body: []string{"HELLO"}, SentSince: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}, nil).Wait()
	try("search", err)
	if found.All.String() != "1" {
		t.Errorf("search: %v", found.All)
	}
	try("store", c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagFlagged}}, nil).Close())
	a := c.Append("INBOX", 22, nil)
	a.Write([]byte("Subject: app\r\n\r\nhello\n"))
	try("append", a.Close())
	data, err := a.Wait()
	try("append", err)
	if data.UID != 3 {
		t.Errorf("append gave UID %d, want 3", data.UID)
	}
	idle, err := c.Idle()
	try("idle", err)
	drain(updates)
	h.deliver(h.alice, "Subject: idle\n\nnews\n")
	select {
	case n := <-updates:
		if n != 3 {
			t.Errorf("IDLE told of %d messages, want 3", n)
		}
	case <-time.After(5 * time.Second):
		t.Error("IDLE told of nothing")
	}
	try("idle", idle.Close())
	try("idle", idle.Wait())
	try("unselect", c.Unselect().Wait())
	try("logout", c.Logout().Wait())
}

func drain(c chan uint32) {
	for {
		select {
		case <-c:
		default:
			return
		}
	}
}
