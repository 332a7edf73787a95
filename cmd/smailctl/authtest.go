package main

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"smail/config"
)

// authTest logs in as a client would, through a chain of processes of its own
// on the loopback, and shows what that logs: PAM, the account's limits and the
// mailbox are tried as they are.
func authTest(args []string, out io.Writer) error {
	var service string
	args, err := flags("auth-test", args, func(f *flag.FlagSet) {
		f.StringVar(&service, "service", "imaps", "imaps, pop3s or submissions")
	}, 1)
	if err != nil {
		return err
	}
	speak := map[string]func(*bufio.ReadWriter, string, string) error{"imaps": tryIMAP, "pop3s": tryPOP3, "submissions": trySMTP}[service]
	if len(args) != 1 || speak == nil {
		return usageOf("auth-test")
	}
	if _, err := config.Load(configPath); err != nil {
		return err
	}
	password, err := askPassword(args[0])
	if err != nil {
		return err
	}
	conn, chain, err := startChain(service)
	if err != nil {
		return err
	}
	defer chain.Wait()
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	client := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // it is ours
	err = speak(bufio.NewReadWriter(bufio.NewReader(client), bufio.NewWriter(client)), args[0], password)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	fmt.Fprintf(out, "%s can log in to %s\n", args[0], service)
	return nil
}

// startChain starts smaild on one end of a connection, as inetd does.
func startChain(service string) (net.Conn, *exec.Cmd, error) {
	smaild, err := findSmaild()
	if err != nil {
		return nil, nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	far, err := l.Accept()
	if err == nil && far.RemoteAddr().String() != conn.LocalAddr().String() {
		err = errors.New("somebody else connected")
	}
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	defer far.Close()
	f, err := far.(*net.TCPConn).File()
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	defer f.Close()
	chain := exec.Command(smaild, "-config", configPath, service)
	chain.Stdin, chain.Stderr = f, os.Stderr
	if err := chain.Start(); err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, chain, nil
}

// findSmaild looks beside this program first.
func findSmaild() (string, error) {
	var beside string
	if self, err := os.Executable(); err == nil {
		beside = filepath.Join(filepath.Dir(self), "smaild")
	}
	for _, path := range []string{beside, "/usr/sbin/smaild", "/usr/local/sbin/smaild"} {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", errors.New("smaild is not found")
}

// askPassword reads a line, without showing it where a person types it.
func askPassword(name string) (string, error) {
	fd := int(os.Stdin.Fd())
	if old, err := unix.IoctlGetTermios(fd, unix.TCGETS); err == nil {
		fmt.Fprintf(os.Stderr, "Password of %s: ", name)
		quiet := *old
		quiet.Lflag &^= unix.ECHO
		if err := unix.IoctlSetTermios(fd, unix.TCSETS, &quiet); err != nil {
			return "", os.NewSyscallError("tcsetattr", err)
		}
		defer fmt.Fprintln(os.Stderr)
		defer unix.IoctlSetTermios(fd, unix.TCSETS, old)
	}
	line, err := bufio.NewReader(io.LimitReader(os.Stdin, 4<<10)).ReadString('\n')
	if err != nil && line == "" {
		return "", errors.New("no password")
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// errRefused is what a client is told; the log says more.
var errRefused = errors.New("the login was refused")

// dialogue sends a line and wants a reply that begins with one of words, the
// first of which means that all is well.
func dialogue(c *bufio.ReadWriter, line string, words ...string) error {
	if _, err := c.WriteString(line); err != nil {
		return err
	}
	if err := c.Flush(); err != nil {
		return err
	}
	for {
		said, err := c.ReadString('\n')
		if err != nil {
			return fmt.Errorf("no answer: %w", err)
		}
		for i, w := range words {
			if strings.HasPrefix(said, w) && i == 0 {
				return nil
			} else if strings.HasPrefix(said, w) {
				return fmt.Errorf("%w: %s", errRefused, strings.TrimSpace(said))
			}
		}
	}
}

func plainResponse(name, password string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + name + "\x00" + password))
}

func tryIMAP(c *bufio.ReadWriter, name, password string) error {
	if err := dialogue(c, "", "* OK"); err != nil {
		return err
	}
	if err := dialogue(c, "a AUTHENTICATE PLAIN "+plainResponse(name, password)+"\r\n", "a OK", "a NO", "a BAD", "* BYE"); err != nil {
		return err
	}
	return dialogue(c, "b SELECT INBOX\r\nc LOGOUT\r\n", "b OK", "b NO", "b BAD", "* BYE")
}

func tryPOP3(c *bufio.ReadWriter, name, password string) error {
	if err := dialogue(c, "", "+OK"); err != nil {
		return err
	}
	return dialogue(c, "AUTH PLAIN "+plainResponse(name, password)+"\r\n", "+OK", "-ERR")
}

func trySMTP(c *bufio.ReadWriter, name, password string) error {
	if err := dialogue(c, "", "220"); err != nil {
		return err
	}
	if err := dialogue(c, "EHLO localhost\r\n", "250 "); err != nil {
		return err
	}
	return dialogue(c, "AUTH PLAIN "+plainResponse(name, password)+"\r\n", "235", "4", "5")
}
