// Command smail-submit is a submission session on descriptors 0 and 1.
//
//	smail-submit [-config FILE] [-login]
//
// smaild executes it after a login, with -login, or where a recent login from
// the client's address stands for one.
package main

import (
	"os"

	"smail/session"
	"smail/session/submitd"
)

func main() {
	s, err := session.Begin()
	if err == nil && s.Config.Relay.Kind != "sendmail" {
		// sendmail hands over to a program with the queue's group.
		err = session.NoNewPrivileges()
	}
	if err != nil {
		session.Fail(err)
		os.Exit(1)
	}
	s.Conn.SetTimeout(s.Config.IdleTimeout / 3)
	o := submitd.Options{Config: s.Config, User: s.User, Home: s.Home, Peer: s.Peer, Recent: s.Recent}
	if s.Hello != nil {
		o.Login, o.Greeted, o.TLS = !s.Recent, s.Hello.Greeted, s.Hello.TLS+" "+s.Hello.Cipher
	}
	did, err := submitd.Serve(s.Conn, o)
	s.End(err, did...)
}
