package submitd

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
)

// Limits of a reply, which RFC 5321 section 4.5.3.1.5 has 512 bytes a line.
const (
	maxReplyLine  = 4 << 10
	maxReplyLines = 200
)

// An answer is a reply of the next hop. As an error it is one that was not
// expected.
type answer struct {
	code  int
	lines []string
	about string // the recipient that was refused, of several
}

func (a *answer) Error() string { return fmt.Sprintf("%d %s", a.code, a.text()) }

// text is the reply as one line that can be sent on. Its enhanced code stands once.
func (a *answer) text() string {
	if a == nil {
		return ""
	}
	lines := slices.Clone(a.lines)
	for i := 1; i < len(lines); i++ {
		if code, rest := enhancedCode(lines[i]); code[0] != 0 && strings.HasPrefix(lines[0], lines[i][:len(lines[i])-len(rest)]) {
			lines[i] = rest
		}
	}
	return oneLine(strings.Join(lines, " "))
}

// command sends one command and reads its reply.
func (h *hop) command(want int, line string) (*answer, error) {
	h.w.WriteString(line + "\r\n")
	return h.expect(want)
}

// expect sends what was written and reads a reply, which is the error if its
// code is not of the kind wanted: RFC 5321 section 4.3.2 has several of some.
func (h *hop) expect(want int) (*answer, error) { return h.expectWithin(hopTimeout, want) }

func (h *hop) expectWithin(timeout time.Duration, want int) (*answer, error) {
	if h.conn == nil {
		return nil, net.ErrClosed
	}
	h.conn.SetDeadline(time.Now().Add(timeout))
	if err := h.w.Flush(); err != nil {
		return nil, h.lastWord(err)
	}
	a, err := readAnswer(h.r)
	if err == nil && a.code/100 != want/100 {
		err = a
	}
	return a, err
}

// lastWord looks for a refusal that the next hop has sent before it closed its
// connection, which is better to know than that it did. Then ours is closed, too.
func (h *hop) lastWord(err error) error {
	h.conn.SetReadDeadline(time.Now().Add(time.Second))
	if a, _ := readAnswer(h.r); a != nil && a.code >= 400 {
		h.close()
		return a
	}
	return err
}

// readAnswer reads a reply: RFC 5321 section 4.2.1.
func readAnswer(r *bufio.Reader) (*answer, error) {
	a := &answer{}
	for range maxReplyLines {
		line, err := r.ReadSlice('\n')
		if err == bufio.ErrBufferFull { // the rest of it is of no interest, but the verdict is
			line = bytes.Clone(line)
			for err == bufio.ErrBufferFull {
				_, err = r.ReadSlice('\n')
			}
		}
		if err != nil {
			return nil, err
		}
		line = bytes.TrimRight(line, "\r\n")
		code, err := strconv.Atoi(string(line[:min(3, len(line))]))
		if err != nil || code < 200 || code > 599 || a.code != 0 && a.code != code {
			return nil, errors.New("reply without a code")
		}
		a.code = code
		if len(line) == 3 {
			line = append(line, ' ')
		}
		a.lines = append(a.lines, string(line[4:]))
		switch line[3] {
		case ' ':
			return a, nil
		case '-':
		default:
			return nil, errors.New("reply without a code")
		}
	}
	return nil, errors.New("reply of too many lines")
}

// nextHop makes what the next hop said the client's reply, word for word. What
// went wrong otherwise is not for the client.
func nextHop(err error) error {
	var a *answer
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &a):
		return fmt.Errorf("next hop: %w", err)
	case a.code/100 != 4 && a.code/100 != 5:
		return fmt.Errorf("next hop: unexpected %d", a.code)
	}
	code := a.code
	if code == 421 { // it ends its connection, not ours
		code = 451
	}
	enhanced, text := enhancedCode(a.text())
	if enhanced[0] != code/100 {
		enhanced, text = smtp.EnhancedCode{code / 100, 0, 0}, a.text()
	}
	if a.about != "" {
		text = "<" + a.about + ">: " + text
	}
	return reply(code, enhanced, "%s", text)
}

// enhancedCode takes the code of RFC 3463 off a text.
func enhancedCode(text string) (code smtp.EnhancedCode, rest string) {
	word, rest, _ := strings.Cut(text, " ")
	parts := strings.Split(word, ".")
	if len(parts) != 3 {
		return code, text
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 10)
		if err != nil || n > 999 {
			return smtp.EnhancedCode{}, text
		}
		code[i] = int(n)
	}
	return code, rest
}

// oneLine makes a foreign text safe to send on.
func oneLine(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c >= 0x7f {
			b[i] = ' '
		}
	}
	return string(b[:min(len(b), 300)])
}

var errNoUTF8 = reply(550, smtp.EnhancedCode{5, 6, 7}, "The next hop takes no addresses or headers beyond ASCII")

// mailCommand writes MAIL with what the next hop understands.
func (h *hop) mailCommand(e *envelope) (string, error) {
	line := "MAIL FROM:<" + e.from + ">"
	if _, ok := h.ext["8BITMIME"]; ok {
		line += " BODY=8BITMIME"
	}
	if e.beyondASCII {
		if _, ok := h.ext["SMTPUTF8"]; !ok {
			return "", errNoUTF8
		}
		line += " SMTPUTF8"
	}
	if _, ok := h.ext["SIZE"]; ok && e.mail.Size > 0 {
		line += fmt.Sprintf(" SIZE=%d", e.mail.Size)
	}
	if _, ok := h.ext["DSN"]; ok { // RFC 3461 sections 4.3, 4.4
		if e.mail.Return != "" {
			line += " RET=" + string(e.mail.Return)
		}
		if e.mail.EnvelopeID != "" {
			line += " ENVID=" + xtext(e.mail.EnvelopeID)
		}
	}
	return line, nil
}

func (h *hop) rcptCommand(r recipient) string {
	line := "RCPT TO:<" + r.address + ">"
	if _, ok := h.ext["DSN"]; !ok {
		return line
	}
	if len(r.options.Notify) > 0 { // RFC 3461 section 4.1
		line += " NOTIFY=" + notify(r.options.Notify)
	}
	if r.options.OriginalRecipient != "" && r.options.OriginalRecipientType == smtp.DSNAddressTypeRFC822 {
		line += " ORCPT=rfc822;" + xtext(r.options.OriginalRecipient)
	}
	return line
}

// xtext encodes what may not stand in a parameter: RFC 3461 section 4.
func xtext(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < '!' || c > '~' || c == '+' || c == '=' {
			fmt.Fprintf(&b, "+%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// cutLine cuts b behind its first line, which loses its end.
func cutLine(b []byte) (line, rest []byte, found bool) {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return b[:i], b[i+1:], true
	}
	return b, nil, false
}
