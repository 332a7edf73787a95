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
	"strings"
)

// The packaged drop-in makes the sockets start one resident listener each; a
// link to /dev/null in its place under /etc takes it away, as systemd.unit(5)
// describes, so that each connection gets a unit of its own.
const dropIn = "smail-.socket.d/resident.conf"

var (
	packagedUnits = []string{"/usr/lib/systemd/system", "/lib/systemd/system", "/usr/local/lib/systemd/system"}
	hostUnits     = "/etc/systemd/system"
)

// form says how systemd starts smail, or chooses it and restarts the sockets
// that are active. Sessions that run go on.
func form(args []string, out io.Writer) error {
	args, err := flags("form", args, func(*flag.FlagSet) {}, 1)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		fmt.Fprintln(out, currentForm())
		return nil
	}
	if !slices.ContainsFunc(packagedUnits, func(dir string) bool { _, err := os.Stat(filepath.Join(dir, dropIn)); return err == nil }) {
		return fmt.Errorf("smail's units are not installed in %s", strings.Join(packagedUnits, " or "))
	}
	mask := filepath.Join(hostUnits, dropIn)
	switch args[0] {
	case "resident":
		if currentForm() == "per-connection" {
			if err := os.Remove(mask); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
		os.Remove(filepath.Dir(mask)) // stays if the host has drop-ins of its own
	case "per-connection":
		if err := os.MkdirAll(filepath.Dir(mask), 0o755); err != nil {
			return err
		}
		if err := os.Symlink("/dev/null", mask); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	default:
		fmt.Fprintf(os.Stderr, "smailctl: no form %q\n", args[0])
		return usageOf("form")
	}
	if now := currentForm(); now != args[0] {
		return fmt.Errorf("%s is not the package's: the form is still %s", mask, now)
	}
	return applyForm(out)
}

// applyForm has systemd read its units again, and restarts what listens.
func applyForm(out io.Writer) error {
	if err := systemctl(out, "daemon-reload"); err != nil {
		return err
	}
	var failed error // the other services change all the same
	for _, name := range append(serviceNames(), "policyd") {
		socket := "smail-" + name + ".socket"
		if exec.Command("systemctl", "--quiet", "is-active", socket).Run() != nil {
			continue
		}
		// A listener must go first: its socket cannot change under it.
		err := systemctl(out, "stop", socket, "smail-"+name+"-listen.service")
		failed = errors.Join(failed, err, systemctl(out, "start", socket))
	}
	fmt.Fprintln(out, currentForm())
	return failed
}

func systemctl(out io.Writer, args ...string) error {
	fmt.Fprintln(out, "systemctl", strings.Join(args, " "))
	c := exec.Command("systemctl", args...)
	c.Stderr = os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("systemctl %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

func currentForm() string {
	if target, err := os.Readlink(filepath.Join(hostUnits, dropIn)); err == nil && target == "/dev/null" {
		return "per-connection"
	}
	for _, dir := range packagedUnits {
		if _, err := os.Stat(filepath.Join(dir, dropIn)); err == nil {
			return "resident"
		}
	}
	return "per-connection"
}
