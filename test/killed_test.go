package test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// killRounds is 10,000 in full, and less as a part of all tests.
func killRounds() int {
	if n, err := strconv.Atoi(os.Getenv("SMAIL_KILLTEST")); err == nil {
		return n
	}
	return 200
}

// A mailbox is what the server has said that it holds.
type knownMailbox struct {
	validity string
	subjects map[int]string // by UID
	flagged  map[int]bool
	last     int // UID
	n        int // of subjects
	maybe    maybe
}

// maybe is the change that was asked for and not answered.
type maybe struct {
	added   string
	removed int
}

// TestKilledAtRandom: smaild, the front or the session is killed in the middle of
// work, again and again. What was answered holds, no UID is used twice, and nothing
// is left over.
func TestKilledAtRandom(t *testing.T) {
	needRoot(t)
	h := newHost(t)
	if err := h.PAM("auth required pam_permit.so", "account required pam_permit.so", "session required pam_permit.so"); err != nil {
		t.Fatal(err)
	}
	h.serve("imaps")
	h.login().until("z LOGOUT", "z OK")
	time.Sleep(200 * time.Millisecond)
	before := len(h.below())
	m := &knownMailbox{subjects: map[int]string{}, flagged: map[int]bool{}}
	killed := map[string]int{}
	for round := range killRounds() {
		program := []string{"smaild", "smail-front", "smail-imap"}[rand.IntN(3)]
		after := time.Duration(rand.IntN(60)) * time.Millisecond
		if program == "smaild" { // before the login
			after = time.Duration(rand.IntN(15)) * time.Millisecond
		}
		done := make(chan bool)
		go func() {
			h.work(m)
			close(done)
		}()
		time.Sleep(after)
		for _, pid := range h.running(program) {
			syscall.Kill(pid, syscall.SIGKILL)
			killed[program]++
		}
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Fatalf("round %d: the connection goes on after %s was killed: %v", round, program, h.below())
		}
		// A session whose front was killed finishes the command in hand.
		for end := time.Now().Add(20 * time.Second); len(h.running("smail-imap")) > 0; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("round %d: the session goes on after %s was killed", round, program)
			}
		}
		h.verify(m, round)
		if t.Failed() {
			return
		}
	}
	t.Logf("killed %v; %d messages in the end, the last UID %d", killed, len(m.subjects), m.last)
	for program, n := range killed {
		if n < killRounds()/10 {
			t.Errorf("%s was killed only %d times", program, n)
		}
	}
	time.Sleep(3 * time.Second)
	if n := len(h.below()); n > before {
		t.Errorf("%d processes, %d before: %v", n, before, h.below())
	}
}

// running returns the pids of a program that the listener's connections have.
func (h *host) running(program string) (pids []int) {
	children := func(pid string) []string {
		text, _ := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
		return strings.Fields(string(text))
	}
	for _, child := range children(h.listener()) {
		for _, pid := range append(children(child), child) {
			if comm, _ := os.ReadFile("/proc/" + pid + "/comm"); strings.TrimSpace(string(comm)) == program {
				pids = append(pids, atoi(h.t, pid))
			}
		}
	}
	return pids
}

// open logs in and selects INBOX; it returns nil when that is cut short.
func (h *host) open() (conn net.Conn, command func(line string) (string, bool)) {
	raw, err := net.Dial("tcp", h.addr["imaps"])
	if err != nil {
		return nil, nil
	}
	raw.SetDeadline(time.Now().Add(15 * time.Second))
	conn = tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	r := bufio.NewReader(conn)
	command = func(line string) (string, bool) {
		if _, err := fmt.Fprintf(conn, "a %s\r\n", line); err != nil {
			return "", false
		}
		var all strings.Builder
		for {
			l, err := r.ReadString('\n')
			if err != nil {
				return "", false
			}
			all.WriteString(l)
			if strings.HasPrefix(l, "a ") {
				return all.String(), strings.HasPrefix(l, "a OK")
			}
		}
	}
	if _, ok := command("LOGIN " + h.alice.Username + " x"); ok {
		if _, ok = command("SELECT INBOX"); ok {
			return conn, command
		}
	}
	raw.Close()
	return nil, nil
}

