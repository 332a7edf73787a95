// Command demo is `make run`: it serves mail at once, on loopback, with no
// account, certificate, MTA or system file touched. All that it makes is in
// one folder.
package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"smail/internal/rig"
)

// services and the ports they listen on.
var services = []struct{ name, address string }{
	{"imaps", "127.0.0.1:1993"}, {"pop3s", "127.0.0.1:1995"}, {"submissions", "127.0.0.1:1465"},
	{"submission", "127.0.0.1:1587"}, {"imap", "127.0.0.1:1143"}, {"pop3", "127.0.0.1:1110"},
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "make run:", err)
		os.Exit(1)
	}
}

func run() error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	who, err := account()
	if err != nil {
		return err
	}
	dir, err := folder("run", who)
	if err != nil {
		return err
	}
	bin, err := filepath.Abs("bin")
	if err != nil {
		return err
	}
	r, err := rig.New(dir, bin)
	if err != nil {
		return err
	}
	password, err := prepare(r, who)
	if err != nil {
		return err
	}
	defer r.Stop()
	for _, s := range services {
		if _, err := r.Listen(s.name, s.address, os.Stderr); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	instructions(who.Username, password)
	<-stop
	return nil
}

// account is whose mail is served: the caller's own. Root has no mail here, so
// that for root it is the user behind sudo, or nobody.
func account() (*user.User, error) {
	if os.Getuid() != 0 {
		return user.Current()
	}
	if name := os.Getenv("SUDO_USER"); name != "" && name != "root" {
		return user.Lookup(name)
	}
	return user.Lookup("nobody")
}

// folder makes the folder that holds everything. Where the user could not
// reach it, as below root's home, it is a link to one in /tmp.
func folder(name string, who *user.User) (string, error) {
	dir, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	if target, err := filepath.EvalSymlinks(dir); err == nil && target != dir {
		return target, nil
	}
	if os.Getuid() == 0 && !reachable(filepath.Dir(dir), who) {
		os.Remove(dir) // a link to nowhere
		target, err := os.MkdirTemp("", "smail-run-")
		if err != nil {
			return "", err
		}
		return target, os.Symlink(target, dir)
	}
	return dir, os.MkdirAll(dir, 0o755)
}

func reachable(dir string, who *user.User) bool {
	for ; dir != "/"; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return false
		}
		own := strconv.Itoa(int(info.Sys().(*syscall.Stat_t).Uid)) == who.Uid
		if mode := info.Mode().Perm(); mode&0o001 == 0 && !(own && mode&0o100 != 0) {
			return false
		}
	}
	return true
}

// prepare writes configuration, password and sample mail.
func prepare(r *rig.Rig, who *user.User) (password string, err error) {
	if b, err := os.ReadFile(filepath.Join(r.Dir, "password")); err == nil {
		password = strings.TrimSpace(string(b))
	} else {
		password = strings.ToLower(rand.Text()[:12])
	}
	front := "nobody"
	if who.Username == front {
		front = "daemon"
	}
	inbox, outbox := filepath.Join(r.Dir, "Maildir"), filepath.Join(r.Dir, "outbox")
	for name, value := range map[string]string{
		"maildir": inbox, "relay": "maildir " + outbox, "login_domains": "localhost", "relay_deny_networks": "none",
		"front_user": front, "min_uid": "1", "max_uid": who.Uid,
	} {
		r.Config[name] = value
	}
	if _, err := r.WriteConfig(); err != nil {
		return "", err
	}
	if err := r.PasswordPAM(who.Username, password); err != nil {
		return "", err
	}
	if err := samples(inbox, who.Username+"@localhost"); err != nil {
		return "", err
	}
	if err := os.MkdirAll(outbox, 0o700); err != nil {
		return "", err
	}
	return password, errors.Join(give(inbox, who), give(outbox, who))
}

// give makes a folder the user's.
func give(dir string, who *user.User) error {
	if os.Getuid() != 0 {
		return nil
	}
	uid, _ := strconv.Atoi(who.Uid)
	gid, _ := strconv.Atoi(who.Gid)
	return filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, gid)
	})
}

func instructions(name, password string) {
	fmt.Printf(`
smail serves %[1]s@localhost on 127.0.0.1.

  name      %[1]s
  password  %[2]s
  IMAP      1993 (TLS), 1143 (STARTTLS)
  POP3      1995 (TLS), 1110 (STLS)
  sending   1465 (TLS), 1587 (STARTTLS)

Read the first message, list the mailbox by POP3, and send yourself one:

  curl --cacert run/cert.pem -u '%[1]s:%[2]s' 'imaps://localhost:1993/INBOX;MAILINDEX=1'
  curl --cacert run/cert.pem -u '%[1]s:%[2]s' pop3s://localhost:1995/
  printf 'Subject: hello\r\n\r\nIt works.\r\n' | curl --cacert run/cert.pem -u '%[1]s:%[2]s' smtps://localhost:1465 --mail-from %[1]s@localhost --mail-rcpt %[1]s@localhost -T -

Mail that is sent goes to run/outbox, and to your INBOX if it is for you.
Ctrl-C ends it.

`, name, password)
}
