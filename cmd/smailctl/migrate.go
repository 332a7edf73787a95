package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"smail/maildir"
)

// A migration takes over what the server before knew of one user's mail.
type migration struct {
	from         string // "", "dovecot" or "courier"
	dryRun, list bool
	out          io.Writer
	progress     *progress
}

// migrate does ahead of time what the first login would do, and compares what
// clients know the messages by before and after.
func migrate(args []string, out io.Writer) error {
	m := &migration{out: harmless{out}}
	rest, err := flags("migrate", args, func(f *flag.FlagSet) {
		f.StringVar(&m.from, "from", "", "the `server` before: dovecot or courier; without it, whichever left its files")
		f.BoolVar(&m.dryRun, "dry-run", false, "change nothing")
		f.BoolVar(&m.list, "list", false, "print the UIDs and POP3 ids of all messages, before and after")
	}, 1)
	if err != nil {
		return err
	}
	if len(rest) != 1 || !slices.Contains([]string{"", "dovecot", "courier"}, m.from) {
		fmt.Fprintln(os.Stderr, "smailctl migrate: wants a user; -from is dovecot or courier")
		return errUsage
	}
	return asUser(rest[0], m.run)
}

func (m *migration) run(s *maildir.Store) error {
	total, err := countMessages(s)
	if err != nil {
		return err
	}
	m.progress = newProgress("messages", total)
	w := tabwriter.NewWriter(m.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FOLDER\tFROM\tMESSAGES\tUIDS KEPT\tPOP3 IDS KEPT\tUIDVALIDITY\tUIDNEXT")
	err = eachFolder(s, func(name string) error { return m.folder(s, name, w) })
	m.progress.clear()
	w.Flush()
	if unserved, uerr := s.Unserved(); err == nil && (uerr != nil || len(unserved) > 0) {
		for _, name := range unserved {
			fmt.Fprintf(m.out, "%s is not served: a mailbox of another name must be made of it.\n", name)
		}
		err = errors.Join(errFound, uerr)
	}
	switch {
	case m.dryRun:
		fmt.Fprintln(m.out, "Nothing was changed.")
	case err == nil:
		fmt.Fprintln(m.out, "Every message that had a UID or a POP3 id has it still.")
	}
	return err
}

// folder takes one folder over.
func (m *migration) folder(s *maildir.Store, name string, w io.Writer) error {
	before, err := s.Preview(name, m.from == "courier")
	if err != nil {
		return err
	}
	if m.from == "dovecot" && before.Origin == "Courier" {
		return fmt.Errorf("has Courier's files and no dovecot-uidlist; leave -from away to take them over")
	}
	now, err := s.Preview(name, false)
	if err != nil {
		return err
	}
	if m.from == "" && before.Origin != "Courier" { // under its UIDVALIDITY they came from there
		if courier, err := s.Preview(name, true); err == nil && courier.Origin == "Courier" && courier.UIDValidity == now.UIDValidity {
			if err := compare(courier, now); err != nil {
				return fmt.Errorf("the files of Courier differ: %w; if Courier was used since they were taken over, stop it, and say -from courier, else -from dovecot", err)
			}
		}
	}
	origin := before.Origin
	if origin == "" {
		origin = "-"
	}
	row := func(validity, next uint32) {
		m.progress.clear()
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\n", shown(name), origin, len(before.Keys), len(before.UIDs), len(before.UIDLs), validity, next)
	}
	if m.dryRun {
		row(before.UIDValidity, before.UIDNext)
		m.print(name, "before", before)
		return nil
	}
	if m.from == "courier" && before.Origin == "Courier" && compare(before, now) != nil {
		if err := s.SetAside(name); err != nil {
			return err
		}
	}
	f, err := s.OpenFolder(name, before.Origin != "Courier") // whose keywords are to go into names
	if err != nil {
		return err
	}
	defer f.Close()
	m.progress.add(f.Len())
	row(f.UIDValidity, f.UIDNext())
	after, err := s.Preview(name, false)
	if err != nil {
		return err
	}
	m.print(name, "before", before)
	m.print(name, "after", after)
	return compare(before, after)
}

// print lists what clients know the messages by.
func (m *migration) print(name, when string, p *maildir.Preview) {
	if !m.list {
		return
	}
	var lines []string
	for key, uid := range p.UIDs {
		lines = append(lines, fmt.Sprintf("%10d %s %s", uid, key, p.UIDLs[key]))
	}
	slices.Sort(lines)
	fmt.Fprintf(m.out, "%s %s:\n", shown(name), when)
	for _, line := range lines {
		fmt.Fprintln(m.out, strings.TrimRight(line, " "))
	}
}

// compare says what clients would notice.
func compare(before, after *maildir.Preview) error {
	if before.UIDValidity != 0 && before.UIDValidity != after.UIDValidity {
		return fmt.Errorf("UIDVALIDITY was %d and is %d", before.UIDValidity, after.UIDValidity)
	}
	for key, uid := range before.UIDs {
		if now := after.UIDs[key]; now != uid && after.Keys[key] {
			return fmt.Errorf("%s had UID %d and has %d", key, uid, now)
		}
	}
	for key, id := range before.UIDLs {
		if now := after.UIDLs[key]; now != id && after.Keys[key] {
			return fmt.Errorf("%s had the POP3 id %s and has %q", key, id, now)
		}
	}
	return nil
}
