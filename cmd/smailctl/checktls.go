package main

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strings"
	"time"

	"smail/config"
)

// renewDays is when a certificate should have been renewed: certbot does so
// thirty days before the end.
const renewDays = 14

// maxRSABits is monitor's: a signature must fit into a login frame.
const maxRSABits = 4096

// checkCertificates reads each pair as smaild does for a connection.
func checkCertificates(r *report, cfg *config.Config, now time.Time) {
	if len(cfg.TLSCertificates) == 0 {
		r.err("certificate", "no tls_certificate and tls_key: smail serves nothing without TLS")
	}
	covered := false
	for i, file := range cfg.TLSCertificates {
		key := cfg.TLSKeys[i]
		pair, err := tls.LoadX509KeyPair(file, key)
		if errors.Is(err, os.ErrPermission) && os.Getuid() != 0 {
			r.warn("certificate", "%v: only root can look", err)
			covered = true
			continue
		}
		if err != nil {
			r.err("certificate", "%s with %s: %v", file, key, err)
			continue
		}
		if k, ok := pair.PrivateKey.(*rsa.PrivateKey); ok && k.N.BitLen() > maxRSABits {
			r.err("certificate", "%s is an RSA key of more than %d bits, which smaild does not take", key, maxRSABits)
			continue
		}
		checkMode(r, "certificate", key)
		if st, err := os.Stat(key); err == nil && st.Mode()&0o004 != 0 {
			r.err("certificate", "%s can be read by everybody; chmod o-r %s", key, key)
		}
		covered = checkCertificate(r, file, pair.Leaf, cfg.Hostname, now) || covered
	}
	if len(cfg.TLSCertificates) > 0 && !covered {
		r.warn("certificate", "none is for hostname %s: clients that use this name will complain", cfg.Hostname)
	}
}

// checkCertificate looks at one, and says whether it is for the host's name.
func checkCertificate(r *report, file string, cert *x509.Certificate, hostname string, now time.Time) bool {
	names := strings.Join(cert.DNSNames, ", ")
	if names == "" {
		names = "no name"
	}
	left := int(cert.NotAfter.Sub(now).Hours() / 24)
	switch {
	case now.Before(cert.NotBefore):
		r.err("certificate", "%s is not valid before %s", file, cert.NotBefore.Format(time.DateOnly))
	case now.After(cert.NotAfter):
		r.err("certificate", "%s ended on %s; renew it", file, cert.NotAfter.Format(time.DateOnly))
	case bytes.Equal(cert.RawIssuer, cert.RawSubject):
		r.warn("certificate", "%s, for %s, is self-signed: clients will ask their users; smail(7) says how to use a real one", file, names)
	case left < renewDays:
		r.warn("certificate", "%s ends on %s, in %d days; renew it", file, cert.NotAfter.Format(time.DateOnly), left)
	default:
		r.ok("certificate", "%s, for %s, until %s", file, names, cert.NotAfter.Format(time.DateOnly))
	}
	return cert.VerifyHostname(hostname) == nil
}

// checkNames looks at what the DNS says of the host, and where it sends the
// clients of each domain (RFC 6186, RFC 8314).
func checkNames(r *report, cfg *config.Config) {
	if !strings.Contains(cfg.Hostname, ".") {
		r.warn("name", "hostname %s is not a full name; set hostname", cfg.Hostname)
	}
	if addrs, err := lookup(net.DefaultResolver.LookupHost, cfg.Hostname); err != nil {
		r.warn("name", "%v: clients will not find this host", err)
	} else {
		r.ok("name", "%s is %s", cfg.Hostname, strings.Join(addrs, ", "))
	}
	for _, domain := range cfg.LoginDomains {
		for _, service := range []string{"imaps", "pop3s", "submissions"} {
			checkService(r, cfg, service, domain)
		}
	}
}

// lookup bounds a question to the DNS.
func lookup[T any](ask func(context.Context, string) (T, error), name string) (T, error) {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	return ask(ctx, name)
}

// checkService compares where the DNS sends a domain's clients with the names
// that the certificates are for.
func checkService(r *report, cfg *config.Config, service, domain string) {
	records, err := lookup(func(ctx context.Context, domain string) ([]*net.SRV, error) {
		_, records, err := net.DefaultResolver.LookupSRV(ctx, service, "tcp", domain)
		return records, err
	}, domain)
	var problem *net.DNSError
	if errors.As(err, &problem) && problem.IsNotFound {
		r.ok("name", "_%s._tcp.%s is not there; clients guess, smailctl clientconfig prints the records", service, domain)
		return
	}
	if err != nil {
		r.warn("name", "_%s._tcp.%s: %v", service, domain, err)
	}
	for _, record := range records {
		switch target := strings.TrimSuffix(record.Target, "."); {
		case target == "":
			r.warn("name", "_%s._tcp.%s says that there is no such service", service, domain)
		case !certified(cfg, target):
			r.warn("name", "_%s._tcp.%s sends clients to %s, which no certificate is for", service, domain, target)
		default:
			r.ok("name", "_%s._tcp.%s sends clients to %s:%d", service, domain, target, record.Port)
		}
	}
}

// certified says whether a certificate is for a name.
func certified(cfg *config.Config, name string) bool {
	for i := range cfg.TLSCertificates {
		pair, err := tls.LoadX509KeyPair(cfg.TLSCertificates[i], cfg.TLSKeys[i])
		if err == nil && pair.Leaf.VerifyHostname(name) == nil {
			return true
		}
	}
	return false
}
