package submitd

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"smail/config"
)

// replyLine is a line of a reply: RFC 5321 section 4.2.
var replyLine = regexp.MustCompile(`^[2-5]\d\d[ -][\x20-\x7e]*$`)

// commandLine is one that may reach the next hop: nothing of what a client says can
// be a command or an option of its own there.
var commandLine = regexp.MustCompile(`^(EHLO host\.example|QUIT|RSET|DATA|(MAIL FROM|RCPT TO):<([^-\s<>\x00-\x1f\x7f][^\s<>\x00-\x1f\x7f]*)?>( [A-Z0-9]+(=[!-~]*)?)*)$`)

// fuzzTime is what a session may take: the fuzzing engine ends its process, without
// a word, after ten seconds.
const fuzzTime = 8 * time.Second

// FuzzSession feeds a whole session whatever bytes there are. What comes of it are
// replies for the client, and for the next hop commands of ours and messages whose
// lines end with CR LF.
func FuzzSession(f *testing.F) {
	f.Add(envelopeLines + letter + "QUIT\r\n")
	f.Add("EHLO x\r\nMAIL FROM:<me@host.example> SIZE=10 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb\r\nRCPT TO:<you@there.example> NOTIFY=NEVER ORCPT=rfc822;a+2Bb\r\nBDAT 5\r\nFrom:BDAT 7 LAST\r\n x\r\n\r\nyQUIT\r\n")
	f.Add("HELO x\r\nNOOP\r\nRSET\r\nVRFY a\r\nMAIL FROM:<>\r\nRCPT TO:<\"a b\"@c>\r\nMAIL FROM:<-oX@host.example>\r\nRCPT TO:<-f@x>\r\nDATA\r\n.\r\n")
	f.Add(envelopeLines + "DATA\r\nFrom: me@host.example\nBcc: x\r\n.\n.\r\n\r.\r\n.\r\nMAIL FROM:<x@y>\r\n")
	f.Add("EHLO x\r\nMAIL FROM:<me@host.example>\r\nRCPT TO:<you@there.example>\r\nRCPT TO:<they@there.example>\r\n" + letter + "QUIT\r\n")
	hopTimeout, finalTimeout = fuzzTime, fuzzTime // a wait for the peer is a fault of ours
	f.Cleanup(func() { hopTimeout, finalTimeout = 5*time.Minute, 10*time.Minute })
	f.Fuzz(func(t *testing.T, said string) {
		start := time.Now()
		p := &peer{t: t, lmtp: true, offers: []string{"PIPELINING", "8BITMIME", "DSN", "SMTPUTF8", "SIZE 100000"}}
		cfg := config.Default()
		cfg.Hostname, cfg.SendersFile, cfg.MaxMessageSize = "host.example", "", 100000
		cfg.Maildir = filepath.Join(t.TempDir(), "Maildir")
		cfg.Relay = config.Relay{Kind: "lmtp", To: filepath.Join(t.TempDir(), "hop")}
		p.listen("unix", cfg.Relay.To)
		defer os.Remove(cfg.Relay.To)
		out := say(t, Options{Config: cfg}, said)
		if d := time.Since(start); d >= fuzzTime {
			t.Errorf("took %v", d)
		}
		for line := range strings.SplitSeq(strings.TrimSuffix(out, "\r\n"), "\r\n") {
			if out != "" && !replyLine.MatchString(line) {
				t.Errorf("told %q", line)
			}
		}
		for _, line := range p.heard() {
			if text, content := strings.CutPrefix(line, "content "); content {
				if bare := strings.ReplaceAll(text, "\r\n", ""); strings.ContainsAny(bare, "\r\n\x00") {
					t.Errorf("handed over %q", text)
				}
			} else if line = strings.Replace(line, "LHLO", "EHLO", 1); line != "broken off" && !commandLine.MatchString(line) {
				t.Errorf("the next hop heard %q", line)
			}
		}
	})
}
