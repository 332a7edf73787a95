package test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A pipeServer is an IMAP server on its standard input and output, run as
// alice on her Maildir.
type pipeServer struct {
	h    *host
	name string
	args []string
}

// run sends commands and returns what is answered.
func (p pipeServer) run(commands ...string) string {
	p.h.t.Helper()
	script := "a SELECT INBOX\r\n"
	for i, c := range commands {
		script += fmt.Sprintf("b%d %s\r\n", i, c)
	}
	args := append([]string{"--reuid", p.h.alice.Uid, "--regid", p.h.alice.Gid, "--clear-groups",
		"env", "-i", "HOME=" + p.h.alice.HomeDir, "USER=" + p.h.alice.Username}, p.args...)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "setpriv", args...)
	in, err := cmd.StdinPipe() // open until it has said all: Dovecot leaves early at its end
	if err != nil {
		p.h.t.Fatal(err)
	}
	go io.WriteString(in, script+"z LOGOUT\r\n")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "\nz OK") {
		p.h.t.Fatalf("%s: %v\n%s", p.name, err, out)
	}
	for _, line := range complaint.FindAllString(string(out), -1) {
		p.h.t.Errorf("%s logs %s", p.name, line)
	}
	return string(out)
}

// complaint is a line of Dovecot's log, which goes to standard error here.
var complaint = regexp.MustCompile(`(?m)^imap[^ ]*: (Error|Warning|Fatal|Panic): .*$`)

// session sends commands and returns the untagged FETCH responses.
func (p pipeServer) session(commands ...string) []string {
	p.h.t.Helper()
	var fetched []string
	for line := range strings.Lines(p.run(commands...)) {
		if strings.Contains(line, " FETCH (") {
			fetched = append(fetched, strings.TrimSpace(line))
		}
	}
	return fetched
}

// pipeServers returns smail and Dovecot on alice's Maildir.
func (h *host) pipeServers() (smail, dovecot pipeServer) {
	run := filepath.Join(h.Dir, "dovecot")
	os.Mkdir(run, 0o777)
	os.Chmod(run, 0o777)
	conf := h.write("dovecot.conf", fmt.Sprintf("base_dir = %[1]s\nstate_dir = %[1]s\nmail_location = maildir:%[2]s\nssl = no\nprotocols = imap\n",
		run, h.maildir(h.alice)))
	os.Chmod(conf, 0o644)
	program := "/usr/lib/dovecot/imap" // Debian
	if !isFile(program) {
		program = "/usr/libexec/dovecot/imap" // Fedora
	}
	smail = pipeServer{h, "smail", []string{filepath.Join(bin, "smail-imap"), "-config", "/nonexistent/smail.conf"}}
	dovecot = pipeServer{h, "Dovecot", []string{program, "-c", conf}}
	return smail, dovecot
}

// TestDovecotSharesTheMaildir: smail and Dovecot in turn on one Maildir agree on
// UIDs, flags and keywords, whoever made them, and Dovecot has no complaint.
func TestDovecotSharesTheMaildir(t *testing.T) {
	needRoot(t)
	need(t, "doveadm", "dovecot-imapd")
	h := newHost(t)
	for i := range 3 {
		h.deliver(h.alice, fmt.Sprintf("Subject: %d\n\nx\n", i))
	}
	smail, dovecot := h.pipeServers()
	const look = "UID FETCH 1:* FLAGS"
	for round := range 5 {
		for i, p := range []pipeServer{smail, dovecot} {
			other := []pipeServer{dovecot, smail}[i]
			h.deliver(h.alice, fmt.Sprintf("Subject: round %d of %s\n\nx\n", round, p.name))
			p.session("STORE 1:2 +FLAGS (By"+p.name+" $Forwarded)", fmt.Sprintf("STORE 3 +FLAGS (Round%d \\Flagged)", round), "STORE 2 -FLAGS ($Forwarded)")
			mine, theirs := recentless(p.session(look)), recentless(other.session(look))
			if mine != theirs {
				t.Fatalf("round %d: %s says\n%s%s says\n%s", round, p.name, mine, other.name, theirs)
			}
		}
	}
	got := recentless(smail.session(look))
	if !strings.Contains(got, "Round4") || !strings.Contains(got, "Bysmail") || strings.Count(got, "\n") != 13 {
		t.Errorf("at the end:\n%s", got)
	}
}

// recentless joins responses with items and flags in one order, without
// \Recent, which belongs to whoever looked first.
func recentless(fetched []string) string {
	var b strings.Builder
	for _, line := range fetched {
		number, rest, _ := strings.Cut(line, " FETCH (")
		uid, flags := "", ""
		if i := strings.Index(rest, "UID "); i >= 0 {
			fmt.Sscanf(rest[i:], "UID %s", &uid)
			uid = strings.TrimRight(uid, ")")
		}
		if i := strings.Index(rest, "FLAGS ("); i >= 0 {
			flags, _, _ = strings.Cut(rest[i+len("FLAGS ("):], ")")
		}
		words := slices.DeleteFunc(strings.Fields(flags), func(f string) bool { return f == `\Recent` })
		slices.Sort(words)
		fmt.Fprintf(&b, "%s UID %s: %s\n", number, uid, strings.Join(words, " "))
	}
	return b.String()
}

