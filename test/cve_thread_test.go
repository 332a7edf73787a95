package test

import (
	"fmt"
	"hash/crc32"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"smail/message"
)

// TestCVEAlgorithms: THREAD, SEARCH and LIST that took others more time than what
// was asked is long.
func TestCVEAlgorithms(t *testing.T) {
	h := cveHost(t, []string{"imaps"})
	replay(t, h, parallel([]cve{
		{"CVE-2011-3481", "Cyrus: THREAD of a message whose References name nothing was a NULL pointer", emptyReferences},
		{"CVE-2026-40014", "Dovecot: References took the square of the messages' number", crossedReferences},
		{"CVE-2026-40017", "Dovecot: message ids of one CRC-32 took the cube of their number", func(t *testing.T, h *host) { collidingIDs(t, crcTwins(t)) }},
		{"CVE-2021-33582", "Cyrus: strings of one hash made a table a list", func(t *testing.T, h *host) { collidingIDs(t, [2]string{"AzAzAzAz", "BYBYBYBY"}) }},
		{"CVE-2026-33607", "Dovecot: LIST tried all ways to match a pattern of many stars", func(t *testing.T, h *host) {
			longPatterns(t, h, "CVE-2026-33607", func(n int) string { return strings.Repeat("%a*", n) + "b" })
		}},
		{"CVE-2011-0762", "vsftpd: so did a listing by patterns within braces", func(t *testing.T, h *host) {
			longPatterns(t, h, "CVE-2011-0762", func(n int) string { return "{" + strings.Repeat("*a,", n) + "}" })
		}},
		{"CVE-2021-40110", "Apache James: LIST's pattern became a regular expression", patternsAreLiteral},
		{"go-imap-matchlist", "go-imap: eight stars took seconds", func(t *testing.T, h *host) {
			longPatterns(t, h, "matchlist", func(n int) string { return strings.Repeat("*a", n) + "b" })
		}},
		{"CVE-2005-1256", "Ipswitch imapd: a long mailbox in STATUS overflowed the stack", longStatus},
		{"attack-8", "a text that nearly is everywhere: the time of SEARCH is that of its length", longSearches},
	}))
}

func emptyReferences(t *testing.T, h *host) {
	d := h.folder("CVE-2011-3481", "References:\nSubject: a\n\nx\n", "References: <\n\nx\n", "References: <>\nIn-Reply-To: <>\nMessage-ID: <>\n\nx\n", "References: x y z\nIn-Reply-To: >\n\nx\n",
		"Message-ID: <5@x>\nReferences: <5@x>\n\nx\n", "Message-ID: <6@x>\nReferences: <7@x>\n\nx\n", "Message-ID: <7@x>\nReferences: <6@x>\n\nx\n", "Message-ID: <6@x>\nReferences: <6@x> <7@x> <6@x>\n\nx\n",
		"Message-ID:\nReferences: "+strings.Repeat("<", 3000)+"\n\nx\n", "References: "+strings.Repeat("<a@b>\n ", 3000)+"\n\nx\n")
	for _, algorithm := range []string{"REFERENCES", "ORDEREDSUBJECT"} {
		got := d.ok("THREAD " + algorithm + " UTF-8 ALL")
		got = strings.Split(got, "\n")[0]
		numbers := strings.FieldsFunc(strings.TrimPrefix(got, "* THREAD"), func(r rune) bool { return r < '0' || r > '9' })
		if len(numbers) != 10 {
			t.Errorf("%s: %d of 10 messages: %s", algorithm, len(numbers), got)
		}
	}
	d.alive()
}

// took returns the processor time that it takes to build threads.
func took(messages []message.Threadable) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := threadTime()
	message.ThreadReferences(messages)
	return threadTime() - before
}

// threadTime returns the processor time of the calling thread.
func threadTime() time.Duration {
	var used unix.Timespec
	unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &used)
	return time.Duration(used.Nano())
}

