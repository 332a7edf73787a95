// Command smailctl shows the administrator what smail does.
//
//	smailctl [-config FILE] check      whether smaild could serve with this configuration
//	smailctl [-config FILE] sessions   who has logged in, and from where
package main

import (
	"flag"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"smail/config"
	"smail/sessionfile"
)

func main() {
	path := flag.String("config", config.DefaultPath, "configuration `file`")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: smailctl [-config FILE] check|sessions")
		flag.PrintDefaults()
	}
	flag.Parse()
	commands := map[string]func(*config.Config) error{"check": check, "sessions": sessions}
	run := commands[flag.Arg(0)]
	if run == nil || flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	cfg, err := config.Load(*path)
	if err == nil {
		err = run(cfg)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "smailctl:", err)
		os.Exit(1)
	}
}

// check reads what smaild reads at its start.
func check(cfg *config.Config) error {
	if len(cfg.TLSCertificates) == 0 {
		return fmt.Errorf("no tls_certificate: smail serves nothing without TLS")
	}
	for i, cert := range cfg.TLSCertificates {
		for _, file := range []string{cert, cfg.TLSKeys[i]} {
			f, err := os.Open(file)
			if err != nil {
				return err
			}
			f.Close()
		}
	}
	fmt.Println("ok")
	return nil
}

func sessions(cfg *config.Config) error {
	recs, err := sessionfile.Read(cfg.SessionFile)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "USER\tADDRESS\tSERVICE\tPID\tAGO\tLIVE")
	for _, r := range recs {
		live := "no"
		if r.Live() {
			live = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\n", r.User, r.Addr, r.Service, r.PID,
			(sessionfile.Now() - r.At).Round(time.Second), live)
	}
	return w.Flush()
}
