// Package rig sets smail up in a folder of its own: certificate, PAM folder,
// configuration, and listeners on loopback. The tests and the demonstration of
// `make run` use it; nothing that is installed does.
package rig

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A Rig is one set-up.
type Rig struct {
	Dir     string
	Bin     string            // folder of the built programs
	Libexec string            // a copy of them that sessions can execute
	Config  map[string]string // directives of smail.conf; a name may hold "relay"
	procs   []*exec.Cmd
}

// New makes a rig in an empty or an existing folder, which every user may
// look into.
func New(dir, bin string) (*Rig, error) {
	r := &Rig{Dir: dir, Bin: bin, Libexec: filepath.Join(dir, "libexec")}
	if err := os.MkdirAll(r.Libexec, 0o755); err != nil {
		return nil, err
	}
	for _, d := range []string{dir, r.Libexec} {
		if err := os.Chmod(d, 0o755); err != nil {
			return nil, err
		}
	}
	for _, program := range []string{"smail-front", "smail-imap", "smail-pop3", "smail-submit", "smail-policyd"} {
		if err := copyFile(filepath.Join(bin, program), filepath.Join(r.Libexec, program), 0o711); err != nil {
			return nil, err
		}
	}
	r.Config = map[string]string{
		"hostname": "localhost", "libexec_dir": r.Libexec,
		"tls_certificate": r.path("cert.pem"), "tls_key": r.path("key.pem"),
		"pam_confdir": r.path("pam"), "session_file": r.path("sessions/sessions"),
	}
	if err := Certificate(r.path("cert.pem"), r.path("key.pem"), "localhost"); err != nil {
		return nil, err
	}
	for _, d := range []string{"pam", "sessions"} {
		if err := os.MkdirAll(r.path(d), 0o755); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *Rig) path(name string) string { return filepath.Join(r.Dir, name) }

// PAM writes the service file "smail".
func (r *Rig) PAM(lines ...string) error {
	return os.WriteFile(r.path("pam/smail"), []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}

// PasswordPAM makes PAM accept one name with one password, without an account
// of the system being touched.
func (r *Rig) PasswordPAM(name, password string) error {
	if err := os.WriteFile(r.path("password"), []byte(password+"\n"), 0o600); err != nil {
		return err
	}
	script := fmt.Sprintf("#!/bin/sh\ngiven=$(tr -d '\\000')\n[ \"$PAM_USER\" = '%s' ] && [ \"$given\" = \"$(cat '%s')\" ]\n",
		name, r.path("password"))
	if err := os.WriteFile(r.path("pam-check"), []byte(script), 0o755); err != nil {
		return err
	}
	return r.PAM("auth [success=1 ignore=1 default=ignore] pam_exec.so quiet expose_authtok "+r.path("pam-check"),
		"auth requisite pam_deny.so", // a failure of pam_exec would be one of the system
		"auth required pam_permit.so",
		"account required pam_permit.so", "session required pam_permit.so")
}

// WriteConfig writes smail.conf and returns its path.
func (r *Rig) WriteConfig() (string, error) {
	var b strings.Builder
	for name, value := range r.Config {
		fmt.Fprintf(&b, "%s %s\n", name, value)
	}
	path := r.path("smail.conf")
	return path, os.WriteFile(path, []byte(b.String()), 0o644)
}

// Listen starts smaild on a listening socket of its own and returns the
// address, for ":0" with the port that it got.
func (r *Rig) Listen(service, address string, log io.Writer) (string, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", err
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		return "", err
	}
	defer f.Close()
	cmd := exec.Command(filepath.Join(r.Bin, "smaild"), "-config", r.path("smail.conf"), service)
	cmd.Stdin, cmd.Stderr = f, log
	if _, err := r.Start(cmd); err != nil {
		return "", err
	}
	return l.Addr().String(), nil
}

// Start starts a program that Stop will end, with its whole process group.
func (r *Rig) Start(cmd *exec.Cmd) (*exec.Cmd, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r.procs = append(r.procs, cmd)
	return cmd, nil
}

// Stop ends everything that was started.
func (r *Rig) Stop() {
	for _, cmd := range r.procs {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	}
	for _, cmd := range r.procs {
		timer := time.AfterFunc(3*time.Second, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		cmd.Wait()
		timer.Stop()
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // sessions that outlived the listener
	}
	r.procs = nil
}

// Certificate makes a self-signed certificate for a name and for 127.0.0.1.
func Certificate(certFile, keyFile, name string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true}
	cert, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(writePEM(certFile, "CERTIFICATE", cert, 0o644), writePEM(keyFile, "PRIVATE KEY", der, 0o600))
}

// writePEM replaces a file as certificate tools do: by rename.
func writePEM(path, typ string, der []byte, mode os.FileMode) error {
	text := pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der})
	if err := os.WriteFile(path+".new", text, mode); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func copyFile(from, to string, mode os.FileMode) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	os.Remove(to) // it may be running
	if err := os.WriteFile(to, b, mode); err != nil {
		return err
	}
	return os.Chmod(to, mode)
}
