package test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// soakTime is an hour in full (SMAIL_SOAKTEST=1h), and less as a part of all tests.
func soakTime(t *testing.T) time.Duration {
	text := os.Getenv("SMAIL_SOAKTEST")
	if text == "" {
		return 20 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A footprint is what a process takes.
type footprint struct{ descriptors, threads, kB int }

func footprintOf(t *testing.T, pid string) footprint {
	t.Helper()
	count := func(dir string) int {
		entries, err := os.ReadDir("/proc/" + pid + "/" + dir)
		if err != nil {
			t.Error(err)
		}
		return len(entries)
	}
	return footprint{count("fd"), count("task"), privateKB(pid)}
}

// TestSoak: under mixed load, of sessions that stay and sessions that come and go,
// descriptors, threads, processes and memory stay level, and nothing fails.
func TestSoak(t *testing.T) {
	needRoot(t)
	h := newHost(t)
	if err := h.PAM("auth required pam_permit.so", "account required pam_permit.so", "session required pam_permit.so"); err != nil {
		t.Fatal(err)
	}
	h.serve("imaps", "pop3s", "submissions")
	end := time.Now().Add(soakTime(t))
	var wg sync.WaitGroup
	var stay []*dialogue
	for range 4 {
		d := h.login()
		d.SetDeadline(end.Add(time.Minute))
		stay = append(stay, d)
	}
	for i, d := range stay {
		wg.Go(func() { d.soak(i, end) })
	}
	wg.Go(func() {
		for time.Now().Before(end) {
			h.comeAndGo()
		}
	})
	time.Sleep(time.Until(end) / 3) // until all has been used once
	before := h.footprints()
	wg.Wait()
	after := h.footprints()
	t.Logf("listeners and sessions that stay: %v, then %v", before, after)
	if len(before) < 3+2*4 {
		t.Errorf("only %d processes were looked at", len(before))
	}
	for pid, b := range before {
		a := after[pid]
		if a.descriptors > b.descriptors+3 || a.threads > b.threads+4 || a.kB > b.kB*3/2+1024 {
			t.Errorf("process %s has grown from %v to %v", pid, b, a)
		}
	}
	time.Sleep(time.Second)
	if n := len(h.below()); n > 2*(len(stay)+3) { // and a spare of each listener
		t.Errorf("%d processes are left: %v", n, h.below())
	}
	for line := range strings.Lines(h.log.String()) {
		for _, bad := range []string{"panic", "session ends", "smaild ends", "SERVERBUG", "without a word"} {
			if strings.Contains(line, bad) {
				t.Error(line)
			}
		}
	}
}

// footprints returns those of the listener and of the sessions that stay.
func (h *host) footprints() map[string]footprint {
	h.t.Helper()
	found := map[string]footprint{}
	for line := range strings.Lines(run(h.t, "ps", "-eo", "pid=,etimes=,comm=,args=")) {
		f := strings.Fields(line)
		ours := strings.Contains(line, h.Dir) || f[2] == "smail-front"
		if len(f) > 3 && ours && strings.HasPrefix(f[2], "smai") && !strings.Contains(line, "-spare") && atoi(h.t, f[1]) >= int(soakTime(h.t).Seconds())/4 {
			found[f[0]] = footprintOf(h.t, f[0])
		}
	}
	return found
}

// soak does what clients do, until the end.
func (d *dialogue) soak(i int, end time.Time) {
	n := 0
	do := func(format string, args ...any) {
		n++
		tag := fmt.Sprintf("s%d", n)
		fmt.Fprintf(d, tag+" "+format+"\r\n", args...)
		for {
			line, err := d.r.ReadString('\n')
			if err != nil || strings.HasPrefix(line, tag+" BAD") || strings.HasPrefix(line, tag+" NO") {
				d.t.Errorf("session %d: %s: %q, %v", i, fmt.Sprintf(format, args...), line, err)
				panic("ended")
			}
			if strings.HasPrefix(line, tag+" OK") {
				return
			}
		}
	}
	defer func() { recover() }()
	folder := fmt.Sprint("soak", i)
	do("CREATE %s", folder)
	for round := 0; time.Now().Before(end); round++ {
		do("SELECT %s", folder)
		for range 20 {
			text := "Subject: soak\r\n\r\n" + strings.Repeat("x", rand.IntN(20000)) + "\r\n"
			do("APPEND %s {%d+}\r\n%s", folder, len(text), text)
		}
		do("FETCH 1:* (FLAGS ENVELOPE BODY.PEEK[])")
		do("STORE 1:10 +FLAGS (\\Seen \\Flagged)")
		do("SEARCH TEXT soak")
		do("SORT (SUBJECT) UTF-8 ALL")
		do("COPY 1:5 %s", folder)
		do("STATUS INBOX (MESSAGES UNSEEN)")
		do("LIST \"\" *")
		do("STORE 1:* +FLAGS.SILENT (\\Deleted)")
		do("EXPUNGE")
		do("UNSELECT")
	}
}

// comeAndGo is a POP3 session, and a message sent.
func (h *host) comeAndGo() {
	p := h.dial("pop3s")
	p.expect("USER "+h.alice.Username, "+OK")
	p.expect("PASS x", "+OK")
	p.until("UIDL", ".")
	p.expect("QUIT", "+OK")
	p.Close()
	s := h.smtpLogin()
	s.expect("MAIL FROM:<"+h.alice.Username+"@localhost>", "250")
	s.expect("RCPT TO:<x@example.org>", "250")
	s.expect("DATA", "354")
	s.expect("Subject: soak\r\n\r\nx\r\n.", "250")
	s.expect("QUIT", "221")
	s.Close()
}
