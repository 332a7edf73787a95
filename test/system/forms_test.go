//go:build systemtest

package system

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// BenchmarkForms compares the two forms of smail(7) on a booted Debian 12, in
// turn, with a client outside; a password hash that costs little shows what the
// forms cost themselves.
//
//	go test -tags systemtest -run - -bench Forms -benchtime 2x ./test/system
func BenchmarkForms(b *testing.B) {
	deb, _ := buildDeb(b)
	m := boot(b, makeRoot(b, "bookworm"), 8)
	m.copyIn(deb, "root/smail.deb")
	m.install()
	m.accounts()
	m.sh("echo alice:$(openssl passwd -1 " + password + ") | chpasswd -e")
	m.sh("echo penalty_exempt_networks 0.0.0.0/0 >>/etc/smail/smail.conf") // handshakes without a login
	for round := range b.N {
		for _, form := range []string{"resident", "per-connection"} {
			m.run("smailctl", "form", form)
			m.login("alice").ask("b LOGOUT", "b OK")
			var line strings.Builder
			for _, c := range []struct {
				what    string
				clients int
				do      func() error
			}{{"handshakes", 1, m.handshake}, {"handshakes", 4, m.handshake}, {"logins", 1, m.logInAndOut}, {"logins", 4, m.logInAndOut}} {
				rate, median, err := measure(c.clients, c.do)
				if err != nil {
					b.Fatal(err)
				}
				fmt.Fprintf(&line, "  %s by %d: %.1f/s, median %.1f ms", c.what, c.clients, rate, median)
			}
			b.Logf("round %d %-14s%s", round, form, &line)
		}
	}
}

// measure has clients do something forty times each; the median is in ms.
func measure(clients int, do func() error) (rate, median float64, err error) {
	const times = 40
	took := make([]float64, clients*times)
	errs := make([]error, clients)
	var wait sync.WaitGroup
	start := time.Now()
	for c := range clients {
		wait.Go(func() {
			for i := range times {
				began := time.Now()
				if err := do(); err != nil {
					errs[c] = err
				}
				took[c*times+i] = time.Since(began).Seconds() * 1000
			}
		})
	}
	wait.Wait()
	rate = float64(len(took)) / time.Since(start).Seconds()
	slices.Sort(took)
	for _, e := range errs {
		if e != nil {
			err = e
		}
	}
	return rate, took[len(took)/2], err
}

func (m *machine) handshake() error {
	conn, err := tls.Dial("tcp", m.addr+":993", &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return err
	}
	return conn.Close()
}

func (m *machine) logInAndOut() error {
	conn, err := tls.Dial("tcp", m.addr+":993", &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Fprintf(conn, "a LOGIN alice %s\r\nb LOGOUT\r\n", password)
	var said strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		said.Write(buf[:n])
		if err != nil {
			break
		}
	}
	if !strings.Contains(said.String(), "\r\nb OK") {
		return fmt.Errorf("no login: %s", &said)
	}
	return nil
}
