package test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"net"
	"strings"
	"testing"
	"time"
)

// A dialogue is a connection that a test speaks on itself.
type dialogue struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

// dial connects, over TLS for the services that begin with it.
func (h *host) dial(service string) *dialogue {
	h.t.Helper()
	conn, err := net.Dial("tcp", h.addr[service])
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(60 * time.Second))
	d := &dialogue{Conn: conn, t: h.t, r: bufio.NewReader(conn)}
	if strings.HasSuffix(service, "s") {
		d.startTLS()
	}
	d.line()
	return d
}

func (d *dialogue) startTLS() {
	d.t.Helper()
	c := tls.Client(d.Conn, &tls.Config{InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		d.t.Fatal(err)
	}
	d.Conn, d.r = c, bufio.NewReader(c)
}

func (d *dialogue) send(s string) {
	d.t.Helper()
	if _, err := d.Write([]byte(s)); err != nil {
		d.t.Fatalf("send: %v", err)
	}
}

func (d *dialogue) line() string {
	d.t.Helper()
	s, err := d.r.ReadString('\n')
	if err != nil {
		d.t.Fatalf("read: %v after %q", err, s)
	}
	return strings.TrimRight(s, "\r\n")
}

// until sends a line and returns all up to a reply that begins with prefix.
func (d *dialogue) until(command, prefix string) string {
	d.t.Helper()
	d.send(command + "\r\n")
	var all strings.Builder
	for {
		l := d.line()
		all.WriteString(l + "\n")
		if strings.HasPrefix(l, prefix) {
			return all.String()
		}
	}
}

// expect is until, for a reply that must come first.
func (d *dialogue) expect(command, prefix string) string {
	d.t.Helper()
	d.send(command + "\r\n")
	l := d.line()
	if !strings.HasPrefix(l, prefix) {
		d.t.Fatalf("%s: got %q, want %s...", command, l, prefix)
	}
	return l
}

// closed says whether the server ends the connection.
func (d *dialogue) closed() bool {
	d.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		_, err := d.r.ReadByte()
		if err == nil {
			continue
		}
		ne, timeout := err.(net.Error)
		return !(timeout && ne.Timeout())
	}
}

// quote makes an IMAP quoted string.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// login logs alice in by IMAP.
func (h *host) login() *dialogue {
	h.t.Helper()
	d := h.dial("imaps")
	d.until("a0 LOGIN "+h.alice.Username+" "+quote(h.password), "a0 OK")
	return d
}

// plain makes the response of SASL PLAIN.
func plain(name, password string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + name + "\x00" + password))
}
