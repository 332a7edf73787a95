package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"smail/session"
)

const fionbio = 0x5421 // ioctl(2): as O_NONBLOCK

// trySession confines itself to a Maildir and prints "name: result" for what it
// then tries.
func trySession(maildir string) {
	agent, err := net.Listen("unix", filepath.Join(maildir, "agent"))
	check(err)
	check(session.Confine(maildir))
	home := filepath.Dir(maildir)
	try := func(name string, err error) { fmt.Printf("%s: %v\n", name, err) }
	file := filepath.Join(maildir, "tmp", "1.escape")
	try("write in the Maildir", os.WriteFile(file, []byte("x"), 0o600))
	try("rename to cur", os.Rename(file, filepath.Join(maildir, "cur", "1.escape")))
	try("make a folder", os.Mkdir(filepath.Join(maildir, ".New"), 0o700))
	_, err = os.ReadFile("/etc/passwd")
	try("read /etc/passwd", err)
	_, err = os.ReadFile(filepath.Join(home, "secret"))
	try("read beside the Maildir", err)
	_, err = os.ReadFile(filepath.Join(maildir, "link"))
	try("read through a link", err)
	try("write beside the Maildir", os.WriteFile(filepath.Join(home, ".forward"), []byte("x"), 0o600))
	try("rename out of the Maildir", os.Rename(filepath.Join(maildir, "cur", "1.escape"), filepath.Join(home, "out")))
	_, err = os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{})
	try("start a program", err)
	_, err = net.Dial("tcp", "127.0.0.1:25")
	try("connect", err)
	_, err = net.Dial("unix", agent.Addr().String())
	try("connect to an agent of the user's", err)
	_, err = net.ListenPacket("udp", "127.0.0.1:0")
	try("make a UDP socket", err)
	try("execute a program", syscall.Exec("/bin/true", []string{"true"}, nil))
	_, err = unix.FcntlInt(2, unix.F_SETFL, unix.O_NONBLOCK)
	try("change the log for all who have it", err)
	_, err = syscall.Dup(2)
	try("copy the log's descriptor", err)
	try("change the log by ioctl", unix.IoctlSetPointerInt(2, fionbio, 1))
	try("signal to another process", syscall.Kill(os.Getppid(), 0))
}
