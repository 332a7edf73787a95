package main

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"smail/config"
	"smail/sender"
)

// dialTimeout bounds each look at the network.
const dialTimeout = 3 * time.Second

func checkRelay(r *report, cfg *config.Config) {
	kind, to := cfg.Relay.Kind, cfg.Relay.To
	switch kind {
	case "sendmail":
		st, err := os.Stat(to)
		if err != nil {
			r.err("relay", "%v: users cannot send; install an MTA, or set relay", err)
		} else if st.Mode()&0o111 == 0 {
			r.err("relay", "%s is not executable", to)
		} else {
			r.ok("relay", "sendmail %s", to)
		}
	case "smtp", "smtps", "lmtp":
		network := "tcp"
		if kind == "lmtp" {
			network = "unix"
		}
		conn, err := net.DialTimeout(network, to, dialTimeout)
		if err != nil {
			r.err("relay", "%s: %v: users cannot send", kind, err)
			return
		}
		conn.Close()
		r.ok("relay", "%s %s answers", kind, to)
	case "maildir":
		r.warn("relay", "maildir %s: nothing is sent; this is for trying out", to)
	}
}

// checkRelayFolder says what the folder cannot say.
func checkRelayFolder(r *report, cfg *config.Config) {
	if cfg.RelayFolder != "" && cfg.RelayLiveOnly {
		r.warn("relay_folder", "nothing is written to it with relay_live_only: a file cannot tell whether a session is open")
	}
}

// checkRelayAuth looks whether smaild will take the file.
func checkRelayAuth(r *report, cfg *config.Config) {
	path := cfg.RelayAuth
	if path == "" {
		return
	}
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		r.warn("relay_auth", "%v: only root can look", err)
	case err != nil:
		r.err("relay_auth", "%v: users cannot send", err)
	case !st.Mode().IsRegular() || st.Sys().(*syscall.Stat_t).Uid != 0 || st.Mode()&0o077 != 0:
		r.err("relay_auth", "%s must be a file of root's that nobody else can read; chown root, chmod 600", path)
	case cfg.Relay.Kind != "smtp" && cfg.Relay.Kind != "smtps":
		r.warn("relay_auth", "relay %s takes no password", cfg.Relay.Kind)
	default:
		r.ok("relay_auth", "%s", path)
	}
}

// checkSenders says each line that is wrong.
func checkSenders(r *report, cfg *config.Config) {
	n := 0
	err := sender.Read(cfg.SendersFile, func(string, []string) { n++ })
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			r.err("senders", "%s", strings.TrimSpace(line))
		}
	} else if n > 0 {
		r.ok("senders", "%s, %d addresses", cfg.SendersFile, n)
		checkReadable(r, "senders", cfg.SendersFile)
	}
}
