package monitor

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	_ "crypto/sha256" // hashes of the handshake's signatures
	_ "crypto/sha512"

	"smail/login"
)

// A keyPair is a certificate chain and the private key that never leaves here.
type keyPair struct {
	chain [][]byte // DER, leaf first
	key   crypto.Signer
}

// loadKeys loads all certificates and their keys.
func (m *Monitor) loadKeys() error {
	for i, cert := range m.Config.TLSCertificates {
		m.read = append(m.read, stampOf(cert), stampOf(m.Config.TLSKeys[i]))
		k, err := loadKeyPair(cert, m.Config.TLSKeys[i])
		if err != nil {
			return err
		}
		m.keys = append(m.keys, k)
	}
	return nil
}

// CheckKeys says whether the process of each connection will be able to load them.
func (m *Monitor) CheckKeys() error {
	err := m.loadKeys()
	m.keys = nil
	return err
}

// loadKeyPair reads two PEM files, as they are now: a renewed certificate
// counts from the next connection on.
func loadKeyPair(certFile, keyFile string) (keyPair, error) {
	var k keyPair
	certPEM, err := os.ReadFile(certFile)
	if err != nil {
		return k, fmt.Errorf("tls_certificate: %w", err)
	}
	for block, rest := pem.Decode(certPEM); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			k.chain = append(k.chain, block.Bytes)
		}
	}
	if len(k.chain) == 0 {
		return k, fmt.Errorf("tls_certificate %s: no CERTIFICATE block", certFile)
	}
	leaf, err := x509.ParseCertificate(k.chain[0])
	if err != nil {
		return k, fmt.Errorf("tls_certificate %s: %w", certFile, err)
	}
	keyPEM, err := os.ReadFile(keyFile)
	if err != nil {
		return k, fmt.Errorf("tls_key: %w", err)
	}
	defer clear(keyPEM)
	if k.key, err = parseKey(keyPEM); err != nil {
		return k, fmt.Errorf("tls_key %s: %w", keyFile, err)
	}
	if pub, ok := k.key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !pub.Equal(leaf.PublicKey) {
		return k, fmt.Errorf("tls_key %s does not belong to tls_certificate %s", keyFile, certFile)
	}
	return k, nil
}

// maxRSABits keeps a signature within a login frame.
const maxRSABits = 4096

func parseKey(text []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var key any
		var err error
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		default:
			continue
		}
		if err != nil {
			return nil, err
		}
		switch key := key.(type) {
		case *ecdsa.PrivateKey:
			return key, nil
		case ed25519.PrivateKey:
			return key, nil
		case *rsa.PrivateKey:
			if key.N.BitLen() > maxRSABits {
				return nil, fmt.Errorf("RSA key of more than %d bits", maxRSABits)
			}
			return key, nil
		}
		return nil, errors.New("neither an RSA, an ECDSA nor an Ed25519 key")
	}
	return nil, errors.New("no PRIVATE KEY block, or one behind a passphrase")
}

// sign makes the handshake's signature, after making sure that it is one: the
// key must not vouch for anything else that a front sends.
func (c *connection) sign(req *login.Request) ([]byte, error) {
	if int(req.Cert) >= len(c.keys) {
		return nil, errors.New("no such certificate")
	}
	key := c.keys[req.Cert].key
	_, isRSA := key.(*rsa.PrivateKey)
	switch {
	case certificateVerify(req.Message):
		if isRSA && !req.PSS { // RFC 8446 section 4.2.3: PKCS #1 is for certificates only
			return nil, errors.New("not a signature of TLS 1.3")
		}
	case !serverKeyExchange(req.Message):
		return nil, errors.New("not a handshake's message")
	}
	if _, ok := key.(ed25519.PrivateKey); ok {
		return key.Sign(rand.Reader, req.Message, crypto.Hash(0))
	}
	hash := crypto.Hash(req.Hash)
	if hash != crypto.SHA256 && hash != crypto.SHA384 && hash != crypto.SHA512 {
		return nil, errors.New("not a hash of TLS 1.2 or 1.3")
	}
	h := hash.New()
	h.Write(req.Message)
	var opts crypto.SignerOpts = hash
	if req.PSS {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
	}
	return key.Sign(rand.Reader, h.Sum(nil), opts)
}

// certificateVerify knows what a TLS 1.3 server signs: RFC 8446 section 4.4.3.
func certificateVerify(m []byte) bool {
	const context = "TLS 1.3, server CertificateVerify\x00"
	if len(m) < 64+len(context) {
		return false
	}
	for _, c := range m[:64] {
		if c != ' ' {
			return false
		}
	}
	hash := len(m) - 64 - len(context)
	return string(m[64:64+len(context)]) == context && (hash == 32 || hash == 48)
}

// serverKeyExchange knows what a TLS 1.2 server signs: the two randoms and
// ECDHE parameters of a named curve, RFC 8422 section 5.4.
func serverKeyExchange(m []byte) bool {
	const randoms, namedCurve = 64, 3
	return len(m) > randoms+4 && m[randoms] == namedCurve && len(m) == randoms+4+int(m[randoms+3])
}
