package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"strings"
	"time"

	"smail/config"
)

// renewDays is when a certificate should have been renewed: certbot does so
// thirty days before the end.
const renewDays = 14

// checkCertificates reads each pair as smaild does for a connection.
func checkCertificates(r *report, cfg *config.Config, now time.Time) {
	if len(cfg.TLSCertificates) == 0 {
		r.err("certificate", "no tls_certificate and tls_key: smail serves nothing without TLS")
	}
	covered := false
	for i, file := range cfg.TLSCertificates {
		key := cfg.TLSKeys[i]
		pair, err := tls.LoadX509KeyPair(file, key)
		if err != nil {
			r.err("certificate", "%s with %s: %v", file, key, err)
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
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	if addrs, err := net.DefaultResolver.LookupHost(ctx, cfg.Hostname); err != nil {
		r.warn("name", "%v: clients will not find this host", err)
	} else {
		r.ok("name", "%s is %s", cfg.Hostname, strings.Join(addrs, ", "))
	}
	for _, domain := range cfg.LoginDomains {
		checkService(ctx, r, cfg, domain)
	}
}

// checkService compares where the DNS sends a domain's clients with the names
// that the certificates are for.
func checkService(ctx context.Context, r *report, cfg *config.Config, domain string) {
	_, records, err := net.DefaultResolver.LookupSRV(ctx, "imaps", "tcp", domain)
	if err != nil {
		r.ok("name", "%s has no _imaps._tcp record; clients guess, smailctl clientconfig prints the records", domain)
		return
	}
	for _, record := range records {
		target := strings.TrimSuffix(record.Target, ".")
		found := false
		for i := range cfg.TLSCertificates {
			pair, err := tls.LoadX509KeyPair(cfg.TLSCertificates[i], cfg.TLSKeys[i])
			found = found || err == nil && pair.Leaf.VerifyHostname(target) == nil
		}
		if !found {
			r.warn("name", "%s sends clients to %s, which no certificate is for", domain, target)
			continue
		}
		r.ok("name", "%s sends clients to %s:%d", domain, target, record.Port)
	}
}