var appendUID = regexp.MustCompile(`APPENDUID (\d+) (\d+)`)

// work changes the mailbox until the connection ends.
func (h *host) work(m *knownMailbox) {
	m.maybe = maybe{}
	conn, command := h.open()
	if conn == nil {
		return
	}
	defer conn.Close()
	for range 100 {
		var some int
		for some = range m.subjects {
			break
		}
		switch {
		case len(m.subjects) < 20 || rand.IntN(3) == 0:
			m.n++
			subject := fmt.Sprint("message ", m.n)
			text := "Subject: " + subject + "\r\n\r\nx\r\n"
			m.maybe = maybe{added: subject}
			said, ok := command(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(text), text))
			if !ok {
				return
			}
			uid, _ := strconv.Atoi(appendUID.FindStringSubmatch(said)[2])
			m.add(uid, subject)
		case rand.IntN(2) == 0:
			if _, ok := command(fmt.Sprintf("UID STORE %d +FLAGS.SILENT (\\Flagged)", some)); !ok {
				return
			}
			m.flagged[some] = true
		default:
			m.maybe = maybe{removed: some}
			if _, ok := command(fmt.Sprintf("UID STORE %d +FLAGS.SILENT (\\Deleted)", some)); !ok {
				return
			}
			if _, ok := command(fmt.Sprintf("UID EXPUNGE %d", some)); !ok {
				return
			}
			delete(m.subjects, some)
			delete(m.flagged, some)
		}
		m.maybe = maybe{}
	}
}

func (m *knownMailbox) add(uid int, subject string) {
	m.subjects[uid] = subject
	m.last = max(m.last, uid)
}

var (
	validityOf = regexp.MustCompile(`UIDVALIDITY (\d+)`)
	messageOf  = regexp.MustCompile(`(?s)UID (\d+) FLAGS \(([^)]*)\) BODY\[HEADER\.FIELDS \(SUBJECT\)\] \{\d+\}\r\nSubject: (message \d+)\r\n`)
)

// verify compares the mailbox with what is known of it.
func (h *host) verify(m *knownMailbox, round int) {
	h.t.Helper()
	conn, command := h.open()
	if conn == nil { // it was given to a spare that was just dying
		conn, command = h.open()
	}
	if conn == nil {
		h.t.Errorf("round %d: no login", round)
		return
	}
	defer conn.Close()
	status, _ := command("STATUS INBOX (UIDVALIDITY)")
	v := validityOf.FindStringSubmatch(status)
	text, ok := command("UID FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
	if !ok || v == nil || m.validity != "" && v[1] != m.validity {
		h.t.Errorf("round %d: UIDVALIDITY was %s: %s %s", round, m.validity, status, text)
		return
	}
	m.validity = v[1]
	found := map[int]bool{}
	for _, f := range messageOf.FindAllStringSubmatch(text, -1) {
		uid, _ := strconv.Atoi(f[1])
		found[uid] = true
		switch subject := m.subjects[uid]; {
		case subject == "" && f[3] == m.maybe.added && uid > m.last:
			m.add(uid, f[3]) // it was there, and not told
		case subject != f[3]:
			h.t.Errorf("round %d: UID %d is %q, not %q; the last is %d", round, uid, f[3], subject, m.last)
		case m.flagged[uid] && !strings.Contains(f[2], `\Flagged`):
			h.t.Errorf("round %d: UID %d has lost its flag: %s", round, uid, f[2])
		}
	}
	for uid, subject := range m.subjects {
		if found[uid] {
			continue
		}
		if uid != m.maybe.removed {
			h.t.Errorf("round %d: %q, UID %d, is lost", round, subject, uid)
		}
		delete(m.subjects, uid)
		delete(m.flagged, uid)
	}
}