// crossedReferences: messages that name answers which come later, to one thread.
func crossedReferences(t *testing.T, h *host) {
	linear(t, 80000, func(n int) time.Duration {
		all := make([]message.Threadable, 0, 2*n)
		for i := range n {
			all = append(all, message.Threadable{Number: i, References: []string{"root", fmt.Sprint("x", i)}})
		}
		for i := range n {
			all = append(all, message.Threadable{Number: n + i, ID: fmt.Sprint("x", n-1-i)})
		}
		return took(all)
	})
	linear(t, 200, func(n int) time.Duration { // chains as long as may be
		all := make([]message.Threadable, n)
		for i := range all {
			for k := range 1000 {
				all[i].References = append(all[i].References, fmt.Sprint(i, " ", k))
			}
			all[i].Number = i
		}
		return took(all)
	})
	var refs strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&refs, "\n <%d@x>", i)
	}
	d := h.folder("CVE-2026-40014", "Message-ID: <a@x>\nReferences:"+refs.String()+"\n\nx\n", "Message-ID: <b@x>\nReferences: <a@x>\n\nx\n")
	if got := d.ok("THREAD REFERENCES UTF-8 ALL"); !strings.Contains(got, "* THREAD (1 2)") && !strings.Contains(got, "* THREAD (1)(2)") {
		t.Errorf("got %s", got)
	}
}

// crcTwins finds two words of one CRC-32: any words made of them have one, too.
func crcTwins(t *testing.T) [2]string {
	seen := map[uint32]string{}
	for i := range 1 << 20 {
		w := fmt.Sprintf("%08x", uint32(i)*2654435761)
		sum := crc32.ChecksumIEEE([]byte(w))
		if other, ok := seen[sum]; ok {
			return [2]string{other, w}
		}
		seen[sum] = w
	}
	t.Fatal("no two words have one sum")
	return [2]string{}
}

// collidingIDs threads messages whose ids and subjects are made of twins.
func collidingIDs(t *testing.T, twins [2]string) {
	linear(t, 1<<16, func(n int) time.Duration {
		all := make([]message.Threadable, n)
		for i := range all {
			var id strings.Builder
			for bit := range 17 {
				id.WriteString(twins[i>>bit&1])
			}
			all[i] = message.Threadable{Number: i, ID: id.String(), Subject: id.String()}
			if i > 0 {
				all[i].References = []string{all[i/2].ID}
			}
		}
		return took(all)
	})
}

func longPatterns(t *testing.T, h *host, name string, pattern func(n int) string) {
	d := h.folder(name, "Subject: x\n\nx\n")
	d.until("b CREATE "+strings.Repeat("a", 230), "b ") // a case beside this one may have made it
	_, session := d.processes()
	linear(t, 200, func(n int) time.Duration {
		before := cpu(t, session)
		for range 30 {
			if got := d.ok(`LIST "" ` + quote(pattern(n))); strings.Contains(got, "* LIST") {
				t.Fatalf("matched: %s", got)
			}
		}
		return cpu(t, session) - before
	})
}

func patternsAreLiteral(t *testing.T, h *host) {
	d := h.folder("CVE-2021-40110", "Subject: x\n\nx\n")
	for _, name := range []string{"aaaa", "b.c", "(a+)+"} {
		d.until("b CREATE "+quote(name), "b ")
	}
	for pattern, want := range map[string]int{`(a+)+`: 1, `a{1,9}`: 0, `[a]aaa`: 0, `a.*`: 0, `^aaaa$`: 0, `aaa?`: 0, `a\\w*`: 0, `(?i)AAAA`: 0, `aaaa`: 1} {
		if got := d.ok(`LIST "" "` + pattern + `"`); strings.Count(got, "* LIST") != want {
			t.Errorf("%s: want %d of %s", pattern, want, got)
		}
	}
	d.spent(`LIST "" "` + strings.Repeat("(a+)+", 150) + `$"`)
	d.alive()
}

func longStatus(t *testing.T, h *host) {
	d := h.login()
	for _, n := range []int{255, 1000, 8000, 60000} {
		d.expect("b STATUS "+strings.Repeat("A", n)+" (MESSAGES)", "b NO")
		d.expect("b STATUS "+quote(strings.Repeat("A.", n/2)+"x")+" (MESSAGES)", "b NO")
	}
	d.alive()
}

func longSearches(t *testing.T, h *host) {
	d := h.folder("attack-8", "Subject: "+strings.Repeat("a", 50000)+"\n\n"+strings.Repeat("a", 200000)+"\n")
	_, session := d.processes()
	linear(t, 20000, func(n int) time.Duration {
		before := cpu(t, session)
		for range 5 {
			text := strings.Repeat("a", n) + "b"
			if got := d.ok(fmt.Sprintf("SEARCH OR SUBJECT {%[1]d+}\r\n%[2]s TEXT {%[1]d+}\r\n%[2]s", len(text), text)); strings.Contains(got, "* SEARCH 1") {
				t.Fatal("found what is not there")
			}
		}
		return cpu(t, session) - before
	})
}