// TestAlternation: a thousand sessions of smail and Dovecot in turn, while mail
// is delivered and another program renames, change and remove. No UID changes,
// none is given twice, no message is lost, and Dovecot has no complaint.
func TestAlternation(t *testing.T) {
	needRoot(t)
	need(t, "doveadm", "dovecot-imapd")
	h := newHost(t)
	sessions, deliveries := 1000, 400
	if os.Getenv("SMAIL_TEST_ALL") == "" {
		sessions, deliveries = 60, 40
	}
	h.deliver(h.alice, "Subject: s0\n\nx\n")
	smail, dovecot := h.pipeServers()
	stop := make(chan struct{})
	var others sync.WaitGroup
	every := func(pause time.Duration, do func(i int)) {
		others.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(pause):
					do(i)
				}
			}
		})
	}
	every(20*time.Millisecond, func(i int) {
		if i < deliveries {
			h.drop(fmt.Sprintf("s%d", i+1))
		}
	})
	every(7*time.Millisecond, h.mutt)

	subject, uid, expunged := map[string]string{}, map[string]string{}, map[string]bool{}
	for n := range sessions {
		p := []pipeServer{smail, dovecot}[n%2]
		commands := []string{fmt.Sprintf("STORE 1 %sFLAGS (\\Answered Word%d)", []string{"+", "-"}[n/2%2], n%3), "UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (Subject)])"}
		if n%10 >= 8 {
			commands = append(commands, fmt.Sprintf("UID STORE %d +FLAGS.SILENT (\\Deleted)", n/3), "EXPUNGE")
			expunged[fmt.Sprint(n/3)] = true
		}
		for number, name := range p.subjects(commands) {
			if was, ok := subject[number]; ok && was != name {
				t.Fatalf("session %d: %s says that UID %s is %s, and it was %s", n, p.name, number, name, was)
			}
			if was, ok := uid[name]; ok && was != number {
				t.Fatalf("session %d: %s says that %s has UID %s, and it had %s", n, p.name, name, number, was)
			}
			subject[number], uid[name] = name, number
		}
	}
	close(stop)
	others.Wait()
	mine, theirs := smail.subjects([]string{"UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (Subject)])"}), dovecot.subjects([]string{"UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (Subject)])"})
	if !maps.Equal(mine, theirs) {
		t.Errorf("at the end smail says %v, Dovecot %v", mine, theirs)
	}
	for number, name := range subject {
		if _, there := mine[number]; !there && !expunged[number] {
			t.Errorf("UID %s, %s, is gone, and nobody removed it", number, name)
		}
	}
	t.Logf("%d sessions, %d messages seen, %d left", sessions, len(subject), len(mine))
}

// drop delivers a message to alice as an MTA does, from another goroutine.
func (h *host) drop(subject string) {
	name := fmt.Sprintf("%d.M%06dP%d_%s.test", time.Now().Unix(), time.Now().Nanosecond()/1000, os.Getpid(), subject)
	tmp := filepath.Join(h.maildir(h.alice), "tmp", name)
	uid, _ := strconv.Atoi(h.alice.Uid)
	if os.WriteFile(tmp, []byte("Subject: "+subject+"\n\nx\n"), 0o600) != nil || os.Chown(tmp, uid, uid) != nil ||
		os.Rename(tmp, filepath.Join(h.maildir(h.alice), "new", name)) != nil {
		h.t.Errorf("%s was not delivered", subject)
	}
}

// mutt changes the flags of one message, as a program that knows no locks.
func (h *host) mutt(i int) {
	cur := filepath.Join(h.maildir(h.alice), "cur")
	entries, _ := os.ReadDir(cur)
	if len(entries) == 0 {
		return
	}
	name := entries[i%len(entries)].Name()
	key, flags, ok := strings.Cut(name, ":2,")
	if !ok {
		return
	}
	if rest := strings.Replace(flags, "F", "", 1); rest != flags {
		flags = rest
	} else {
		letters := strings.Split(flags+"F", "")
		slices.Sort(letters)
		flags = strings.Join(letters, "")
	}
	os.Rename(filepath.Join(cur, name), filepath.Join(cur, key+":2,"+flags))
}

// subjects runs commands, and returns the subjects by UID.
func (p pipeServer) subjects(commands []string) map[string]string {
	p.h.t.Helper()
	subjects := map[string]string{}
	text := p.run(commands...)
	for _, m := range fetchedSubject.FindAllStringSubmatch(text, -1) {
		subjects[m[1]] = m[2]
	}
	return subjects
}

var fetchedSubject = regexp.MustCompile(`UID (\d+)[^\n]*BODY\[HEADER.FIELDS \([^\n]*\r\nSubject: (\S+)\r\n`)
