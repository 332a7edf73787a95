package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"embed"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	texttemplate "text/template"

	"smail/config"
)

//go:embed templates
var templates embed.FS

// A clientSetup is what the templates are filled with.
type clientSetup struct {
	Host        string   // where clients connect to
	Domains     []string // of the users' addresses; the first is the main one
	LogInByAddr bool     // whether the whole address is a login name, too
	Fingerprint string   // of a certificate that no client knows, else ""
	MaxMessage  string
}

func (c clientSetup) Domain() string { return c.Domains[0] }

// UUID makes a name for a part of the .mobileconfig that stays the same each
// time, so that a profile replaces the one before (RFC 9562 section 5.8).
func (c clientSetup) UUID(part string) string {
	h := sha256.Sum256([]byte("smail " + part + " " + c.Host + " " + c.Domain()))
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80
	return strings.ToUpper(fmt.Sprintf("%x-%x-%x-%x-%x", h[0:4], h[4:6], h[6:8], h[8:10], h[10:16]))
}

// Reversed is the domain as Apple names things: org.example.
func (c clientSetup) Reversed() string {
	labels := strings.Split(c.Domain(), ".")
	slices.Reverse(labels)
	return strings.Join(labels, ".")
}

// clientFiles maps what is written to its template. Thunderbird asks a web
// server of the domain for the second or third, Outlook for the fourth.
var clientFiles = []struct{ path, template string }{
	{"index.html", "index.html"},
	{".well-known/autoconfig/mail/config-v1.1.xml", "autoconfig.xml"},
	{"mail/config-v1.1.xml", "autoconfig.xml"},
	{"autodiscover/autodiscover.xml", "autodiscover.xml"},
	{"mail.mobileconfig", "mobileconfig.xml"},
	{"dns.txt", "dns.txt"},
}

// clientConfig writes what users and their programs need to set themselves
// up, as a folder that any web server can serve, or prints the settings and
// the DNS records.
func clientConfig(args []string, out io.Writer) error {
	var dir string
	var setup clientSetup
	if _, err := flags("clientconfig", args, func(f *flag.FlagSet) {
		f.StringVar(&dir, "out", "", "`folder` to write, made if missing")
		f.Func("domain", "mail `domain` of the users' addresses; may be given more than once (default: login_domains, else hostname)", func(v string) error {
			setup.Domains = append(setup.Domains, v)
			return nil
		})
	}, 0); err != nil {
		return err
	}
	cfg, err := config.Load(configPath)
	if err != nil {
		return err
	}
	setup.complete(cfg)
	if dir == "" {
		text, err := fill("dns.txt", setup)
		if err == nil {
			_, err = out.Write(text)
		}
		return err
	}
	return writeClientFiles(dir, setup, out)
}

// complete takes from the configuration what was not given.
func (c *clientSetup) complete(cfg *config.Config) {
	c.Host, c.MaxMessage, c.Fingerprint = cfg.Hostname, sizeText(cfg.MaxMessageSize), selfSigned(cfg)
	if !strings.Contains(c.Host, ".") {
		fmt.Fprintf(os.Stderr, "smailctl: clients elsewhere cannot find a host named %s; set hostname\n", c.Host)
	}
	if c.Domains == nil {
		c.Domains = cfg.LoginDomains
	}
	if c.Domains == nil {
		c.Domains = []string{cfg.Hostname}
	}
	c.LogInByAddr = true
	for _, d := range c.Domains {
		if !slices.Contains(cfg.LoginDomains, d) {
			c.LogInByAddr = false
			fmt.Fprintf(os.Stderr, "smailctl: %s is not in login_domains: clients that log in with the whole address, as Outlook and phones do, will be refused\n", d)
		}
	}
}

func writeClientFiles(dir string, setup clientSetup, out io.Writer) error {
	// What others have written there stays.
	page, err := os.ReadFile(filepath.Join(dir, "index.html"))
	if err == nil && !bytes.Contains(page, []byte(pageMark)) {
		return fmt.Errorf("%s has a page that is not ours: give a folder of its own", dir)
	}
	for _, f := range clientFiles {
		path := filepath.Join(dir, f.path)
		if _, there := os.Lstat(path); there == nil && err != nil {
			return fmt.Errorf("%s is there, and no page of ours: give a folder of its own", path)
		}
	}
	for _, f := range clientFiles {
		text, err := fill(f.template, setup)
		if err != nil {
			return err
		}
		path := filepath.Join(dir, f.path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := replaceFile(path, text); err != nil {
			return err
		}
		fmt.Fprintln(out, path)
	}
	return nil
}

// pageMark tells a page that clientconfig has written.
const pageMark = `<meta name="generator" content="smailctl clientconfig">`

// replaceFile puts a new file in the place of an old one, and never writes
// through a link that somebody else has put there.
func replaceFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".smailctl-")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// fill executes a template; what is XML or HTML is escaped.
func fill(name string, setup clientSetup) ([]byte, error) {
	var b bytes.Buffer
	if strings.HasSuffix(name, ".txt") {
		t, err := texttemplate.ParseFS(templates, "templates/"+name)
		if err != nil {
			return nil, err
		}
		err = t.Execute(&b, setup)
		return b.Bytes(), err
	}
	t, err := template.ParseFS(templates, "templates/"+name)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(name, ".xml") { // html/template would escape the declarations
		b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
	}
	if name == "mobileconfig.xml" {
		b.WriteString(`<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">` + "\n")
	}
	err = t.Execute(&b, setup)
	return b.Bytes(), err
}

// selfSigned returns the first certificate's fingerprint as people compare
// it, if nobody but itself vouches for it.
func selfSigned(cfg *config.Config) string {
	if len(cfg.TLSCertificates) == 0 {
		return ""
	}
	text, err := os.ReadFile(cfg.TLSCertificates[0])
	if err != nil {
		fmt.Fprintf(os.Stderr, "smailctl: %v: the page will not say what users should know of it\n", err)
		return ""
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return ""
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil || !bytes.Equal(cert.RawIssuer, cert.RawSubject) {
		return ""
	}
	sum := sha256.Sum256(cert.Raw)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
}

func sizeText(bytes int64) string {
	if bytes >= 1<<20 {
		return fmt.Sprintf("%d MB", bytes>>20)
	}
	return fmt.Sprintf("%d KB", bytes>>10)
}
