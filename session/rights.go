package session

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"

	"smail/internal/seccomp"
	"smail/login"
)

// checkRights ends a session that is root, could become root again, or has a
// thread with other rights than the rest.
func checkRights() error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETUID, 0, 0, 0); errno == 0 {
		return errors.New("a session must not be able to become root")
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	first := ""
	for _, thread := range threads {
		rights, err := rightsOf(thread.Name())
		if errors.Is(err, os.ErrNotExist) { // it has ended
			continue
		}
		if err != nil {
			return err
		}
		if first == "" {
			first = rights
		}
		if rights != first {
			return fmt.Errorf("threads differ in their rights: %q and %q", first, rights)
		}
	}
	return judge(first)
}

// rightsOf returns the lines of a thread's proc_pid_status(5) that tell its rights.
func rightsOf(thread string) (string, error) {
	fd, err := syscall.Open("/proc/self/task/"+thread+"/status", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer syscall.Close(fd)
	text := make([]byte, 64<<10) // a user may be in thousands of groups
	n, err := syscall.Read(fd, text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for line := range strings.Lines(string(text[:n])) {
		switch name, _, _ := strings.Cut(line, ":"); name {
		case "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapAmb":
			b.WriteString(line)
		}
	}
	return b.String(), nil
}

// judge says what is wrong with rights: all four uids and gids must be one that
// is not root's, without a capability.
func judge(rights string) error {
	lines := map[string][]string{}
	for line := range strings.Lines(rights) {
		name, value, _ := strings.Cut(line, ":")
		lines[name] = strings.Fields(value)
	}
	for _, name := range []string{"Uid", "Gid"} {
		ids := lines[name]
		if len(ids) != 4 || ids[0] != ids[1] || ids[0] != ids[2] || ids[0] != ids[3] {
			return fmt.Errorf("a session must have one %s, not %q", name, ids)
		}
	}
	if lines["Uid"][0] == "0" {
		return errors.New("a session must not be root")
	}
	for _, name := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
		if set := lines[name]; len(set) != 1 || strings.Trim(set[0], "0") != "" {
			return fmt.Errorf("a session must have no capability: %s is %q", name, set)
		}
	}
	return nil
}

// noCore keeps mail out of core dumps.
func noCore() error {
	return os.NewSyscallError("setrlimit", unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}))
}

// NoNewPrivileges makes sure that nothing this process starts gains rights.
// smaild has seen to it already, but for sessions that are started by hand.
func NoNewPrivileges() error {
	if set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err == nil && set == 1 {
		return nil
	}
	if _, _, errno := syscall.AllThreadsSyscall(syscall.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); errno != 0 {
		return fmt.Errorf("no_new_privs: %w", errno)
	}
	return nil
}

// ownMemory is what an idle session reads to see how much memory it has.
const ownMemory = "/proc/self/statm"

// Confine leaves a session nothing but a Maildir: no other file, no connection,
// no program, no signal to a process that is not its own. A kernel without Landlock,
// or with one that cannot let files be renamed from tmp to cur (before 5.19), confines
// no paths; smaild has logged it.
func Confine(maildir string) error {
	err := confined(landlock.V7.BestEffort().Restrict(
		landlock.RWDirs(maildir).WithRefer(), landlock.ROFiles(ownMemory)))
	if err != nil {
		return err
	}
	return refuseCalls(append(connecting, outward...))
}

// connecting are the system calls by which a session could reach what Landlock does
// not keep from it: an agent or a bus of the user's behind a Unix socket would do
// anything in his name.
var connecting = []uint32{unix.SYS_SOCKET, unix.SYS_CONNECT, unix.SYS_BIND}

// outward are those that a session which hands mail on does without, too; the last make
// copies of descriptors, of which the log's must have none.
var outward = []uint32{unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_IO_URING_SETUP, unix.SYS_PTRACE,
	unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PIDFD_GETFD, unix.SYS_SENDMSG, unix.SYS_SENDMMSG}

// x32 marks calls by the numbers of another way into the same kernel.
const x32 = 0x40000000

// refuseCalls also leaves the log as it is: the same open file is everybody's.
func refuseCalls(calls []uint32) error {
	p, err := seccomp.Begin()
	if err != nil {
		return err
	}
	p = append(p, seccomp.Jump(unix.BPF_JGE, x32, 0, 1), seccomp.Refuse)
	p = p.Spare(login.FDLog, seccomp.Refuse)
	for _, call := range calls {
		p = append(p, seccomp.Jump(unix.BPF_JEQ, call, 0, 1), seccomp.Refuse)
	}
	return append(p, seccomp.Allow).Install()
}

// resolverAndTLS is what the resolver and TLS read, on one system or the other.
var resolverAndTLS = []string{"/etc", "/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager",
	"/usr/share/ca-certificates", "/usr/share/pki", "/usr/lib/ssl", "/var/lib/ca-certificates"}

// ConfineSending leaves a session that hands mail on by SMTP or LMTP the folders
// and files that it writes, those that it reads, and its connections. None of
// them need exist.
func ConfineSending(dirs, read []string) error {
	err := confined(landlock.V7.BestEffort().RestrictPaths(
		landlock.RWDirs(dirs...).WithRefer().IgnoreIfMissing(),
		landlock.RODirs(resolverAndTLS...).IgnoreIfMissing(), landlock.ROFiles(read...).IgnoreIfMissing()))
	if err != nil {
		return err
	}
	return refuseCalls(outward)
}

func confined(err error) error {
	if err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	return nil
}
