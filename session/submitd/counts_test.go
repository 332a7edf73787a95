package submitd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"smail/config"
)

// counted returns a session's server with an empty file of counts.
func counted(t *testing.T, limit config.RateLimit) *server {
	t.Helper()
	return &server{Options: Options{Config: &config.Config{RateLimit: limit, RelayMaxMessages: 3}, Counts: countsFile(t), Peer: "192.0.2.7"}}
}

func countsFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "counts"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestRateLimit(t *testing.T) {
	s := counted(t, config.RateLimit{Messages: 3, Recipients: 10})
	for _, c := range []struct {
		recipients int
		want       error
	}{{4, nil}, {7, errRecipients}, {6, nil}, {1, errRecipients}} {
		if err := s.reserve(c.recipients, true); err != c.want {
			t.Errorf("look at %d: %v, want %v", c.recipients, err, c.want)
		}
		if err := s.reserve(c.recipients, false); err != c.want {
			t.Errorf("%d: %v, want %v", c.recipients, err, c.want)
		}
	}
	s.release(6)
	if err := s.reserve(1, false); err != nil {
		t.Errorf("after a message that was not sent: %v", err)
	}
	s.reserve(1, false)
	if err := s.reserve(1, false); err != errMessages {
		t.Errorf("a fourth: %v", err)
	}
	other := &server{Options: s.Options} // another session of the user's
	if err := other.reserve(1, false); err != errMessages {
		t.Errorf("another session: %v", err)
	}
}

// TestLately: as time goes the hour before counts for less, and then no more.
func TestLately(t *testing.T) {
	const text = countsMagic + "hour 5 10 100 30 300\nrecent 192.0.2.7 1s 2\nrubbish\n"
	for at, want := range map[time.Duration]use{
		5 * time.Hour: {40, 400}, 5*time.Hour + 30*time.Minute: {25, 250}, 6 * time.Hour: {10, 100}, 6*time.Hour + 54*time.Minute: {1, 10},
		7 * time.Hour: {0, 0}, 4 * time.Hour: {0, 0},
	} {
		if got := parseCounts(text, at).lately(at); got != want {
			t.Errorf("at %v: %v, want %v", at, got, want)
		}
	}
}

// TestVisits: what an address sends without a login is bounded until somebody
// logs in there again.
func TestVisits(t *testing.T) {
	s := counted(t, config.RateLimit{})
	s.Recent, s.Since = true, time.Minute
	for range 3 {
		if err := s.reserve(1, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.reserve(1, true); err != errVisits {
		t.Errorf("a fourth: %v", err)
	}
	other := &server{Options: s.Options}
	other.Peer = "192.0.2.8"
	if err := other.reserve(1, false); err != nil {
		t.Errorf("another address: %v", err)
	}
	login := &server{Options: s.Options}
	login.Recent = false
	if err := login.reserve(1, false); err != nil {
		t.Errorf("with a login: %v", err)
	}
	if err := s.reserve(1, false); err != errVisits {
		t.Errorf("a fourth, after one with a login: %v", err)
	}
	again := &server{Options: s.Options}
	again.Since = 2 * time.Minute
	if err := again.reserve(1, false); err != nil {
		t.Errorf("after another login: %v", err)
	}
	for range 2 {
		if err := s.reserve(1, false); err != nil { // a session that was there before
			t.Errorf("one of both: %v", err)
		}
	}
	for _, session := range []*server{again, s, again} {
		if err := session.reserve(1, false); err != errVisits {
			t.Errorf("a fourth of both, since %v: %v", session.Since, err)
		}
	}
}

// TestCountsFile: one that is broken counts from nothing, and one that is gone
// or that somebody holds stops sending.
func TestCountsFile(t *testing.T) {
	s := counted(t, config.RateLimit{Messages: 1})
	for _, text := range []string{"", "x", countsMagic, countsMagic + "hour x\n", countsMagic + strings.Repeat("recent 192.0.2.1 1s 1\n", 5000), "\x00\xff"} {
		os.WriteFile(s.Counts.Name(), []byte(text), 0o600)
		if err := s.reserve(1, false); err != nil {
			t.Errorf("%.40q: %v", text, err)
		}
		if err := s.reserve(1, false); err != errMessages {
			t.Errorf("%.40q: then %v", text, err)
		}
		if info, _ := s.Counts.Stat(); info.Size() > maxCountsBytes {
			t.Errorf("%.40q: %d bytes", text, info.Size())
		}
	}
	f, _ := os.Open(s.Counts.Name())
	syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	if err := s.reserve(1, false); err == nil || errors.Is(err, errMessages) {
		t.Errorf("locked: %v", err)
	}
	f.Close()
	s.Counts.Close()
	if err := s.reserve(1, false); err == nil {
		t.Error("without the file")
	}
}

// TestLimitsInSession: the client hears of a limit before it sends the message.
func TestLimitsInSession(t *testing.T) {
	cfg := testConfig(t)
	cfg.RateLimit = config.RateLimit{Messages: 2, Recipients: 3}
	const mail = "MAIL FROM:<me@host.example>\r\n"
	const rcpt = "RCPT TO:<you@there.example>\r\n"
	got := say(t, Options{Config: cfg, Counts: countsFile(t)}, "EHLO x\r\n"+mail+rcpt+rcpt+letter+mail+rcpt+rcpt+letter+mail+"QUIT\r\n")
	var codes []string
	for line := range strings.Lines(got) {
		if f := strings.Fields(line); line[3] == ' ' && f[0] != "220" {
			codes = append(codes, f[0])
		}
	}
	if want := "250 250 250 250 354 250 250 250 452 354 250 452 221"; strings.Join(codes, " ") != want {
		t.Errorf("said %s, want %s", strings.Join(codes, " "), want)
	}
}

func FuzzCounts(f *testing.F) {
	f.Add(countsMagic + "hour 5 10 100 30 300\nrecent 192.0.2.7 1s 2\n")
	f.Fuzz(func(t *testing.T, text string) {
		c := parseCounts(text, 5*time.Hour)
		if u := c.lately(5 * time.Hour); u.messages < 0 || u.recipients < 0 {
			t.Errorf("%q: %v", text, u)
		}
	})
}
