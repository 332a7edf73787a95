package monitor

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"smail/config"
	"smail/login"
	"smail/pam"
)

func verify13() []byte {
	m := append(bytes.Repeat([]byte{' '}, 64), "TLS 1.3, server CertificateVerify\x00"...)
	return append(m, make([]byte, 32)...)
}

func exchange12() []byte {
	return append(make([]byte, 64), append([]byte{3, 0, 29, 32}, make([]byte, 32)...)...)
}

// TestSignsHandshakesOnly: the key vouches for nothing else.
func TestSignsHandshakesOnly(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &connection{Monitor: &Monitor{keys: []keyPair{{key: key}}}}
	for name, m := range map[string][]byte{"TLS 1.3": verify13(), "TLS 1.2": exchange12()} {
		sig, err := c.sign(&login.Request{Hash: byte(crypto.SHA256), Message: m})
		digest := sha256.Sum256(m)
		if err != nil || !ecdsa.VerifyASN1(&key.PublicKey, digest[:], sig) {
			t.Errorf("%s: not signed: %v", name, err)
		}
	}
	client := bytes.Replace(verify13(), []byte("server"), []byte("client"), 1)
	for name, r := range map[string]*login.Request{
		"text":              {Hash: byte(crypto.SHA256), Message: []byte("pay mallory")},
		"empty":             {Hash: byte(crypto.SHA256)},
		"client's":          {Hash: byte(crypto.SHA256), Message: client},
		"longer":            {Hash: byte(crypto.SHA256), Message: append(verify13(), 0)},
		"explicit curve":    {Hash: byte(crypto.SHA256), Message: append(make([]byte, 64), 1, 0, 29, 0)},
		"longer exchange":   {Hash: byte(crypto.SHA256), Message: append(exchange12(), 0)},
		"weak hash":         {Hash: byte(crypto.SHA1), Message: verify13()},
		"no hash":           {Message: verify13()},
		"other certificate": {Cert: 1, Hash: byte(crypto.SHA256), Message: verify13()},
	} {
		if _, err := c.sign(r); err == nil {
			t.Errorf("%s: was signed", name)
		}
	}
}

// TestUnexpectedFramesEndIt: a second signature, a fourth password, a question
// that the service does not have.
func TestUnexpectedFramesEndIt(t *testing.T) {
	m := &Monitor{Config: config.Default(), Service: "imaps"}
	for name, c := range map[string]struct {
		conn connection
		req  login.Request
	}{
		"second signature": {connection{Monitor: m, signed: true}, login.Request{Kind: login.KindSign}},
		"fourth password":  {connection{Monitor: m, tries: login.MaxTries}, login.Request{Kind: login.KindPassword}},
		"recent by IMAP":   {connection{Monitor: m}, login.Request{Kind: login.KindRecent}},
		"unknown":          {connection{Monitor: m}, login.Request{Kind: 'x'}},
	} {
		if err := c.conn.answer(&c.req); err == nil {
			t.Errorf("%s: the connection goes on", name)
		}
	}
}

func TestNames(t *testing.T) {
	m := &Monitor{Config: config.Default()}
	m.Config.LoginDomains = []string{"example.org"}
	for in, want := range map[string]string{"alice": "alice", "alice@example.org": "alice", "alice@EXAMPLE.ORG": "alice",
		"alice@example.net": "", "": "", "@example.org": "", "-x": "", "a/b": "", "a b": "", "a\x00": "", "ä": "", "a:b": "", strings.Repeat("a", 65): ""} {
		name := m.localName(in)
		if err := checkName(name); (err == nil) != (want != "") || err == nil && name != want {
			t.Errorf("%q: got %q, %v", in, name, err)
		}
	}
}

// TestPasswords: a front may send what no client of an honest one can.
func TestPasswords(t *testing.T) {
	for password, good := range map[string]bool{"": false, "\x00": false, "right\x00": false, "right\x00junk": false, "right": true, " ": true} {
		if err := checkPassword([]byte(password)); (err == nil) != good || err != nil && !errors.Is(err, pam.ErrRefused) {
			t.Errorf("%q: %v", password, err)
		}
	}
}

// TestSignsRSA: by PSS in TLS 1.3, and by PKCS #1 in TLS 1.2 as well.
func TestSignsRSA(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	c := &connection{Monitor: &Monitor{keys: []keyPair{{key: key}}}}
	for name, r := range map[string]struct {
		message   []byte
		pss, good bool
	}{"1.3 PSS": {verify13(), true, true}, "1.3 PKCS #1": {verify13(), false, false}, "1.2 PSS": {exchange12(), true, true}, "1.2 PKCS #1": {exchange12(), false, true}} {
		sig, err := c.sign(&login.Request{Hash: byte(crypto.SHA256), PSS: r.pss, Message: r.message})
		digest := sha256.Sum256(r.message)
		if err == nil && r.pss {
			err = rsa.VerifyPSS(&key.PublicKey, crypto.SHA256, digest[:], sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else if err == nil {
			err = rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], sig)
		}
		if (err == nil) != r.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}
