package test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
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

// TestConverge: sessions that change one folder at random, beside deliveries
// and another program's renames, hear of everything: no number ever means
// another message than the client believes, and in the end all see the same.
func TestConverge(t *testing.T) {
	needRoot(t)
	for _, n := range []int{2, 8} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			h := newHost(t)
			for i := range 50 {
				h.deliver(h.alice, fmt.Sprintf("Subject: first %d\n\ntext %d\n", i, i))
			}
			length := 10 * time.Second
			if os.Getenv("SMAIL_CRASHTEST") != "" {
				length = time.Minute
			}
			until := time.Now().Add(length)
			clients := make([]*viewer, n)
			for i := range clients {
				clients[i] = h.newViewer(fmt.Sprintf("client %d", i), i%3 == 0)
			}
			clients[0].command("CREATE Other")
			var wg sync.WaitGroup
			for _, c := range clients {
				wg.Go(func() { c.work(until) })
			}
			wg.Go(func() { h.meddle(until) })
			wg.Wait()
			var views []string
			clients = append(clients, h.newViewer("a new one", false))
			for _, c := range clients {
				c.command("NOOP")
				c.command("UID FETCH 1:* (FLAGS)")
				views = append(views, c.view())
			}
			last := len(views) - 1
			for i, v := range views {
				if v != views[last] {
					t.Errorf("%s differs from %s:\n%s", clients[i].name, clients[last].name, lineDiff(v, views[last]))
				}
			}
			commands := 0
			for _, c := range clients {
				commands += c.tag
				c.command("LOGOUT")
			}
			t.Logf("%d commands, %d messages in the end", commands, len(clients[0].uids))
		})
	}
}

