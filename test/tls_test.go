package test

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"smail/internal/rig"
)

func (h *host) handshake(cfg *tls.Config) (tls.ConnectionState, error) {
	cfg.InsecureSkipVerify = true
	c, err := tls.Dial("tcp", h.addr["imaps"], cfg)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer c.Close()
	return c.ConnectionState(), nil
}

// TestTLSVersions: 1.2 and 1.3, with forward secrecy and an AEAD, and no more.
func TestTLSVersions(t *testing.T) {
	h := newHost(t)
	h.serve("imaps")
	for _, v := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		if _, err := h.handshake(&tls.Config{MinVersion: v, MaxVersion: v}); err == nil {
			t.Errorf("%s was accepted", tls.VersionName(v))
		}
	}
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if s.SupportedVersions[0] == tls.VersionTLS13 || !strings.Contains(s.Name, "ECDSA") && !strings.Contains(s.Name, "CBC") {
			continue
		}
		_, err := h.handshake(&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{s.ID}})
		aead := strings.Contains(s.Name, "GCM") || strings.Contains(s.Name, "POLY1305")
		if (err == nil) != aead {
			t.Errorf("TLS 1.2 with %s: %v", s.Name, err)
		}
	}
	state, err := h.handshake(&tls.Config{})
	if err != nil || state.Version != tls.VersionTLS13 {
		t.Errorf("by default: %v %v", state.Version, err)
	}
}

// TestNoSessionTickets: nothing of a handshake outlives its connection.
func TestNoSessionTickets(t *testing.T) {
	h := newHost(t)
	h.serve("imaps")
	cache := tls.NewLRUClientSessionCache(4)
	for i := range 3 {
		conn, err := tls.Dial("tcp", h.addr["imaps"], &tls.Config{InsecureSkipVerify: true, ClientSessionCache: cache})
		if err != nil {
			t.Fatal(err)
		}
		conn.Read(make([]byte, 100)) // a ticket would come with it
		if conn.ConnectionState().DidResume {
			t.Errorf("connection %d resumed a session", i)
		}
		conn.Close()
	}
}

// TestSNIAndRenewal: several certificates, and a renewed one from the next
// connection on.
func TestSNIAndRenewal(t *testing.T) {
	h := newHost(t)
	cert2, key2 := filepath.Join(h.Dir, "two.pem"), filepath.Join(h.Dir, "two.key")
	if err := rig.Certificate(cert2, key2, "two.example.org"); err != nil {
		t.Fatal(err)
	}
	h.Config["tls_certificate"] += "\ntls_certificate " + cert2
	h.Config["tls_key"] += "\ntls_key " + key2
	if _, err := h.WriteConfig(); err != nil {
		t.Fatal(err)
	}
	h.serve("imaps")
	for name, want := range map[string]string{"two.example.org": "two.example.org", "localhost": "localhost", "other.example": "localhost"} {
		state, err := h.handshake(&tls.Config{ServerName: name})
		if err != nil {
			t.Fatal(err)
		}
		if got := state.PeerCertificates[0].Subject.CommonName; got != want {
			t.Errorf("for %s the certificate is that of %s, want %s", name, got, want)
		}
	}
	before, _ := h.handshake(&tls.Config{})
	if err := rig.Certificate(filepath.Join(h.Dir, "cert.pem"), filepath.Join(h.Dir, "key.pem"), "localhost"); err != nil {
		t.Fatal(err)
	}
	after, err := h.handshake(&tls.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if before.PeerCertificates[0].Equal(after.PeerCertificates[0]) {
		t.Error("the renewed certificate is not used")
	}
}

// TestKeyTypes: each kind of key signs, in both versions of TLS.
func TestKeyTypes(t *testing.T) {
	need(t, "openssl", "openssl")
	for _, kind := range []string{"rsa:2048", "rsa:4096", "ec -pkeyopt ec_paramgen_curve:P-256", "ec -pkeyopt ec_paramgen_curve:P-384", "ed25519"} {
		t.Run(kind, func(t *testing.T) {
			h := newHost(t)
			args := append([]string{"req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
				"-keyout", filepath.Join(h.Dir, "key.pem"), "-out", filepath.Join(h.Dir, "cert.pem"), "-newkey"}, strings.Fields(kind)...)
			run(t, "openssl", args...)
			h.serve("imaps")
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM([]byte(readFile(t, filepath.Join(h.Dir, "cert.pem"))))
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				c, err := tls.Dial("tcp", h.addr["imaps"], &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: version, MaxVersion: version})
				if err != nil {
					t.Errorf("%s: %v", tls.VersionName(version), err)
					continue
				}
				if n, err := c.Read(make([]byte, 100)); n == 0 {
					t.Errorf("%s: no greeting: %v", tls.VersionName(version), err)
				}
				c.Close()
			}
		})
	}
}

// TestFrontHasNoKey looks for the private key in the front's memory.
func TestFrontHasNoKey(t *testing.T) {
	needRoot(t)
	h := newHost(t)
	h.serve("imaps")
	h.dial("imaps")
	text, _ := os.ReadFile(filepath.Join(h.Dir, "key.pem"))
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	secret := key.(*ecdsa.PrivateKey).D.FillBytes(make([]byte, 32))
	if !inMemory(t, h.pidOf("smaild"), secret) {
		t.Error("the search does not find the key where it is: in the monitor")
	}
	if inMemory(t, h.pidOf("smail-front"), secret) {
		t.Error("the front holds the private key")
	}
}

// inMemory says whether a process's writable memory holds a secret, in either
// order of its bytes.
func inMemory(t *testing.T, pid int, secret []byte) bool {
	t.Helper()
	reversed := make([]byte, len(secret))
	for i, b := range secret {
		reversed[len(secret)-1-i] = b
	}
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var mode string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); n != 3 || mode[:2] != "rw" || to-from > 256<<20 {
			continue
		}
		b := make([]byte, to-from)
		n, _ := mem.ReadAt(b, from)
		if s := string(b[:n]); strings.Contains(s, string(secret)) || strings.Contains(s, string(reversed)) {
			return true
		}
	}
	return false
}
