// Command smail-submit is a submission session on descriptors 0 and 1.
//
//	smail-submit [-config FILE] [-login]
//
// smaild executes it after a login, with -login, or where a recent login from
// the client's address stands for one.
package main

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"smail/login"
	"smail/logline"
	"smail/maildir"
	"smail/session"
	"smail/session/submitd"
	"smail/sessionfile"
)

func main() {
	s, err := session.Begin()
	if err == nil {
		err = confine(s)
	}
	if err != nil {
		session.Fail(err)
		os.Exit(1)
	}
	s.Conn.SetTimeout(s.Config.IdleTimeout / 3)
	s.Conn.HeedSignals(submitd.LastWords)
	since, _ := time.ParseDuration(s.Since)
	o := submitd.Options{Config: s.Config, User: s.User, Home: s.Home, Peer: s.Peer, Recent: s.Recent, Since: since,
		Vouched: func() bool { return vouched(s) }, Interrupted: session.ErrInterrupted, Ending: s.Conn.Ending}
	if s.Hello != nil && os.Getenv("SMAIL_COUNTS") != "" {
		syscall.CloseOnExec(login.FDCounts)
		o.Counts = os.NewFile(login.FDCounts, "counts")
	}
	if s.Hello != nil && os.Getenv("SMAIL_RELAY_AUTH") != "" {
		if o.RelayAuth, err = readCredentials(os.NewFile(login.FDRelayAuth, "relay_auth")); err != nil {
			logline.Error("relay_auth", "reason", err.Error())
		}
	}
	if s.Hello != nil {
		o.Login, o.Greeted, o.TLS = !s.Recent, s.Hello.Greeted, s.Hello.TLS+" "+s.Hello.Cipher
	}
	did, err := submitd.Serve(s.Conn, o)
	s.End(err, did...)
}

// confine takes what the hand-over does not need. sendmail needs much: it hands
// over to a program with the queue's group; and a relay into Maildirs is for
// trying smail out.
func confine(s *session.Session) error {
	switch s.Config.Relay.Kind {
	case "sendmail":
		return nil
	case "maildir":
		return session.NoNewPrivileges()
	}
	dirs := []string{submitd.SpoolDir}
	if s.Config.SaveSent || s.Config.Relay.Kind == "lmtp" { // which may refuse one of the recipients: INBOX is told
		own := s.Config.MaildirOf(s.User, s.Home)
		dirs = append(dirs, own)
		// It is made here, for it is not there to be allowed else. If it cannot be, the
		// message is still sent, and the log says why it is not filed.
		if store, err := maildir.Open(own, maildir.ParseSyncMode(s.Config.Fsync)); err == nil {
			store.Close()
		}
	}
	if err := session.NoNewPrivileges(); err != nil {
		return err
	}
	return session.ConfineSending(dirs, []string{s.Config.SendersFile, s.Config.SessionFile})
}

// vouched says whether the recent login that this session began with still stands for
// one: a wrong password from there, another user, or the administrator may have
// ended that.
func vouched(s *session.Session) bool {
	peer, err := netip.ParseAddr(s.Peer)
	if err != nil {
		return false
	}
	recs, err := sessionfile.At(s.Config.SessionFile, peer)
	rule := sessionfile.Rule{Window: s.Config.RelayWindow, LiveOnly: s.Config.RelayLiveOnly, Deny: s.Config.RelayDenyNetworks}
	r, ok := rule.Sender(recs, peer)
	return err == nil && ok && r.UID == os.Getuid()
}

// readCredentials reads a name and a password, on a line each.
func readCredentials(f *os.File) (*submitd.Credentials, error) {
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 4<<10))
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	if len(lines) != 2 || lines[0] == "" || lines[1] == "" || strings.ContainsAny(string(text), "\x00\r") {
		return nil, errors.New("expected a name and a password, on a line each")
	}
	return &submitd.Credentials{Name: lines[0], Password: lines[1]}, nil
}
