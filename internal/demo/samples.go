package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"smail/maildir"
)

// samples fills an empty Maildir with messages of many kinds, so that a mail
// client has something to show. One that has mail is left as it is.
func samples(path, to string) error {
	if _, err := os.Stat(filepath.Join(path, "cur")); err == nil {
		return nil
	}
	store, err := maildir.Open(path, maildir.Never)
	if err != nil {
		return err
	}
	for _, name := range []string{"Sent", "Drafts", "Trash", "Junk", "Archive", "Work", "Work.2026", "Entw&APw-rfe"} {
		if err := store.Create(name); err != nil {
			return err
		}
	}
	defer store.Close()
	inbox, err := store.OpenTarget(maildir.Inbox)
	if err != nil {
		return err
	}
	defer inbox.Close()
	date := time.Now().Add(-20 * 24 * time.Hour)
	for i, text := range sampleMessages(to) {
		d, err := inbox.NewDelivery()
		if err != nil {
			return err
		}
		at := date.Add(time.Duration(i) * 23 * time.Hour)
		text = strings.ReplaceAll(text, "@DATE@", at.Format("Mon, 2 Jan 2006 15:04:05 -0700"))
		fmt.Fprintf(d, "Message-ID: <sample.%d@localhost>\n%s", i+1, text)
		flags := []maildir.Flags{0, maildir.Seen, maildir.Seen | maildir.Replied, maildir.Seen | maildir.Flagged}[i%4]
		if _, err := d.Commit(flags, at); err != nil {
			return err
		}
	}
	return nil
}

// sampleMessages are short, and between them have what clients stumble over.
func sampleMessages(to string) []string {
	head := func(from, subject string) string {
		return fmt.Sprintf("From: %s\nTo: <%s>\nSubject: %s\nDate: @DATE@\n", from, to, subject)
	}
	const mime = "MIME-Version: 1.0\n"
	const utf8 = mime + "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"
	texts := []string{
		head("Post Office <post@localhost>", "Welcome to smail") + "\nThis is your mailbox. Send yourself a message and watch it arrive.\n",
		head("=?utf-8?q?J=C3=BCrgen?= <juergen@example.org>", "=?utf-8?q?Gr=C3=BC=C3=9Fe_aus_K=C3=B6ln?=") + utf8 + "Schöne Grüße!\n",
		head("\"Doe, Jane\" <jane@example.org>", "Quoted-printable") + mime +
			"Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nCaf=E9 at five, a long line that is broken he=\nre.\n",
		head("list@example.org", "[list] A thread begins") + "List-Id: <list.example.org>\n\nWho brings the cake?\n",
		head("jane@example.org", "Re: [list] A thread begins") + "In-Reply-To: <sample.4@localhost>\nReferences: <sample.4@localhost>\n\nI do.\n",
		head("news@example.org", "Both plain and HTML") + mime + alternative,
		head("scanner@example.org", "A picture") + mime + picture,
		head("boss@example.org", "Fwd: forwarded") + mime + forwarded,
		head("=?utf-8?b?5bGx55Sw?= <yamada@example.jp>", "=?utf-8?b?44GT44KT44Gr44Gh44Gv?=") + utf8 + "こんにちは\n",
		head("robot@example.org", "Dots and dashes") + "\n.\n..\n.a line with a dot\n-- \nsignature\n",
		head("robot@example.org", "Broken: a multipart without an end") + mime + "Content-Type: multipart/mixed; boundary=x\n\n--x\n\nThe boundary that should close this is missing.\n",
		head("robot@example.org", "Broken: raw 8-bit in the header \xe9\xe8") + "\nAnd \xe9 in the text.\n",
		head("robot@example.org", "A long line") + "\n" + strings.Repeat("0123456789", 300) + "\n",
		"From: group@example.org\nTo: friends: a@example.org, b@example.org;\nCc: undisclosed-recipients:;\nSubject: Groups\nDate: @DATE@\n\nAddress groups.\n",
		head("robot@example.org", "Empty") + "\n",
		head("robot@example.org", "Folded\n header that goes\n\ton and on") + "\nUnfold me.\n",
		head("robot@example.org", "CRLF inside") + "\r\nThis one is stored with\r\nCRLF line ends.\r\n",
		head("calendar@example.org", "Invitation") + mime + "Content-Type: text/calendar; method=REQUEST; charset=utf-8\n\nBEGIN:VCALENDAR\nEND:VCALENDAR\n",
		head("robot@example.org", "") + "\nA message without a subject.\n",
		head("Post Office <post@localhost>", "That was the last sample") + "Importance: high\n\nTry folders, flags and search.\n",
	}
	return texts
}

const alternative = `Content-Type: multipart/alternative; boundary="alt"

--alt
Content-Type: text/plain

Plain words.

--alt
Content-Type: text/html

<p><b>Bold</b> words.</p>

--alt--
`

// picture has a red dot of one pixel.
const picture = `Content-Type: multipart/mixed; boundary="=_mix"

--=_mix

See the dot.

--=_mix
Content-Type: image/png; name="dot.png"
Content-Disposition: attachment; filename="dot.png"
Content-Transfer-Encoding: base64

iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmM
IQAAAABJRU5ErkJggg==

--=_mix--
`

const forwarded = `Content-Type: multipart/mixed; boundary=fwd

--fwd

Please look at this.

--fwd
Content-Type: message/rfc822

From: someone@example.org
To: boss@example.org
Subject: The original
Date: Mon, 1 Jun 2026 10:00:00 +0000

The original text.

--fwd--
`
