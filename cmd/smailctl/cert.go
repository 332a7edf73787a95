package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"strings"
	"time"
)

// certYears is long: nobody renews a certificate that nobody can verify.
const certYears = 10

// makeCert writes a self-signed certificate for names, the host's own unless
// given, and its key. It never overwrites anything.
func makeCert(args []string, out io.Writer) error {
	args, err := flags("makecert", args, func(*flag.FlagSet) {}, 100)
	if err != nil {
		return err
	}
	if len(args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: smailctl makecert CERTIFICATE KEY [NAME ...]")
		return errUsage
	}
	certFile, keyFile, names := args[0], args[1], args[2:]
	if len(names) == 0 {
		names = hostNames()
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: names[0]},
		DNSNames:              names,
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().AddDate(certYears, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	if err := writeNew(keyFile, "PRIVATE KEY", keyDER, 0o600); err != nil {
		return err
	}
	if err := writeNew(certFile, "CERTIFICATE", der, 0o644); err != nil {
		return errors.Join(err, os.Remove(keyFile))
	}
	fmt.Fprintf(out, "self-signed certificate for %s: %s\n", strings.Join(names, ", "), certFile)
	return nil
}

// writeNew writes a PEM file that must not exist yet.
func writeNew(path, kind string, der []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	err = pem.Encode(f, &pem.Block{Type: kind, Bytes: der})
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(path)
		return err
	}
	return nil
}

// hostNames returns the host's full name, and the short one if it differs.
func hostNames() []string {
	short, _ := os.Hostname()
	if short == "" {
		short = "localhost"
	}
	full, err := exec.Command("hostname", "-f").Output()
	if name := strings.TrimSpace(string(full)); err == nil && name != short && name != "" {
		return []string{name, short}
	}
	return []string{short}
}
