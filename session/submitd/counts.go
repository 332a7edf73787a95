package submitd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/emersion/go-smtp"

	"smail/internal/boottime"
)

// The counts of a user are in a file of root's that the monitor has opened:
//
//	smail-counts 1
//	hour 412 17 40 3 9
//	recent 192.0.2.7 1m3.5s 12
//
// Messages and recipients in this hour since boot and in the one before, of
// which as much counts as lies within the last sixty minutes; and messages that
// an address has sent without a login, by the first login that it goes back to.
// A file that cannot be read has no counts.
const countsMagic = "smail-counts 1\n"

const (
	maxCountsBytes = 16 << 10
	maxVisitors    = 100 // addresses, the last ones
)

type counts struct {
	hour     int64
	now, old use // this hour and the one before
	visitors []visitor
}

type use struct{ messages, recipients int }

type visitor struct {
	addr     string
	since    time.Duration // boot
	messages int
}

var (
	errMessages   = reply(452, smtp.EnhancedCode{4, 7, 1}, "Too many messages within an hour; try again later")
	errRecipients = reply(452, smtp.EnhancedCode{4, 7, 1}, "Too many recipients within an hour; try again later")
	errVisits     = reply(530, smtp.EnhancedCode{5, 7, 0}, "Too many messages without AUTH: log in to send more")
	errRecent     = reply(530, smtp.EnhancedCode{5, 7, 0}, "Log in to send more")
)

// reserve counts a message of so many recipients, or says why it may not be
// sent. dry only looks.
func (s *server) reserve(recipients int, dry bool) error {
	return s.count(use{1, recipients}, dry)
}

// release takes back what was reserved for a message that was not sent.
func (s *server) release(recipients int) {
	s.count(use{-1, -recipients}, false)
}

func (s *server) count(add use, dry bool) error {
	if s.Counts == nil { // nothing is counted in this session
		return nil
	}
	if err := lockSoon(s.Counts); err != nil {
		return err
	}
	defer syscall.Flock(int(s.Counts.Fd()), syscall.LOCK_UN)
	text, err := io.ReadAll(io.NewSectionReader(s.Counts, 0, maxCountsBytes))
	if err != nil {
		return fmt.Errorf("counts: %w", err)
	}
	now := boottime.Now()
	c := parseCounts(string(text), now)
	v := &visitor{}
	if s.Recent {
		v = c.visitor(s.Peer, s.Since)
	}
	if add.messages > 0 {
		if err := s.allow(c, v, add, now); err != nil {
			return err
		}
	}
	if dry {
		return nil
	}
	c.now.messages = max(0, c.now.messages+add.messages)
	c.now.recipients = max(0, c.now.recipients+add.recipients)
	v.messages = max(0, v.messages+add.messages)
	return c.write(s.Counts)
}

// allow compares with the limits.
func (s *server) allow(c *counts, v *visitor, add use, now time.Duration) error {
	limit := s.Config.RateLimit
	used := c.lately(now)
	switch {
	case s.Recent && v.messages+add.messages > s.Config.RelayMaxMessages:
		return errVisits
	case limit.Messages > 0 && used.messages+add.messages > limit.Messages:
		return errMessages
	case limit.Recipients > 0 && used.recipients+add.recipients > limit.Recipients:
		return errRecipients
	}
	return nil
}

// lately is what was sent within the last hour, if the one before was even.
func (c *counts) lately(now time.Duration) use {
	left := time.Hour - now%time.Hour // of the hour before
	share := func(n int) int { return int(int64(n) * int64(left/time.Second) / 3600) }
	return use{c.now.messages + share(c.old.messages), c.now.recipients + share(c.old.recipients)}
}

// visitor returns the counts of an address since a login, which are moved to
// the end. A later login begins anew: the user has been away. A session that goes
// back to an earlier one goes on with what is counted.
func (c *counts) visitor(addr string, since time.Duration) *visitor {
	v := visitor{addr: addr, since: since}
	for i, have := range c.visitors {
		if have.addr == addr {
			if have.since >= since {
				v = have
			}
			c.visitors = append(c.visitors[:i], c.visitors[i+1:]...)
			break
		}
	}
	c.visitors = append(c.visitors, v)
	return &c.visitors[len(c.visitors)-1]
}

func parseCounts(text string, now time.Duration) *counts {
	c := &counts{hour: int64(now / time.Hour)}
	rest, ok := strings.CutPrefix(text, countsMagic)
	if !ok {
		return c
	}
	for line := range strings.Lines(rest) {
		var hour int64
		var a, b use
		var v visitor
		var since string
		if n, _ := fmt.Sscanf(line, "hour %d %d %d %d %d", &hour, &a.messages, &a.recipients, &b.messages, &b.recipients); n == 5 {
			switch c.hour - hour {
			case 0:
				c.now, c.old = a, b
			case 1:
				c.old = a
			}
		} else if n, _ := fmt.Sscanf(line, "recent %s %s %d", &v.addr, &since, &v.messages); n == 3 && len(c.visitors) < maxVisitors {
			if v.since, _ = time.ParseDuration(since); v.messages > 0 {
				c.visitors = append(c.visitors, v)
			}
		}
	}
	for _, n := range []*int{&c.now.messages, &c.now.recipients, &c.old.messages, &c.old.recipients} {
		*n = min(max(*n, 0), 1e9)
	}
	return c
}

// write puts the counts over the old ones.
func (c *counts) write(f *os.File) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%shour %d %d %d %d %d\n", countsMagic, c.hour, c.now.messages, c.now.recipients, c.old.messages, c.old.recipients)
	for _, v := range c.visitors[max(0, len(c.visitors)-maxVisitors):] {
		fmt.Fprintf(&b, "recent %s %s %d\n", v.addr, v.since, v.messages)
	}
	if _, err := f.WriteAt([]byte(b.String()), 0); err != nil {
		return fmt.Errorf("counts: %w", err)
	}
	return f.Truncate(int64(b.Len()))
}

// lockSoon takes the lock, but does not wait for one that somebody keeps.
func lockSoon(f *os.File) error {
	for range 100 {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != syscall.EWOULDBLOCK && err != syscall.EINTR {
			return os.NewSyscallError("flock", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return errors.New("counts: locked by another process")
}