// meddle delivers messages and renames and removes others, as an MTA and mutt do.
func (h *host) meddle(until time.Time) {
	dir := h.maildir(h.alice)
	for i := 0; time.Now().Before(until); i++ {
		name := fmt.Sprintf("%d.M%dP1.mta", time.Now().Unix(), i)
		tmp := filepath.Join(dir, "tmp", name)
		if err := os.WriteFile(tmp, fmt.Appendf(nil, "Subject: delivered %d\n\ntext\n", i), 0o600); err != nil {
			h.t.Error(err)
		}
		h.own(tmp, h.alice)
		os.Rename(tmp, filepath.Join(dir, "new", name))
		files, _ := filepath.Glob(filepath.Join(dir, "cur", "*"))
		if len(files) > 0 {
			f := files[rand.IntN(len(files))]
			base, flags, _ := strings.Cut(f, ":2,")
			switch i % 4 {
			case 0:
				os.Remove(f)
			default:
				os.Rename(f, base+":2,"+toggle(flags, "R"))
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// toggle takes a letter out of a file's flags, or puts it in where it belongs.
func toggle(flags, letter string) string {
	if strings.Contains(flags, letter) {
		return strings.ReplaceAll(flags, letter, "")
	}
	all := strings.Split(flags+letter, "")
	slices.Sort(all)
	return strings.Join(all, "")
}

// A viewer is a client that believes what it is told.
type viewer struct {
	t       *testing.T
	name    string
	qresync bool
	cmd     *exec.Cmd
	w       io.Writer
	r       *bufio.Reader
	tag     int
	uids    []uint32          // by number; 0: not known yet
	flags   map[uint32]string // by UID
}

func (h *host) newViewer(name string, qresync bool) *viewer {
	h.t.Helper()
	cmd := exec.Command("setpriv", "--reuid", h.alice.Uid, "--regid", h.alice.Gid, "--clear-groups", "env", "-i",
		"HOME="+h.alice.HomeDir, "USER="+h.alice.Username, filepath.Join(bin, "smail-imap"), "-config", "/nonexistent/smail.conf")
	in, err := cmd.StdinPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { in.Close(); cmd.Wait() })
	c := &viewer{t: h.t, name: name, qresync: qresync, cmd: cmd, w: in, r: bufio.NewReader(out), flags: map[uint32]string{}}
	c.r.ReadString('\n')
	if qresync {
		c.command("ENABLE QRESYNC")
	}
	c.command("SELECT INBOX")
	return c
}

// command sends a command, believes what comes back, and wants OK.
func (c *viewer) command(text string) (lines []string) {
	c.tag++
	tag := fmt.Sprintf("t%d", c.tag)
	fmt.Fprintf(c.w, "%s %s\r\n", tag, text)
	before := len(c.uids)
	byNumber := !strings.HasPrefix(text, "UID ") && regexp.MustCompile(`^(FETCH|STORE|SEARCH|COPY) `).MatchString(text)
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Errorf("%s: %s: %v", c.name, text, err)
			return nil
		}
		line = strings.TrimRight(line, "\r\n")
		lines = append(lines, line)
		if rest, ok := strings.CutPrefix(line, tag+" "); ok {
			if !strings.HasPrefix(rest, "OK") {
				c.t.Errorf("%s: %s: %s", c.name, text, line)
			}
			if byNumber && len(c.uids) < before {
				c.t.Errorf("%s: %s: messages went meanwhile", c.name, text)
			}
			return lines
		}
		c.believe(text, line)
	}
}

var (
	fetchOf = regexp.MustCompile(`^\* (\d+) FETCH \((.*)\)$`)
	uidItem = regexp.MustCompile(`UID (\d+)`)
	flagged = regexp.MustCompile(`FLAGS \(([^)]*)\)`)
	counted = regexp.MustCompile(`^\* (\d+) (EXISTS|EXPUNGE)$`)
	went    = regexp.MustCompile(`^\* VANISHED ([0-9:,]+)$`)
)

func (c *viewer) believe(text, line string) {
	if m := fetchOf.FindStringSubmatch(line); m != nil {
		c.believeFetch(text, m[1], m[2])
	} else if m := counted.FindStringSubmatch(line); m != nil {
		n, _ := strconv.Atoi(m[1])
		switch {
		case m[2] == "EXISTS" && n < len(c.uids), m[2] == "EXPUNGE" && (n < 1 || n > len(c.uids)):
			c.t.Errorf("%s: %s: %s with %d messages", c.name, text, line, len(c.uids))
		case m[2] == "EXISTS":
			c.uids = append(c.uids, make([]uint32, n-len(c.uids))...)
		default:
			delete(c.flags, c.uids[n-1])
			c.uids = slices.Delete(c.uids, n-1, n)
		}
	} else if m := went.FindStringSubmatch(line); m != nil {
		for _, r := range strings.Split(m[1], ",") {
			first, last, ok := strings.Cut(r, ":")
			a, _ := strconv.Atoi(first)
			b := a
			if ok {
				b, _ = strconv.Atoi(last)
			}
			for uid := a; uid <= b; uid++ {
				i := slices.Index(c.uids, uint32(uid))
				if z := slices.Index(c.uids, 0); i < 0 && z >= 0 {
					// It came and went before its UID was asked for: which of
					// the unknown ones it was cannot be told.
					clear(c.uids[z:])
					i = z
				}
				if i < 0 {
					c.t.Errorf("%s: %s: %s, which is not known", c.name, text, line)
					continue
				}
				c.uids = slices.Delete(c.uids, i, i+1)
				delete(c.flags, uint32(uid))
			}
		}
	} else if !strings.HasPrefix(line, "* ") || strings.HasPrefix(line, "* BYE") && text != "LOGOUT" || strings.HasPrefix(line, "* BAD") {
		c.t.Errorf("%s: %s: %s", c.name, text, line)
	}
}

func (c *viewer) believeFetch(text, number, items string) {
	n, _ := strconv.Atoi(number)
	if n < 1 || n > len(c.uids) {
		c.t.Errorf("%s: %s: FETCH of number %d of %d", c.name, text, n, len(c.uids))
		return
	}
	if m := uidItem.FindStringSubmatch(items); m != nil {
		uid, _ := strconv.ParseUint(m[1], 10, 32)
		if c.uids[n-1] != 0 && c.uids[n-1] != uint32(uid) {
			c.t.Errorf("%s: %s: number %d is %d, was %d", c.name, text, n, uid, c.uids[n-1])
		}
		if n > 1 && uint32(uid) <= c.uids[n-2] {
			c.t.Errorf("%s: %s: number %d is %d, behind %d", c.name, text, n, uid, c.uids[n-2])
		}
		c.uids[n-1] = uint32(uid)
	}
	if m := flagged.FindStringSubmatch(items); m != nil && c.uids[n-1] != 0 {
		words := slices.DeleteFunc(strings.Fields(m[1]), func(f string) bool { return f == `\Recent` })
		slices.Sort(words)
		c.flags[c.uids[n-1]] = strings.Join(words, " ")
	}
}

// view is what the client believes: a line for each message, and for each whose
// flags it knows without a number.
func (c *viewer) view() string {
	var b strings.Builder
	fmt.Fprintln(&b, len(c.uids), "messages")
	for _, uid := range c.uids {
		fmt.Fprintln(&b, uid, c.flags[uid])
	}
	for _, uid := range slices.Sorted(maps.Keys(c.flags)) {
		if !slices.Contains(c.uids, uid) {
			fmt.Fprintln(&b, "without a number:", uid, c.flags[uid])
		}
	}
	return b.String()
}

// lineDiff is the lines that only a has, after "-", and only b, after "+".
func lineDiff(a, b string) string {
	var out strings.Builder
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for _, l := range as {
		if !slices.Contains(bs, l) {
			fmt.Fprintf(&out, "- %s\n", l)
		}
	}
	for _, l := range bs {
		if !slices.Contains(as, l) {
			fmt.Fprintf(&out, "+ %s\n", l)
		}
	}
	return out.String()
}

// work sends commands at random.
func (c *viewer) work(until time.Time) {
	c.command("FETCH 1:* (UID FLAGS)")
	for time.Now().Before(until) && !c.t.Failed() {
		if len(c.uids) == 0 || rand.IntN(12) == 0 {
			c.command("APPEND INBOX (\\Seen) {20+}\r\nSubject: by session\n")
			c.command("NOOP")
			c.command("UID FETCH 1:* (FLAGS)")
			continue
		}
		n := 1 + rand.IntN(len(c.uids))
		m := min(n+rand.IntN(4), len(c.uids))
		flag := []string{`\Flagged`, `\Draft`, `\Deleted`, "$Work", `\Seen`}[rand.IntN(5)]
		switch rand.IntN(10) {
		case 0, 1:
			c.command(fmt.Sprintf("STORE %d:%d +FLAGS (%s)", n, m, flag))
		case 2:
			c.command(fmt.Sprintf("UID STORE %d -FLAGS.SILENT (%s)", c.uids[n-1]+1, flag))
			c.command("UID FETCH 1:* (FLAGS)")
		case 3:
			c.command(fmt.Sprintf("COPY %d:%d Other", n, m))
		case 4:
			if len(c.uids) > 30 {
				c.command(fmt.Sprintf("MOVE %d Other", n))
			}
		case 5:
			c.command("EXPUNGE")
		case 6:
			c.command(fmt.Sprintf("SEARCH OR %s SUBJECT first", strings.ToUpper(strings.Trim([]string{"SEEN", "DELETED", "FLAGGED"}[rand.IntN(3)], `\`))))
		case 7:
			c.command(fmt.Sprintf("FETCH %d:%d (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)", n, m))
		case 8:
			c.command(fmt.Sprintf("UID COPY %d INBOX", max(c.uids[n-1], 1)))
		case 9:
			c.command("NOOP")
			c.command("FETCH 1:* (UID FLAGS)")
		}
	}
}
