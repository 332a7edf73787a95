package front

import (
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"

	"smail/login"
)

// startTLS makes the handshake. Only TLS 1.2 and 1.3 with AEAD suites; no
// session tickets, whose keys would outlive the connection.
func (f *front) startTLS() error {
	cfg := &tls.Config{
		MinVersion:                  tls.VersionTLS12,
		CipherSuites:                aeadSuites,
		SessionTicketsDisabled:      true,
		DynamicRecordSizingDisabled: true,
		NextProtos:                  protocols[strings.TrimSuffix(f.setup.Service, "s")],
	}
	for i, chain := range f.setup.Chains {
		leaf, err := x509.ParseCertificate(chain[0])
		if err != nil {
			return fmt.Errorf("certificate %d: %w", i, err)
		}
		key := &remoteKey{public: leaf.PublicKey, cert: byte(i)}
		cfg.Certificates = append(cfg.Certificates, tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf})
	}
	conn := tls.Server(f.conn, cfg)
	if err := conn.Handshake(); err != nil {
		if what, _, named := strings.Cut(err.Error(), " ("); named { // then the names that a client asked for follow
			return fmt.Errorf("TLS handshake: %s", what)
		}
		return fmt.Errorf("TLS handshake: %w", err)
	}
	f.conn, f.tls, f.state = conn, conn, conn.ConnectionState()
	return nil
}

// protocols are the names that a client may ask for, where it asks (RFC 7301). One
// that asks for others is no mail client, and gets no handshake: RFC 9325 section 3.7.
var protocols = map[string][]string{"imap": {"imap"}, "pop3": {"pop3"}, "submission": {"submission", "smtp"}}

// aeadSuites are the suites of TLS 1.2 with forward secrecy and an AEAD; those
// of TLS 1.3 all are.
var aeadSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// A remoteKey signs by asking the monitor. It hands over the message and not
// its hash, so that the monitor can see that it is a handshake's.
type remoteKey struct {
	public crypto.PublicKey
	cert   byte
}

var _ crypto.MessageSigner = (*remoteKey)(nil)

func (k *remoteKey) Public() crypto.PublicKey { return k.public }

func (k *remoteKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("only whole messages are signed")
}

func (k *remoteKey) SignMessage(_ io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
	_, pss := opts.(*rsa.PSSOptions)
	err := login.WriteRequest(login.FDLogin, &login.Request{Kind: login.KindSign, Cert: k.cert,
		Hash: byte(opts.HashFunc()), PSS: pss, Message: msg})
	if err != nil {
		return nil, err
	}
	a, err := login.ReadAnswer(login.FDLogin)
	if err != nil {
		return nil, err
	}
	if a.Status != login.Signed {
		return nil, errors.New("smaild did not sign")
	}
	return a.Data, nil
}
