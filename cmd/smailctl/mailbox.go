package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"

	"smail/imap"
	"smail/maildir"
	"smail/message"
)

// mailbox looks at a user's folders.
func mailbox(args []string, out io.Writer) error {
	rest, err := flags("mailbox", args, func(*flag.FlagSet) {}, 2)
	if err != nil {
		return err
	}
	do := map[string]func(*maildir.Store, io.Writer) error{
		"list": listFolders, "status": statusOfFolders, "verify": verify, "rebuild": rebuild,
	}
	if len(rest) != 2 || do[rest[1]] == nil {
		fmt.Fprintln(os.Stderr, "smailctl mailbox: wants a user, and list, status, verify or rebuild")
		return errUsage
	}
	return asUser(rest[0], func(s *maildir.Store) error { return do[rest[1]](s, harmless{out}) })
}

// shown returns a folder's name as users know it.
func shown(folder string) string {
	if name, err := imap.DecodeMailbox(folder); err == nil {
		return name
	}
	return folder
}

// listFolders prints the folders; an asterisk marks those that are subscribed.
func listFolders(s *maildir.Store, out io.Writer) error {
	folders, err := s.Folders()
	if err != nil {
		return err
	}
	subscribed, err := s.Subscriptions()
	if err != nil {
		return err
	}
	for _, name := range folders {
		mark := " "
		if slices.Contains(subscribed, name) {
			mark = "*"
		}
		fmt.Fprintf(out, "%s %s\n", mark, shown(name))
	}
	return nil
}

// statusOfFolders prints what IMAP's STATUS tells.
func statusOfFolders(s *maildir.Store, out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FOLDER\tMESSAGES\tUNSEEN\tNEW\tUIDVALIDITY\tUIDNEXT\tHIGHESTMODSEQ")
	err := eachFolder(s, func(name string) error {
		if err := takenOver(s, name); err != nil {
			return err
		}
		f, err := s.OpenFolder(name, true)
		if err != nil {
			return err
		}
		defer f.Close()
		unseen := f.Count(func(m maildir.Message) bool { return m.Flags&maildir.Seen == 0 })
		isNew := f.Count(func(m maildir.Message) bool { return m.New })
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\n", shown(name), f.Len(), unseen, isNew, f.UIDValidity, f.UIDNext(), f.HighestModSeq())
		return nil
	})
	return errors.Join(err, w.Flush())
}

// takenOver refuses a folder that only a Courier has served: to look at it would take
// it over, and Courier may still be running.
func takenOver(s *maildir.Store, name string) error {
	p, err := s.Preview(name, false)
	if err == nil && p.Origin == "Courier" {
		err = errors.New("is Courier's, and not taken over yet: stop Courier, and run smailctl migrate")
	}
	return err
}

// eachFolder runs fn for every folder, and goes on where one cannot be read.
func eachFolder(s *maildir.Store, fn func(name string) error) error {
	folders, err := s.Folders()
	if err != nil {
		return err
	}
	failed := false
	for _, name := range folders {
		if err := fn(name); err != nil {
			fmt.Fprintf(os.Stderr, "smailctl: %s: %v\n", shown(name), err)
			failed = true
		}
	}
	if failed {
		return errFound
	}
	return nil
}

// verify compares indexes, uidlists and files, and reads every message to see
// whether its sizes are right.
func verify(s *maildir.Store, out io.Writer) error {
	total, err := countMessages(s)
	if err != nil {
		return err
	}
	p := newProgress("messages", total)
	problems := 0
	say := func(name, problem string) {
		p.clear()
		fmt.Fprintf(out, "%s: %s\n", shown(name), problem)
		problems++
	}
	err = eachFolder(s, func(name string) error {
		if err := takenOver(s, name); err != nil {
			return err
		}
		f, err := s.OpenFolder(name, true)
		if err != nil {
			return err
		}
		defer f.Close()
		found, err := f.Verify()
		for _, problem := range found {
			say(name, problem)
		}
		for place := range f.Len() {
			if problem := checkMessage(f, place); problem != "" {
				say(name, problem)
			}
			p.add(1)
		}
		return err
	})
	p.clear()
	for _, name := range s.Leftovers() {
		say(maildir.Inbox, "tmp/"+name+" was left by a program that was killed")
	}
	fmt.Fprintf(out, "%d messages, %d problems\n", p.done, problems)
	if problems > 0 && err == nil {
		err = errFound
	}
	return err
}

// checkMessage reads a message, and says what is wrong with it.
func checkMessage(f *maildir.Folder, place int) string {
	m := f.Message(place)
	if m.Gone {
		return ""
	}
	file, size, err := f.OpenMessage(place)
	if errors.Is(err, maildir.ErrGone) {
		return ""
	}
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	crlf, err := message.CRLFSize(file)
	nameSize, nameCRLF := f.NameSizes(place)
	wrong := func(said, is int64) bool { return said >= 0 && said != is }
	switch {
	case err != nil:
		return err.Error()
	case wrong(nameSize, size) || wrong(nameCRLF, crlf):
		return fmt.Sprintf("UID %d, %s, has %d bytes, %d with CRLF: its name says otherwise", m.UID, f.Key(place), size, crlf)
	case wrong(m.Size, size) || wrong(m.CRLF, crlf):
		return fmt.Sprintf("UID %d, %s, has %d bytes, %d with CRLF: the index says otherwise", m.UID, f.Key(place), size, crlf)
	case size == 0:
		return fmt.Sprintf("UID %d, %s, is empty", m.UID, f.Key(place))
	}
	return ""
}

func countMessages(s *maildir.Store) (total int, err error) {
	folders, err := s.Folders()
	if err != nil {
		return 0, err
	}
	for _, name := range folders {
		if p, err := s.Preview(name, false); err == nil {
			total += len(p.Keys)
		}
	}
	return total, nil
}

// rebuild makes the indexes of all folders anew.
func rebuild(s *maildir.Store, out io.Writer) error {
	folders, err := s.Folders()
	if err != nil {
		return err
	}
	p := newProgress("folders", len(folders))
	err = eachFolder(s, func(name string) error {
		defer p.add(1)
		if err := takenOver(s, name); err != nil {
			return err
		}
		return s.Rebuild(name)
	})
	p.clear()
	if err == nil {
		fmt.Fprintf(out, "%d folders\n", len(folders))
	}
	return err
}
