package main

import (
	"flag"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"smail/config"
	"smail/sessionfile"
)

// sessions lists the session file.
func sessions(args []string, out io.Writer) error {
	if _, err := flags("sessions", args, func(*flag.FlagSet) {}, 0); err != nil {
		return err
	}
	cfg, err := config.Load(configPath)
	if err != nil {
		return err
	}
	recs, err := sessionfile.Read(cfg.SessionFile)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
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
