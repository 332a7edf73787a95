// Command smail-pop3 is a POP3 session on descriptors 0 and 1.
//
//	smail-pop3 [-config FILE] [-login]
//
// smaild executes it after a login, with -login.
package main

import (
	"os"

	"smail/maildir"
	"smail/session"
	"smail/session/pop3d"
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
	s.Conn.SetTimeout(s.Config.IdleTimeout / 3)
	store, err := maildir.Open(s.Config.MaildirOf(s.User, s.Home), maildir.ParseSyncMode(s.Config.Fsync))
	if err != nil {
		pop3d.Refuse(s.Conn, err)
		session.Fail(err)
		os.Exit(1)
	}
	if err := session.Confine(s.Config.MaildirOf(s.User, s.Home)); err != nil {
		pop3d.Refuse(s.Conn, err)
		session.Fail(err)
		os.Exit(1)
	}
	s.Conn.HeedSignals(session.LastWait)
	did, err := pop3d.Serve(s.Conn, pop3d.Options{Store: store, UIDL: s.Config.POP3UIDL,
		Interrupted: session.ErrInterrupted, Ending: s.Conn.Ending})
	store.Close()
	s.End(err, did...)
}
