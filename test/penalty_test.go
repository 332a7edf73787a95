package test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestPasswordsAtOnce: 60 clients of one network and one of another ask at once;
// no more passwords are checked at a time than there are cores, and the one does
// not wait for the sixty.
func TestPasswordsAtOnce(t *testing.T) {
	needRoot(t)
	h := newHost(t, "penalty_exempt_networks", "none", "max_startups_per_network", "100", "max_connections_per_address", "100")
	said := filepath.Join(h.Dir, "said")
	script := h.write("check", "#!/bin/sh\necho + $PAM_RHOST >>'"+said+"'\nsleep 0.1\necho - $PAM_RHOST >>'"+said+"'\n")
	os.Chmod(script, 0o755)
	if err := h.PAM("auth required pam_exec.so quiet "+script, "auth required pam_permit.so", "account required pam_permit.so", "session required pam_permit.so"); err != nil {
		t.Fatal(err)
	}
	h.serve("imaps")
	var wg sync.WaitGroup
	var mu sync.Mutex
	failed := 0
	for range 60 {
		wg.Go(func() {
			if err := h.loginFrom("127.3.0.1"); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed++
				t.Log(err)
			}
		})
	}
	time.Sleep(time.Second)
	if err := h.loginFrom("127.3.0.2"); err != nil {
		t.Error(err)
	}
	before := strings.Count(readFile(t, said), "+ 127.3.0.1\n")
	wg.Wait()
	now, most := 0, 0
	for line := range strings.Lines(readFile(t, said)) {
		if line[0] == '+' {
			now++
		} else {
			now--
		}
		most = max(most, now)
	}
	if most > runtime.NumCPU() || failed > 5 {
		t.Errorf("%d at once; %d failed", most, failed)
	}
	if before > 45 {
		t.Errorf("the other network's turn came after %d of the sixty", before)
	}
}

// TestPenalty: who guesses waits, elsewhere nobody does, and the owner of the name
// logs in where he did before without waiting.
func TestPenalty(t *testing.T) {
	needRoot(t)
	h := newHost(t, "penalty_exempt_networks", "none", "login_timeout", "120s")
	h.serve("imaps")
	took := func(source, password string) time.Duration {
		t.Helper()
		h.password = password
		start := time.Now()
		if err := h.loginFrom(source); (err == nil) != (password == testPassword) {
			t.Errorf("%s with %q: %v", source, password, err)
		}
		return time.Since(start)
	}
	took("127.4.0.1", testPassword) // alice is known there now
	for i := range 4 {
		took("127.4.0.1", fmt.Sprint("guess", i))
	}
	for range 3 {
		took("127.4.0.2", "old") // a phone that has not heard
	}
	if guess, phone := took("127.4.0.3", "guess0"), took("127.4.0.2", "old"); guess > 7*time.Second || phone > 7*time.Second {
		t.Errorf("another address waits %v, one with an old password %v", guess, phone)
	}
	if owner := took("127.4.0.1", testPassword); owner > 2*time.Second {
		t.Errorf("the owner waits %v", owner)
	}
	h.alice = h.bob
	if other := took("127.4.0.1", "guess"); other < 4*time.Second {
		t.Errorf("another name from where the guesses came waits only %v", other)
	}
	if strings.Contains(h.log.String(), "guess") {
		t.Error("a password is in the log")
	}
	for _, name := range []string{"penalties", "sessions"} {
		if text := readFile(t, filepath.Join(h.Dir, "sessions", name)); strings.Contains(text, "guess") || strings.Contains(text, testPassword) {
			t.Errorf("a password is in %s", name)
		}
	}
}
