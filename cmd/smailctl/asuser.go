package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"smail/config"
	"smail/imap"
	"smail/maildir"
)

// asUser runs a command on an account's mail. Root becomes that user first, in
// a process of its own: nothing in a home is opened with root's rights.
func asUser(name string, run func(*maildir.Store) error) error {
	acct, err := getpwnam(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if acct.uid == 0 {
		return errors.New("root has no mail here")
	}
	if os.Geteuid() != acct.uid {
		if os.Geteuid() != 0 {
			return fmt.Errorf("only root may look at another user's mail")
		}
		return runAs(acct)
	}
	// The terminal may be root's: nobody may take it out of this process. That the
	// program is 0711 sees to it before this does.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	cfg, err := config.Load(configPath)
	if err != nil {
		return err
	}
	path := cfg.MaildirOf(name, acct.home)
	if !isDir(path) {
		return fmt.Errorf("%s has no Maildir: %s is not there", name, path)
	}
	store, err := maildir.Open(path, maildir.ParseSyncMode(cfg.Fsync))
	if err != nil {
		return err
	}
	defer store.Close()
	store.EncodeName = imap.EncodeMailbox
	return run(store)
}

// runAs starts this program once more as a user, with the same arguments.
func runAs(acct account) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, append([]string{"-config", configPath}, flag.Args()...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Dir = "/"
	cmd.Env = []string{"HOME=" + acct.home, "PATH=/usr/bin:/bin", "TERM=" + os.Getenv("TERM")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{
		Uid: uint32(acct.uid), Gid: uint32(acct.gid), Groups: groupsOf(acct)}}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) { // it has said why
		if exit.ExitCode() == 2 {
			return errUsage
		}
		return errFound
	}
	return err
}

func groupsOf(acct account) (groups []uint32) {
	groups = []uint32{uint32(acct.gid)}
	text, err := exec.Command("id", "-G", "--", acct.name).Output()
	if err != nil {
		return groups
	}
	for id := range strings.FieldsSeq(string(text)) {
		if n, err := strconv.ParseUint(id, 10, 32); err == nil && n != uint64(acct.gid) {
			groups = append(groups, uint32(n))
		}
	}
	return groups
}
