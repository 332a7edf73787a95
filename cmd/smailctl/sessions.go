package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"smail/config"
	"smail/internal/boottime"
	"smail/sessionfile"
)

// sessions lists the session file.
func sessions(args []string, out io.Writer) error {
	var asJSON bool
	if _, err := flags("sessions", args, func(f *flag.FlagSet) { f.BoolVar(&asJSON, "json", false, "for programs") }, 0); err != nil {
		return err
	}
	cfg, recs, err := readSessions()
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(out, cfg, recs)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "USER\tADDRESS\tSERVICE\tFIRST\tLAST\tLOGINS\tLIVE\tRELAYS\tMAY SEND")
	for _, r := range recs {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\n", r.User, r.Addr, r.Service, ago(r.First), ago(r.Last),
			r.Logins, len(r.Sessions()), r.Relays, yesNo(maySend(cfg, recs, r)))
	}
	return w.Flush()
}

// who lists the sessions that are live.
func who(args []string, out io.Writer) error {
	if _, err := flags("who", args, func(*flag.FlagSet) {}, 0); err != nil {
		return err
	}
	_, recs, err := readSessions()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "USER\tADDRESS\tSERVICE\tPID\tSINCE")
	for _, r := range recs {
		for _, p := range r.Sessions() {
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", r.User, r.Addr, r.Service, p.PID, ago(max(p.Started(), r.First)))
		}
	}
	return w.Flush()
}

func readSessions() (*config.Config, []sessionfile.Record, error) {
	cfg, err := config.Load(configPath)
	if err != nil {
		return nil, nil, err
	}
	recs, err := sessionfile.Read(cfg.SessionFile)
	return cfg, recs, err
}

// maySend says whether the address of a record may send as its user without a
// login, by this record or another.
func maySend(cfg *config.Config, recs []sessionfile.Record, r sessionfile.Record) bool {
	rule := sessionfile.Rule{Window: cfg.RelayWindow, LiveOnly: cfg.RelayLiveOnly, Deny: cfg.RelayDenyNetworks}
	_, ok := rule.Sender(recs, r.Addr)
	return ok
}

func ago(at time.Duration) string {
	return (boottime.Now() - at).Round(time.Second).String()
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// writeJSON writes an array of records; times are RFC 3339.
func writeJSON(out io.Writer, cfg *config.Config, recs []sessionfile.Record) error {
	type record struct {
		User     string `json:"user"`
		UID      int    `json:"uid"`
		Address  string `json:"address"`
		Service  string `json:"service"`
		First    string `json:"first"`
		Last     string `json:"last"`
		Logins   int    `json:"logins"`
		Relays   int    `json:"relays"`
		Sessions []int  `json:"sessions"`
		Void     bool   `json:"void"`
		MaySend  bool   `json:"may_send"`
	}
	boot := time.Now().Add(-boottime.Now())
	list := []record{}
	for _, r := range recs {
		j := record{r.User, r.UID, r.Addr.String(), r.Service, boot.Add(r.First).Format(time.RFC3339), boot.Add(r.Last).Format(time.RFC3339),
			r.Logins, r.Relays, []int{}, r.Void, maySend(cfg, recs, r)}
		for _, p := range r.Sessions() {
			j.Sessions = append(j.Sessions, p.PID)
		}
		list = append(list, j)
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(list)
}
