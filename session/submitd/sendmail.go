package submitd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/emersion/go-smtp"

	"smail/logline"
)

// sendmailTimeout is how long sendmail may take for a message: as long as a next hop
// may for its last reply.
const sendmailTimeout = 10 * time.Minute

// A sendmail hands over to the MTA's program, which it runs as the user. What
// comes is spooled: a program that has begun to read takes what it got for the
// message, whatever became of the rest.
type sendmail struct {
	*os.File
	path string
	e    *envelope
}

func newSendmail(path string, e *envelope) (*sendmail, error) {
	f, err := newSpool()
	return &sendmail{f, path, e}, err
}

func (s *sendmail) abort() { s.Close() }

// commit runs the program. The message is its standard input; addresses stand
// where they cannot be options.
func (s *sendmail) commit() (string, error) {
	if _, err := s.Seek(0, io.SeekStart); err != nil {
		return "", fmt.Errorf("spool: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), sendmailTimeout)
	defer cancel()
	from := s.e.from
	if from == "" {
		from = "<>"
	}
	args := append([]string{"-i", "-f", from}, dsnArgs(s.path, s.e)...)
	cmd := exec.CommandContext(ctx, s.path, append(append(args, "--"), s.e.addresses()...)...)
	cmd.Stdin = s.File
	var said bytes.Buffer
	cmd.Stdout = &limitedWriter{w: &said, n: 1000}
	cmd.Stderr = cmd.Stdout
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) } // so that it can forget the message
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if err == nil || err == exec.ErrWaitDelay { // it has taken the message, though a child of its own is still there
		return "", nil
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && permanent[exit.ExitCode()] {
		logline.Warn("sendmail refused", "id", s.e.id, "exit", fmt.Sprint(exit.ExitCode()), "said", said.String())
		return "", reply(554, smtp.EnhancedCode{5, 0, 0}, "The mail system refused the message")
	}
	return "", fmt.Errorf("%s: %w: %s", s.path, err, said.String())
}

// permanent are the exit codes of sysexits(3) after which trying again is in vain.
var permanent = map[int]bool{
	64: true, // EX_USAGE
	65: true, // EX_DATAERR
	66: true, // EX_NOINPUT
	67: true, // EX_NOUSER
	68: true, // EX_NOHOST
	69: true, // EX_UNAVAILABLE
	77: true, // EX_NOPERM
}

// dsnArgs asks for delivery status notifications as sendmail and Postfix
// understand it. To Exim -N means to throw the message away.
func dsnArgs(path string, e *envelope) (args []string) {
	if real, err := filepath.EvalSymlinks(path); err == nil && strings.HasPrefix(filepath.Base(real), "exim") {
		return nil
	}
	if when := notifyAll(e.to); len(when) > 0 {
		args = append(args, "-N", strings.ToLower(notify(when)))
	}
	if e.mail.Return != "" {
		args = append(args, "-R", strings.ToLower(string(e.mail.Return)))
	}
	return args
}

// notifyAll returns what all recipients together want to be told of, since the
// program takes one word for all: one notice too many is better than one that
// is missing. Without a wish of its own a recipient has FAILURE and DELAY, RFC 3461
// section 4.1; where none has any there is nothing to say.
func notifyAll(to []recipient) (all []smtp.DSNNotify) {
	wished, never := false, true
	for _, r := range to {
		when := r.options.Notify
		if len(when) == 0 {
			when = []smtp.DSNNotify{smtp.DSNNotifyFailure, smtp.DSNNotifyDelayed}
		} else {
			wished = true
		}
		for _, n := range when {
			if n == smtp.DSNNotifyNever {
				continue
			}
			never = false
			if !slices.Contains(all, n) {
				all = append(all, n)
			}
		}
	}
	switch {
	case !wished:
		return nil
	case never:
		return []smtp.DSNNotify{smtp.DSNNotifyNever}
	}
	return all
}

// notify writes NOTIFY's value: RFC 3461 section 4.1.
func notify(when []smtp.DSNNotify) string {
	var words []string
	for _, n := range when {
		words = append(words, string(n))
	}
	return strings.Join(words, ",")
}

type limitedWriter struct {
	w io.Writer
	n int
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	keep := p[:min(len(p), l.n)]
	l.n -= len(keep)
	l.w.Write(keep)
	return len(p), nil
}
