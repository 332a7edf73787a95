package test

import (
	"fmt"
	"os"
	"os/user"
	"strings"
	"sync"
	"testing"
	"time"
)

// manySessions is 2,000 on 50 accounts in full, and less as a part of all tests.
func manySessions() (sessions, accounts int) {
	if os.Getenv("SMAIL_FLOODTEST") == "1" {
		return 2000, 50
	}
	return 120, 4
}

// TestManyIdle: so many sessions in IDLE have at most 2 MiB of private memory each,
// over all processes, hear of new mail and still answer.
func TestManyIdle(t *testing.T) {
	needRoot(t)
	sessions, accounts := manySessions()
	h := newHost(t, "max_connections", "10000", "max_connections_per_address", "10000")
	if err := h.PAM("auth required pam_permit.so", "account required pam_permit.so", "session required pam_permit.so"); err != nil {
		t.Fatal(err)
	}
	var users []*user.User
	for i := range accounts {
		users = append(users, h.newAccount(fmt.Sprintf("smailtest%d", i)))
		h.deliver(users[i], "Subject: x\n\nx\n")
	}
	h.serve("imaps")
	open := make([]*dialogue, sessions)
	for i := range open {
		d := h.dial("imaps")
		d.until("a LOGIN "+users[i%accounts].Username+" x", "a OK")
		d.until("b SELECT INBOX", "b OK")
		d.send("c IDLE\r\n")
		d.line()
		d.SetDeadline(time.Now().Add(10 * time.Minute))
		open[i] = d
	}
	time.Sleep(2 * time.Second)
	kB := privateKB(h.listener())
	for _, p := range h.below() {
		kB += privateKB(p.pid)
	}
	t.Logf("%d sessions of %d accounts: %d kB each", sessions, accounts, kB/sessions)
	if kB/sessions > 2048 || kB/sessions < 500 {
		t.Errorf("%d kB each", kB/sessions)
	}
	for _, u := range users {
		h.deliver(u, "Subject: new\n\nx\n")
	}
	var wg sync.WaitGroup
	for i, d := range open {
		wg.Go(func() {
			for {
				line, err := d.r.ReadString('\n')
				if err != nil {
					t.Errorf("session %d: %v", i, err)
					return
				}
				if strings.HasPrefix(line, "* 2 EXISTS") {
					break
				}
			}
			fmt.Fprint(d, "DONE\r\nd NOOP\r\n")
			for {
				line, err := d.r.ReadString('\n')
				if err != nil {
					t.Errorf("session %d: %v", i, err)
					return
				}
				if strings.HasPrefix(line, "d OK") {
					return
				}
			}
		})
	}
	wg.Wait()
}
