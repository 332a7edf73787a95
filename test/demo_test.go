package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMakeRun does what README says: `make run`, the three commands that it
// prints, and Ctrl-C, which must leave nothing behind.
func TestMakeRun(t *testing.T) {
	need(t, "curl", "curl")
	dir, err := os.MkdirTemp("", "smail-demo-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	os.Chmod(dir, 0o755)
	if err := os.Symlink(bin, filepath.Join(dir, "bin")); err != nil {
		t.Fatal(err)
	}
	demo := os.Getenv("SMAIL_TEST_DEMO") // built by root for an ordinary user
	if demo == "" {
		demo = filepath.Join(dir, "demo")
		run(t, "go", "build", "-o", demo, "smail/internal/demo")
	}
	out := newLog(t)
	cmd := exec.Command(demo)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out.in, out.in
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	text := waitText(t, out, "Ctrl-C ends it.")
	commands := regexp.MustCompile(`(?m)^  ((curl|printf) .*)$`).FindAllStringSubmatch(text, -1)
	if len(commands) != 3 {
		t.Fatalf("%d commands to paste in\n%s", len(commands), text)
	}
	for i, want := range []string{"Subject: Welcome to smail", "20 ", ""} {
		sh := exec.Command("sh", "-c", commands[i][1])
		sh.Dir = dir
		got, err := sh.CombinedOutput()
		if err != nil || !strings.Contains(string(got), want) {
			t.Errorf("%s: %v\n%s", commands[i][1], err, got)
		}
	}
	for _, box := range []string{"Maildir", "outbox"} {
		if files, _ := filepath.Glob(filepath.Join(dir, "run", box, "new/*")); len(files) != 1 {
			t.Errorf("%s has %d new messages, want the one that was sent", box, len(files))
		}
	}
	children := run(t, "pgrep", "-P", strconv.Itoa(cmd.Process.Pid))
	syscall.Kill(cmd.Process.Pid, syscall.SIGINT)
	if err := cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v\n%s", err, out)
	}
	for pid := range strings.FieldsSeq(children) {
		if syscall.Kill(atoi(t, pid), 0) == nil {
			t.Errorf("process %s is left", pid)
		}
	}
}

func waitText(t *testing.T, out *logBuffer, want string) string {
	t.Helper()
	for range 300 {
		if s := out.String(); strings.Contains(s, want) {
			return s
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("no %q in\n%s", want, out)
	return ""
}
