package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
)

// services are those that smail can serve, with the ports that clients use.
var services = []struct {
	name string
	port int
	tls  bool
}{
	{"imaps", 993, true},
	{"pop3s", 995, true},
	{"submissions", 465, true},
	{"imap", 143, false},
	{"pop3", 110, false},
	{"submission", 587, false},
}

func serviceNames() (names []string) {
	for _, s := range services {
		names = append(names, s.name)
	}
	return names
}

// starters are the programs that listen for smail.
var starters = map[string]bool{"systemd": true, "smaild": true, "inetd": true, "xinetd": true, "systemd-socket-": true}

// inetds start whatever their configuration says.
var inetds = map[string]bool{"inetd": true, "xinetd": true}

// A listener is who holds a port.
type listener struct {
	program string // "" where only root may know
	pid     int
}

func (l listener) String() string {
	if l.program == "" {
		return "a process of another user"
	}
	return fmt.Sprintf("%s (pid %d)", l.program, l.pid)
}

// starts says whether who listens may start smail's service.
func (l listener) starts(service string) bool {
	if l.program == "systemd" { // for whom?
		return exec.Command("systemctl", "--quiet", "is-active", "smail-"+service+".socket").Run() == nil
	}
	return starters[l.program]
}

// sockets prints who listens. With a service it fails where its port is held
// by anything but what starts smail: installation scripts ask so.
func sockets(args []string, out io.Writer) error {
	args, err := flags("sockets", args, func(*flag.FlagSet) {}, 1)
	if err != nil {
		return err
	}
	held, err := listeners()
	if err != nil {
		return err
	}
	if len(args) == 0 {
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		for _, s := range services {
			who := "nobody"
			if l, ok := held[s.port]; ok {
				who = l.String()
			}
			fmt.Fprintf(w, "%s\t%d\t%s\n", s.name, s.port, who)
		}
		return w.Flush()
	}
	for _, s := range services {
		if s.name != args[0] {
			continue
		}
		if l, ok := held[s.port]; ok && (!l.starts(s.name) || inetds[l.program]) {
			return fmt.Errorf("port %d (%s) is held by %s", s.port, s.name, l)
		}
		return nil
	}
	fmt.Fprintf(os.Stderr, "smailctl: no service %q\n", args[0])
	return usageOf("sockets")
}

// listeners maps the TCP ports on which somebody listens to who it is.
func listeners() (map[int]listener, error) {
	inodes := map[string]int{}
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(file)
		if os.IsNotExist(err) { // a host without IPv6
			continue
		}
		if err != nil {
			return nil, err
		}
		readListening(f, inodes)
		f.Close()
	}
	held := map[int]listener{}
	for _, port := range inodes {
		held[port] = listener{}
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		target, err := os.Readlink(link)
		port, ok := inodes[target]
		if err != nil || !ok {
			continue
		}
		dir := filepath.Dir(filepath.Dir(link))
		comm, _ := os.ReadFile(dir + "/comm")
		l := listener{program: strings.TrimSpace(string(comm))}
		l.pid, _ = strconv.Atoi(filepath.Base(dir))
		if old := held[port]; old.program == "" || l.pid < old.pid {
			held[port] = l // the one that was there first: its children have the socket too
		}
	}
	return held, nil
}

// readListening takes the sockets in state LISTEN from /proc/net/tcp, as
// "socket:[inode]", the way /proc/PID/fd names them. Shape of a line (proc(5)):
//
//	0: 00000000:03E1 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 27811 ...
func readListening(r io.Reader, inodes map[string]int) {
	const stateListen = "0A"
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 10 || f[3] != stateListen {
			continue
		}
		_, hex, _ := strings.Cut(f[1], ":")
		if port, err := strconv.ParseUint(hex, 16, 16); err == nil {
			inodes["socket:["+f[9]+"]"] = int(port)
		}
	}
}
