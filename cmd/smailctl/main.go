// Command smailctl shows the administrator what smail does, and what it needs.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"smail/config"
)

// A command is one of smailctl's: its arguments, what help says of it, and
// what it does.
type command struct {
	name, args, help string
	run              func(args []string, out io.Writer) error
}

func commands() []command {
	return []command{
		{"auth-test", "[-service SERVICE] USER", "logs in as a client would, and shows why not", authTest},
		{"check", "[-user NAME]", "looks at everything that stops a login", check},
		{"clientconfig", "[-out DIR] [-domain NAME]", "writes what users need to set up their clients", clientConfig},
		{"config", "[-all | -example]", "prints the settings in force, or a commented file", printConfig},
		{"forget", "ADDRESS | USER", "drops recent logins, so that none lets its client send", forget},
		{"form", "[resident | per-connection]", "says or chooses how systemd starts smail", form},
		{"kick", "USER | PID | ADDRESS", "ends sessions, and says so to their clients", kick},
		{"mailbox", "USER list|status|verify|rebuild", "looks at a user's folders, or makes their indexes anew", mailbox},
		{"makecert", "CERTIFICATE KEY [NAME ...]", "makes a self-signed certificate where there is none", makeCert},
		{"migrate", "[-from SERVER] [-dry-run] [-list] USER", "takes over what Dovecot or Courier knew, ahead of the first login", migrate},
		{"sessions", "[-json]", "lists recent logins", sessions},
		{"sockets", "[SERVICE]", "says who listens on the ports of mail", sockets},
		{"version", "", "says which smail this is", printVersion},
		{"who", "", "lists the sessions that are open", who},
	}
}

// version is that of NEWS.md and the packages.
const version = "0.1"

func printVersion(args []string, out io.Writer) error {
	if _, err := flags("version", args, func(*flag.FlagSet) {}, 0); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, "smail", version)
	return err
}

// errUsage is for wrong arguments; the command has said what was wrong.
var errUsage = errors.New("wrong arguments")

// errFound is for a check that found an error, and has said which.
var errFound = errors.New("found errors")

var configPath = config.DefaultPath

func main() {
	flag.StringVar(&configPath, "config", config.DefaultPath, "configuration `file`")
	flag.Usage = func() { usage(os.Stderr) }
	flag.Parse()
	path, err := filepath.Abs(configPath) // for what is started in another folder
	if err == nil {
		configPath = path
		err = run(flag.Args(), os.Stdout)
	}
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	case errors.Is(err, errFound):
		os.Exit(1)
	default:
		fmt.Fprintln(harmless{os.Stderr}, "smailctl:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) == 0 {
		usage(os.Stderr)
		return errUsage
	}
	if args[0] == "help" && len(args) > 1 {
		args = []string{args[1], "-h"}
	}
	if args[0] == "help" {
		usage(out)
		return nil
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(args[1:], out)
		}
	}
	fmt.Fprintf(os.Stderr, "smailctl: no command %q\n", args[0])
	usage(os.Stderr)
	return errUsage
}

func usage(w io.Writer) {
	fmt.Fprintf(w, "usage: smailctl [-config FILE] COMMAND\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-48s  %s\n", c.name+" "+c.args, c.help)
	}
	fmt.Fprintf(w, "  %-48s  %s\n\nsmailctl(8) says more.\n", "help", "prints this")
}

// flags parses a command's own flags.
func flags(name string, args []string, define func(*flag.FlagSet), most int) ([]string, error) {
	set := flag.NewFlagSet("smailctl "+name, flag.ContinueOnError)
	define(set)
	set.Usage = func() { usageOf(name); set.PrintDefaults() }
	var rest []string
	for { // flags may stand behind arguments
		switch err := set.Parse(args); {
		case errors.Is(err, flag.ErrHelp):
			return nil, err
		case err != nil:
			return nil, errUsage
		}
		if set.NArg() == 0 {
			break
		}
		rest, args = append(rest, set.Arg(0)), set.Args()[1:]
	}
	if len(rest) > most {
		fmt.Fprintf(os.Stderr, "smailctl %s: unexpected argument %q\n", name, rest[most])
		set.Usage()
		return nil, errUsage
	}
	return rest, nil
}

// usageOf says how a command is called.
func usageOf(name string) error {
	for _, c := range commands() {
		if c.name == name {
			fmt.Fprintf(os.Stderr, "usage: smailctl %s %s\n  %s\n", c.name, c.args, c.help)
		}
	}
	return errUsage
}

func printConfig(args []string, out io.Writer) error {
	var all, example bool
	if _, err := flags("config", args, func(f *flag.FlagSet) {
		f.BoolVar(&all, "all", false, "defaults too")
		f.BoolVar(&example, "example", false, "a complete file with comments")
	}, 0); err != nil {
		return err
	}
	if example {
		return config.Example(out)
	}
	cfg, err := config.Load(configPath)
	if err != nil {
		return err
	}
	return cfg.Print(out, all)
}
