package submitd

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"smail/config"
	"smail/internal/rig"
)

// certificate is for localhost and 127.0.0.1, and trusted by this process, which
// reads the system's roots once.
var certificate = sync.OnceValues(func() (tls.Certificate, error) {
	dir, err := os.MkdirTemp("", "smail-hop")
	if err != nil {
		return tls.Certificate{}, err
	}
	defer os.RemoveAll(dir)
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := rig.Certificate(cert, key, "localhost"); err != nil {
		return tls.Certificate{}, err
	}
	os.Setenv("SSL_CERT_FILE", cert)
	if _, err := x509.SystemCertPool(); err != nil {
		return tls.Certificate{}, err
	}
	return tls.LoadX509KeyPair(cert, key)
})

// secureHop is a peer for behind TLS.
func secureHop(t *testing.T) (*peer, *tls.Config) {
	t.Helper()
	pair, err := certificate()
	if err != nil {
		t.Fatal(err)
	}
	return &peer{t: t, offers: []string{"PIPELINING", "AUTH PLAIN"}}, &tls.Config{Certificates: []tls.Certificate{pair}}
}

// TestSMTPS: a next hop whose certificate is good has the message, and one whose
// certificate is another host's nothing.
func TestSMTPS(t *testing.T) {
	p, cfg := secureHop(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c)
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for host, want := range map[string]string{"127.0.0.1": "250 2.0.0 Ok: queued", "127.0.0.2": "451 4.3.0 Not handed over"} {
		if host != "127.0.0.1" { // the listener is on one address only
			other, err := tls.Listen("tcp", host+":"+port, cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			go func() {
				if c, err := other.Accept(); err == nil {
					p.serve(c)
				}
			}()
		}
		conf := testConfig(t)
		conf.Relay = config.Relay{Kind: "smtps", To: host + ":" + port}
		if got := say(t, Options{Config: conf}, envelopeLines+letter+"QUIT\r\n"); !strings.Contains(got, want) {
			t.Errorf("%s: said %s", host, got)
		}
	}
}

// TestSTARTTLS: without a password to send any certificate will do, with one
// it must be the host's; and what comes in clear text behind the reply is not
// believed.
func TestSTARTTLS(t *testing.T) {
	p, cfg := secureHop(t)
	for _, c := range []struct {
		host, behind string
		auth         *Credentials
		ok           bool
	}{
		{"127.0.0.1", "", nil, true}, {"other.example", "", nil, true}, {"127.0.0.1", "", &Credentials{"a", "b"}, true},
		{"other.example", "", &Credentials{"a", "b"}, false}, {"127.0.0.1", "250 injected\r\n", nil, false},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		near, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			far, err := l.Accept()
			if err != nil {
				return
			}
			defer far.Close()
			r := bufio.NewReader(far)
			r.ReadString('\n')
			far.Write([]byte("220 2.0.0 go ahead\r\n" + c.behind))
			conn := tls.Server(far, cfg)
			if conn.Handshake() != nil {
				return
			}
			p.serve(&silent{conn})
		}()
		h := &hop{server: &server{Options: Options{Config: testConfig(t), RelayAuth: c.auth}}}
		h.use(near)
		err = h.upgrade(c.host)
		if (err == nil) != c.ok || c.ok && h.ext["PIPELINING"] != "" {
			t.Errorf("%s, %q, %v: %v", c.host, c.behind, c.auth, err)
		}
		if c.auth != nil && c.ok {
			if err := h.auth(); err != nil {
				t.Errorf("password to a verified host: %v", err)
			}
		}
		h.close()
		l.Close()
	}
}

// silent leaves out the greeting, which a server does not say again over TLS.
type silent struct{ net.Conn }

func (s *silent) Write(b []byte) (int, error) {
	if strings.HasPrefix(string(b), "220 next") {
		return len(b), nil
	}
	return s.Conn.Write(b)
}
