// Command smail-imap is an IMAP session on descriptors 0 and 1.
//
//	smail-imap [-config FILE] [-login]
//
// smaild executes it after a login, with -login. By hand it greets with
// PREAUTH, as a tunnel wants it: mbsync's Tunnel "ssh host smail-imap".
package main

import (
	"os"

	"smail/maildir"
	"smail/session"
	"smail/session/imapd"
)

func main() {
	s, err := session.Begin()
	if err == nil {
		err = session.NoNewPrivileges()
	}
	if err != nil {
		session.Fail(err)
		os.Exit(1)
	}
	o := imapd.Options{Hostname: s.Config.Hostname, Prefix: s.Config.NamespacePrefix,
		MaxMessageSize: s.Config.MaxMessageSize, Interrupted: session.ErrInterrupted}
	if s.Hello != nil {
		o.Tag = s.Hello.Tag
	}
	o.Store, err = maildir.Open(s.Config.MaildirOf(s.User, s.Home), maildir.ParseSyncMode(s.Config.Fsync))
	if err != nil {
		imapd.Refuse(s.Conn, o.Tag)
		session.Fail(err)
		os.Exit(1)
	}
	if err := session.Confine(s.Config.MaildirOf(s.User, s.Home)); err != nil {
		imapd.Refuse(s.Conn, o.Tag)
		session.Fail(err)
		os.Exit(1)
	}
	s.Conn.HeedSignals(session.LastWait)
	did, err := imapd.Serve(s.Conn, o)
	o.Store.Close()
	s.End(err, did...)
}
