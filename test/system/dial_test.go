//go:build systemtest

package system

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"math/big"
	"net"
	"regexp"
	"strings"
	"time"
)

// A dialogue is a connection from outside, line by line.
type dialogue struct {
	*machine
	conn *tls.Conn
	r    *bufio.Reader
}

// dial connects by TLS and reads the greeting.
func (m *machine) dial(port int) *dialogue {
	m.t.Helper()
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	conn, err := tls.DialWithDialer(dialer, "tcp", fmt.Sprintf("%s:%d", m.addr, port), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		m.t.Fatalf("port %d: %v\n%s", port, err, m.log())
	}
	m.t.Cleanup(func() { conn.Close() })
	d := &dialogue{m, conn, bufio.NewReader(conn)}
	d.line()
	return d
}

func (d *dialogue) line() string {
	d.t.Helper()
	d.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	line, err := d.r.ReadString('\n')
	if err != nil {
		d.t.Fatalf("read: %v after %q\n%s", err, line, d.log())
	}
	return strings.TrimRight(line, "\r\n")
}

// ask sends a line and returns the first line of the answer with this prefix.
func (d *dialogue) ask(line, prefix string) string {
	d.t.Helper()
	if _, err := d.conn.Write([]byte(line + "\r\n")); err != nil {
		d.t.Fatal(err)
	}
	var got string
	for range 200 {
		if got = d.line(); strings.HasPrefix(got, prefix) {
			return got
		}
		if strings.HasPrefix(got, strings.Fields(line)[0]+" ") || strings.HasPrefix(got, "-ERR") || smtpRefusal.MatchString(got) {
			break
		}
	}
	d.t.Fatalf("%q: got %q, want %q", line, got, prefix)
	return ""
}

// smtpRefusal is the last line of a reply that refuses.
var smtpRefusal = regexp.MustCompile(`^[45][0-9][0-9] `)

func (d *dialogue) serial() *big.Int {
	return d.conn.ConnectionState().PeerCertificates[0].SerialNumber
}

// login opens an IMAP session.
func (m *machine) login(user string) *dialogue {
	m.t.Helper()
	d := m.dial(993)
	d.ask("a LOGIN "+user+" "+password, "a OK")
	return d
}

// auth logs in to submission.
func (d *dialogue) auth(user string) {
	d.t.Helper()
	d.ask("AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password)), "235")
}

// submit sends a message from user to another over an existing submission
// dialogue, after EHLO and, perhaps, AUTH.
func (d *dialogue) submit(from, to, subject string) {
	d.t.Helper()
	d.ask("MAIL FROM:<"+from+">", "250")
	d.ask("RCPT TO:<"+to+">", "250")
	d.ask("DATA", "354")
	d.ask("From: "+from+"\r\nTo: "+to+"\r\nSubject: "+subject+"\r\n\r\nhello\r\n.", "250")
}
