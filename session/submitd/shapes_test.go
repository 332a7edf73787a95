package submitd

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"smail/config"
)

// TestShapes sends every text over the bytes that servers may take for the end
// of a message, up to five long, in the middle of one, by DATA and by BDAT. The
// next hop gets one message with those bytes, or nothing whole; and nothing of a
// message is taken for a command.
func TestShapes(t *testing.T) {
	for _, verb := range []string{"DATA", "BDAT"} {
		t.Run(verb, func(t *testing.T) {
			p := &peer{t: t, offers: []string{"PIPELINING"}}
			cfg := testConfig(t)
			cfg.Relay = p.relay("smtp")
			level, sent := []string{""}, 0
			for range 5 {
				var next []string
				for _, shape := range level {
					for _, c := range "\r\n\x00." {
						next = append(next, shape+string(c))
					}
				}
				for _, shape := range next {
					if tryShape(t, cfg, p, verb, shape) {
						sent++
					}
				}
				level = next
			}
			if sent < 5 {
				t.Errorf("only %d shapes were taken", sent)
			}
		})
	}
}

// tryShape sends one message and says whether it was taken.
func tryShape(t *testing.T, cfg *config.Config, p *peer, verb, shape string) bool {
	t.Helper()
	p.mu.Lock()
	p.lines = nil
	p.mu.Unlock()
	const head = "From: me@host.example\r\nDate: x\r\nMessage-ID: <x@x>\r\n\r\n"
	text := "a" + shape + "NOOP\r\nb\r\n"
	body, rest := "DATA\r\n"+head+text+".\r\n", ""
	want := text
	if verb == "BDAT" {
		body = fmt.Sprintf("BDAT %d\r\n%sBDAT %d LAST\r\n%s", len(head), head, len(text), text)
	} else {
		want, rest = cutContent(text + ".\r\n") // what dots make of it
	}
	got := say(t, Options{Config: cfg}, envelopeLines+body+"NOOP\r\nQUIT\r\n")
	bare := strings.ContainsAny(strings.ReplaceAll(want, "\r\n", ""), "\r\n\x00")
	taken := strings.Contains(got, "250 2.0.0 Ok: queued")
	if taken == bare {
		t.Errorf("%q: taken %v: %s", shape, taken, got)
	}
	noops := strings.Count(got, "successfully done nothing")
	if inside := strings.Count(rest, "NOOP\r\n"); noops != 1+inside || !strings.HasSuffix(got, "221 2.0.0 Bye\r\n") {
		t.Errorf("%q: %d NOOPs were answered: %s", shape, noops, got)
	}
	var contents []string
	for _, line := range p.heard() {
		if text, ok := strings.CutPrefix(line, "content "); ok {
			contents = append(contents, text)
		}
	}
	if !taken && len(contents) > 0 || taken && len(contents) != 1 {
		t.Errorf("%q: taken %v, the next hop has %q", shape, taken, contents)
	}
	if taken {
		_, all, _ := strings.Cut(contents[0], "\r\n\r\n")
		if unstuffed := strings.ReplaceAll("\r\n"+all, "\r\n.", "\r\n")[2:]; unstuffed != want {
			t.Errorf("%q: the next hop has %q, want %q", shape, unstuffed, want)
		}
	}
	return taken
}

// TestSlowHop: one that does not answer is given up, and the client may try
// again.
func TestSlowHop(t *testing.T) {
	defer func(d time.Duration) { hopTimeout = d }(hopTimeout)
	hopTimeout = 200 * time.Millisecond
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := testConfig(t)
	cfg.Relay = config.Relay{Kind: "smtp", To: l.Addr().String()}
	got := say(t, Options{Config: cfg}, envelopeLines+letter+"QUIT\r\n")
	if !strings.Contains(got, "451 4.3.0 Not handed over") {
		t.Errorf("said %s", got)
	}
}
