package test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSpare: the listener keeps one pair of processes ready; it may die, and it
// goes when the listener goes.
func TestSpare(t *testing.T) {
	needRoot(t)
	h := newHost(t)
	h.serve("imaps")
	h.login()
	spare := func() (pid int) {
		t.Helper()
		for range 100 {
			for _, p := range h.below() {
				if p.comm == "smaild" && h.waits(p.pid) {
					return atoi(t, p.pid)
				}
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Fatal("no spare waits")
		return 0
	}
	first := spare()
	syscall.Kill(first, syscall.SIGKILL)
	for range 200 { // until its last thread has let go of the descriptors
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", first))
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", first))
		if len(tasks) <= 1 && (len(status) == 0 || strings.Contains(string(status), "Z (zombie)")) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	h.login()
	if spare() == first {
		t.Error("the dead one still waits")
	}

	last := spare()
	d := h.login()
	syscall.Kill(atoi(t, h.listener()), syscall.SIGTERM)
	for range 100 {
		if syscall.Kill(last, 0) != nil || !h.waits(strconv.Itoa(last)) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	d.until("b NOOP", "b OK")
	if pids := slices.DeleteFunc(h.below(), func(p process) bool { return !h.waits(p.pid) }); len(pids) > 0 {
		t.Errorf("still waits without a listener: %v", pids)
	}
}

// TestSpareHeedsPAM: what changes below PAM's folder after the spare has loaded it
// counts for the next login.
func TestSpareHeedsPAM(t *testing.T) {
	needRoot(t)
	h := newHost(t)
	if err := h.PAM("auth include "+filepath.Join(h.Dir, "pam", "inner"), "account required pam_permit.so", "session required pam_permit.so"); err != nil {
		t.Fatal(err)
	}
	inner := filepath.Join(h.Dir, "pam", "inner")
	for i, module := range []string{"pam_permit.so", "pam_deny.so", "pam_permit.so"} {
		if err := os.WriteFile(inner, []byte("auth required "+module+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			h.serve("imaps")
			h.login().until("z LOGOUT", "z OK")
		}
		d := h.dial("imaps")
		want := map[bool]string{true: "a OK", false: "a NO"}[module == "pam_permit.so"]
		if said := d.until("a LOGIN "+h.alice.Username+" x", "a "); !strings.Contains(said, want) {
			t.Errorf("%s: %s", module, said)
		}
		d.Close()
		pid := ""
		for range 100 { // the next one has loaded what is to change
			for _, p := range h.below() {
				if maps, _ := os.ReadFile("/proc/" + p.pid + "/maps"); p.comm == "smaild" && strings.Contains(string(maps), module) {
					pid = p.pid
				}
			}
			if pid != "" {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if pid == "" {
			t.Errorf("no spare has loaded %s", module)
		}
	}
}
