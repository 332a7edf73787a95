package monitor

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"smail/login"
	"smail/logline"
)

// startFront starts smail-front with two channels to this process, and a
// socket for its Setup and the client's connection.
func (c *connection) startFront() error {
	setupPair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	loginPair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	mailPair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	null, err := syscall.Open("/dev/null", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /dev/null: %w", err)
	}
	attr := &syscall.ProcAttr{
		Dir: "/",
		// One processor is enough for one client, and saves 0.2 MB.
		Env: []string{"GOMAXPROCS=1", "GOTRACEBACK=none"},
		Files: []uintptr{uintptr(null), uintptr(null), login.FDLog: 2,
			login.FDLogin: uintptr(loginPair[1]), login.FDMail: uintptr(mailPair[1]), login.FDSetup: uintptr(setupPair[1])},
	}
	if attr.Sys, err = c.frontRights(); err != nil {
		return err
	}
	path := c.Config.LibexecDir + "/smail-front"
	c.front, err = syscall.ForkExec(path, []string{"smail-front"}, attr)
	if err != nil {
		return fmt.Errorf("start %s: %w", path, err)
	}
	c.login, c.mail, c.setup = loginPair[0], mailPair[0], setupPair[0]
	for _, fd := range []int{loginPair[1], mailPair[1], setupPair[1], null} {
		syscall.Close(fd)
	}
	return nil
}

// sayLandlock logs, once a boot, that this kernel confines no paths, or not those
// of sessions, which rename files: both go on with the rest.
func (m *Monitor) sayLandlock() {
	version, _, errno := syscall.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	reason := errno.Error()
	if errno == 0 {
		if version >= 2 {
			return
		}
		reason = fmt.Sprintf("version %d lets sessions rename nothing", version)
	}
	if f, err := os.OpenFile(m.inRun("no-landlock"), os.O_CREATE|os.O_EXCL, 0o600); err == nil {
		f.Close()
		logline.Warn("no Landlock in this kernel: paths are not confined", "reason", reason)
	}
}

// sendSetup gives the front the client's connection and tells it what it must
// know. It closes the connection here: from now on only the front can read it.
func (c *connection) sendSetup(conn int) error {
	s := login.Setup{
		Service: c.Service, Hostname: c.Config.Hostname, Peer: c.peer.Addr().String(),
		LoginTimeout: max(time.Until(c.deadline), time.Second), IdleTimeout: c.Config.IdleTimeout,
		MaxMessageSize: c.Config.MaxMessageSize, MaxRecipients: c.Config.MaxRecipients,
		Recent: c.relays(),
	}
	for _, k := range c.keys {
		s.Chains = append(s.Chains, k.chain)
	}
	if err := login.SendConn(c.setup, conn, s.Marshal()); err != nil {
		return fmt.Errorf("setup for smail-front: %w", err)
	}
	syscall.Close(c.setup)
	return closeConnection(conn)
}

// closeConnection puts /dev/null where the client's connection was, so that
// 0 and 1 stay taken.
func closeConnection(conn int) error {
	null, err := syscall.Open("/dev/null", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /dev/null: %w", err)
	}
	for _, fd := range []int{0, 1} {
		if err := syscall.Dup3(null, fd, 0); err != nil {
			return os.NewSyscallError("dup", err)
		}
	}
	if conn > 2 {
		syscall.Close(conn)
	}
	return syscall.Close(null)
}

// frontRights says as whom the front runs. Until the login it ends when this
// process does: package front ignores SIGTERM then.
func (m *Monitor) frontRights() (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if os.Getuid() != 0 {
		return attr, nil
	}
	u, err := lookupUser(m.Config.FrontUser)
	if err != nil {
		return nil, fmt.Errorf("front_user %s: %w", m.Config.FrontUser, err)
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err1 != nil || err2 != nil || uid == 0 || gid == 0 {
		return nil, fmt.Errorf("front_user %s: uid and gid must not be root's", m.Config.FrontUser)
	}
	attr.Credential = credential(uid, gid, nil)
	return attr, nil
}

func credential(uid, gid int, groups []int) *syscall.Credential {
	cred := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for _, g := range groups {
		cred.Groups = append(cred.Groups, uint32(g))
	}
	return cred
}

// executable says why a program could not be started.
func executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return fmt.Errorf("%s is not a program", path)
	}
	return nil
}
