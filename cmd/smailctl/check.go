package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"smail/config"
	"smail/sessionfile"
)

// A report is what check finds: a line each.
//
//	ok       pam          /etc/pam.d/smail
//	error    socket       port 993 (imaps): nobody listens; systemctl enable --now smail-imaps.socket
type report struct {
	out    io.Writer
	errors int
}

func (r *report) ok(what, format string, args ...any)   { r.line("ok", what, format, args) }
func (r *report) warn(what, format string, args ...any) { r.line("warning", what, format, args) }
func (r *report) err(what, format string, args ...any) {
	r.errors++
	r.line("error", what, format, args)
}

func (r *report) line(level, what, format string, args []any) {
	fmt.Fprintf(r.out, "%-8s %-12s %s\n", level, what, fmt.Sprintf(format, args...))
}

// check looks at everything that stops a login, as smaild would, and says
// what to do about it. An error is what no user can log in with.
func check(args []string, out io.Writer) error {
	var user string
	if _, err := flags("check", args, func(f *flag.FlagSet) {
		f.StringVar(&user, "user", "", "look at the account `name` too")
	}, 0); err != nil {
		return err
	}
	cfg, err := config.Load(configPath)
	if err != nil {
		return err
	}
	r := &report{out: out}
	r.ok("settings", "%s", configPath)
	checkMode(r, "settings", configPath)
	checkReadable(r, "settings", configPath)
	checkCertificates(r, cfg, time.Now())
	checkNames(r, cfg)
	checkPAM(r, cfg)
	checkPrograms(r, cfg)
	checkSessionFile(r, cfg)
	checkRelay(r, cfg)
	checkRelayAuth(r, cfg)
	checkRelayFolder(r, cfg)
	checkSenders(r, cfg)
	checkSockets(r)
	if user != "" {
		checkUser(r, cfg, user)
	}
	if r.errors > 0 {
		return errFound
	}
	return nil
}

// checkMode says whether anyone but root may change what root trusts.
func checkMode(r *report, what, path string) {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return // said by whoever reads it
	}
	if st.Mode&0o022 != 0 || st.Uid != 0 && int(st.Uid) != os.Getuid() {
		r.err(what, "%s: mode %04o, owner %d: only root may change it; chown root %s && chmod go-w %s", path, st.Mode&0o7777, st.Uid, path, path)
	}
}

// checkReadable says whether sessions, which run as their users, can read a file.
func checkReadable(r *report, what, path string) {
	if st, err := os.Stat(path); err == nil && st.Mode()&0o004 == 0 {
		r.err(what, "%s: mode %04o: sessions read it as their users; chmod a+r %s", path, st.Mode().Perm(), path)
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if st, err := os.Stat(dir); err == nil && st.Mode()&0o001 == 0 {
			r.err(what, "%s: mode %04o: sessions must get through to %s; chmod a+x %s", dir, st.Mode().Perm(), path, dir)
		}
		if dir == "/" {
			return
		}
	}
}

func checkPAM(r *report, cfg *config.Config) {
	dirs := []string{"/etc/pam.d", "/usr/lib/pam.d"}
	if cfg.PAMConfDir != "" {
		dirs = []string{cfg.PAMConfDir}
	}
	for _, dir := range dirs {
		file := filepath.Join(dir, cfg.PAMService)
		if _, err := os.Stat(file); err == nil {
			r.ok("pam", "%s", file)
			checkMode(r, "pam", file)
			if _, err := os.Stat("/etc/nologin"); err == nil {
				r.warn("pam", "/etc/nologin is there: PAM may refuse everybody")
			}
			return
		}
	}
	r.err("pam", "no service %q in %s: nobody can log in", cfg.PAMService, strings.Join(dirs, " or "))
}

func checkPrograms(r *report, cfg *config.Config) {
	if a, err := getpwnam(cfg.FrontUser); err != nil {
		r.err("user", "front_user %s: %v; systemd-sysusers, or useradd -r -M -d /nonexistent -s /usr/sbin/nologin %s", cfg.FrontUser, err, cfg.FrontUser)
	} else if a.uid == 0 || a.uid >= cfg.MinUID && a.uid <= cfg.MaxUID {
		r.err("user", "front_user %s has uid %d: it must be neither root nor a user who reads mail", cfg.FrontUser, a.uid)
	} else {
		r.ok("user", "%s, uid %d", cfg.FrontUser, a.uid)
	}
	for _, name := range []string{"smail-front", "smail-imap", "smail-pop3", "smail-submit"} {
		path := filepath.Join(cfg.LibexecDir, name)
		st, err := os.Stat(path)
		switch {
		case err != nil:
			r.err("program", "%v", err)
		case st.Mode()&0o111 != 0o111:
			r.err("program", "%s is not executable by all; chmod 0711 %s", path, path)
		case st.Mode()&0o044 != 0:
			r.warn("program", "%s is readable, so that others can trace it; chmod 0711 %s", path, path)
		}
		checkMode(r, "program", path)
	}
}

