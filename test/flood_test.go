package test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// floodTime is a minute in full, and less as a part of all tests.
func floodTime() time.Duration {
	if os.Getenv("SMAIL_FLOODTEST") == "1" {
		return time.Minute
	}
	return 10 * time.Second
}

// from dials from an address of the loopback network.
func (h *host) from(source string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: 20 * time.Second}
	return d.Dial("tcp", h.addr["imaps"])
}

// loginFrom logs alice in from an address; the error says how far it came.
func (h *host) loginFrom(source string) error {
	conn, err := h.from(source)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	c := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	fmt.Fprintf(c, "a LOGIN %s %s\r\n", h.alice.Username, quote(h.password))
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		if strings.HasPrefix(line, "a ") {
			if !strings.HasPrefix(line, "a OK") {
				return fmt.Errorf("answered %q", line)
			}
			fmt.Fprint(c, "b LOGOUT\r\n")
			io.Copy(io.Discard, r)
			return nil
		}
	}
}

// flood makes 1,000 connections a second from n addresses for a time; none of
// them logs in or goes away by itself. It returns how many were made.
func (h *host) flood(n int, during time.Duration) (made int64) {
	var count atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	end := start.Add(during)
	for i := 0; time.Now().Before(end); i++ {
		time.Sleep(time.Until(start.Add(time.Duration(i) * time.Millisecond))) // what was late is made up for
		wg.Go(func() {
			conn, err := h.from(fmt.Sprintf("127.1.%d.%d", i%n/200, 1+i%n%200))
			if err != nil {
				return
			}
			defer conn.Close()
			count.Add(1)
			conn.SetDeadline(end)
			io.Copy(io.Discard, conn)
		})
	}
	wg.Wait()
	return count.Load()
}

// TestFlood: 1,000 connections a second that never log in, from one address and
// from 200: sessions go on, others log in, and soon after all is as before.
func TestFlood(t *testing.T) {
	needRoot(t)
	for _, sources := range []int{1, 200} {
		t.Run(fmt.Sprint(sources), func(t *testing.T) {
			h := newHost(t, "penalty_exempt_networks", "none", "max_connections_per_address", "5000")
			h.serve("imaps")
			d := h.login()
			before := len(h.below())
			stop := make(chan bool)
			var noops []time.Duration
			var logins, failed int
			var wg sync.WaitGroup
			wg.Go(func() { noops = d.noops(stop) })
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(200 * time.Millisecond):
					}
					if err := h.loginFrom("127.0.0.9"); err != nil {
						t.Log("a login: ", err)
						failed++
					}
					logins++
				}
			})
			made := h.flood(sources, floodTime())
			close(stop)
			wg.Wait()
			slices.Sort(noops)
			p99 := noops[len(noops)*99/100]
			t.Logf("%d connections; %d NOOPs, median %v, 99%% below %v; %d logins, %d of them failed", made, len(noops), noops[len(noops)/2], p99, logins, failed)
			if p99 > 250*time.Millisecond || len(noops) == 0 {
				t.Errorf("one NOOP in a hundred took more than %v", p99)
			}
			if failed > 0 || logins == 0 {
				t.Errorf("%d of %d logins failed", failed, logins)
			}
			time.Sleep(5 * time.Second)
			if err := h.loginFrom("127.0.0.9"); err != nil {
				t.Errorf("after the flood: %v", err)
			}
			time.Sleep(time.Second)
			if n := len(h.below()); n > before {
				t.Errorf("%d processes, %d before\n%v", n, before, h.below())
			}
		})
	}
}

// noops sends NOOPs until it is to stop, and returns what each took.
func (d *dialogue) noops(stop chan bool) (took []time.Duration) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return took
		case <-time.After(20 * time.Millisecond):
		}
		start := time.Now()
		fmt.Fprintf(d, "n%d NOOP\r\n", i)
		if line, err := d.r.ReadString('\n'); err != nil || !strings.HasPrefix(line, fmt.Sprintf("n%d OK", i)) {
			d.t.Errorf("the session: %q, %v", line, err)
			return took
		}
		d.SetDeadline(time.Now().Add(time.Minute))
		took = append(took, time.Since(start))
	}
}

// TestSlowClients: 2,000 that send a byte a second are gone when login_timeout has
// passed since they came, and there is never more memory than for the limit.
func TestSlowClients(t *testing.T) {
	needRoot(t)
	const clients, timeout, limit = 2000, 15 * time.Second, 300
	h := newHost(t, "penalty_exempt_networks", "none", "login_timeout", timeout.String(), "max_startups", fmt.Sprint(limit))
	h.serve("imaps")
	h.login()
	var wg sync.WaitGroup
	var late, served atomic.Int64
	for i := range clients {
		time.Sleep(10 * time.Millisecond) // this is no flood: none waits to be accepted
		wg.Go(func() {
			conn, err := h.from(fmt.Sprintf("127.2.%d.%d", i%8, 1+i%250))
			if err != nil {
				return
			}
			defer conn.Close()
			start := time.Now()
			for n := 0; time.Since(start) < 2*timeout; n++ {
				conn.SetReadDeadline(time.Now().Add(time.Second))
				if _, err := conn.Read(make([]byte, 100)); err != nil && !os.IsTimeout(err) {
					break
				}
				if _, err := conn.Write([]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")[n%11 : n%11+1]); err != nil {
					break
				}
			}
			switch lived := time.Since(start); {
			case lived > timeout+2*time.Second:
				late.Add(1)
			case lived > timeout-time.Second:
				served.Add(1)
			}
		})
	}
	most, memory := 0, 0
	for range 5 {
		processes := h.below()
		sum := 0
		for _, p := range processes {
			sum += privateKB(p.pid)
		}
		most, memory = max(most, len(processes)), max(memory, sum)
		time.Sleep(time.Second)
	}
	wg.Wait()
	t.Logf("%d processes and %d kB at most; %d clients until login_timeout", most, memory, served.Load())
	if late.Load() > 0 || served.Load() == 0 {
		t.Errorf("%d of %d lived longer than login_timeout, %d as long", late.Load(), clients, served.Load())
	}
	if most > 2*limit+20 || memory > limit*6<<10 {
		t.Errorf("%d processes, %d kB", most, memory)
	}
	d := h.login()
	d.until("b NOOP", "b OK")
}

// privateKB returns the memory that is a process's own.
func privateKB(pid string) (kB int) {
	text, _ := os.ReadFile("/proc/" + pid + "/smaps_rollup")
	for line := range strings.Lines(string(text)) {
		var n int
		if f := strings.Fields(line); len(f) > 1 && (f[0] == "Private_Dirty:" || f[0] == "Private_Clean:") {
			fmt.Sscan(f[1], &n)
			kB += n
		}
	}
	return kB
}