func checkSessionFile(r *report, cfg *config.Config) {
	dir := filepath.Dir(cfg.SessionFile)
	st, err := os.Stat(dir)
	switch {
	case os.IsNotExist(err):
		r.ok("sessions", "%s, whose folder the first login makes", cfg.SessionFile)
	case err != nil:
		r.warn("sessions", "%v", err)
	case !st.IsDir():
		r.err("sessions", "%s is no folder", dir)
	default:
		if _, err := sessionfile.Read(cfg.SessionFile); err != nil && !errors.Is(err, os.ErrNotExist) {
			r.err("sessions", "%v", err) // each login logs it, and nobody sends without one
			return
		}
		r.ok("sessions", "%s", cfg.SessionFile)
		checkMode(r, "sessions", dir)
	}
}

func checkSockets(r *report) {
	held, err := listeners()
	if err != nil {
		r.warn("socket", "%v", err)
		return
	}
	open := 0
	for _, s := range services {
		l, ok := held[s.port]
		switch {
		case ok && l.program == "":
			r.warn("socket", "port %d (%s): only root can see who listens", s.port, s.name)
			open++
		case ok && inetds[l.program]:
			r.ok("socket", "port %d (%s): %s listens; its line must start smaild", s.port, s.name, l)
			open++
		case ok && l.starts(s.name):
			r.ok("socket", "port %d (%s): %s listens", s.port, s.name, l)
			open++
		case ok && s.tls:
			r.err("socket", "port %d (%s) is held by %s; stop it, then systemctl enable --now smail-%s.socket", s.port, s.name, l, s.name)
		case ok:
			r.warn("socket", "port %d (%s) is held by %s", s.port, s.name, l)
		case s.tls:
			r.warn("socket", "port %d (%s): nobody listens; systemctl enable --now smail-%s.socket", s.port, s.name, s.name)
		}
	}
	if open == 0 {
		r.err("socket", "nobody listens for smail on any port; smail(7) says how to start it by systemd or inetd")
	}
}

// An account is a line of passwd(5).
type account struct {
	name     string
	uid, gid int
	home     string
}

// getpwnam asks the host's own account databases, whichever they are.
func getpwnam(name string) (account, error) {
	text, err := exec.Command("getent", "passwd", "--", name).Output()
	if errors.Is(err, exec.ErrNotFound) {
		return account{}, err
	}
	f := strings.Split(strings.TrimSpace(string(text)), ":")
	if err != nil || len(f) != 7 || f[0] != name {
		return account{}, fmt.Errorf("no such account")
	}
	uid, err := strconv.Atoi(f[2])
	gid, gerr := strconv.Atoi(f[3])
	return account{name, uid, gid, f[5]}, errors.Join(err, gerr)
}

// checkUser looks at what a login of this account would meet.
func checkUser(r *report, cfg *config.Config, name string) {
	if local, domain, ok := strings.Cut(name, "@"); ok && slices.Contains(cfg.LoginDomains, domain) {
		name = local
	}
	a, err := getpwnam(name)
	if err != nil {
		r.err("account", "%s: %v", name, err)
		return
	}
	if a.uid < cfg.MinUID || a.uid > cfg.MaxUID {
		r.err("account", "%s: uid %d is not from min_uid %d to max_uid %d", name, a.uid, cfg.MinUID, cfg.MaxUID)
	}
	maildir := cfg.MaildirOf(name, a.home)
	if _, err := os.Stat(maildir); errors.Is(err, os.ErrPermission) {
		r.warn("account", "%v: only root can look", err)
		return
	}
	if !slices.ContainsFunc([]string{maildir, filepath.Dir(maildir)}, isDir) {
		r.err("account", "%s: neither %s nor its parent folder is there", name, maildir)
		return
	}
	if !isDir(maildir) {
		r.ok("account", "%s: %s, which the first login makes", name, maildir)
		return
	}
	before := r.errors
	for _, dir := range []string{maildir, maildir + "/cur", maildir + "/new", maildir + "/tmp"} {
		var st syscall.Stat_t
		look := syscall.Lstat
		if dir == maildir {
			look = syscall.Stat // it may be a link
		}
		switch err := look(dir, &st); {
		case err != nil:
			r.warn("account", "%s: %s: %v; a login makes it", name, dir, err)
		case st.Mode&syscall.S_IFMT != syscall.S_IFDIR:
			r.err("account", "%s: %s is not a folder", name, dir) // and no command that would follow a link
		case int(st.Uid) != a.uid || st.Mode&0o700 != 0o700:
			r.err("account", "%s: %s: owner %d, mode %04o; its owner must be %s, its mode 0700", name, dir, st.Uid, st.Mode&0o7777, name)
		case st.Mode&0o022 != 0:
			r.warn("account", "%s: %s: others may write there; chmod go-w %s", name, dir, dir)
		}
	}
	if r.errors == before {
		r.ok("account", "%s: uid %d, %s", name, a.uid, maildir)
	}
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}
