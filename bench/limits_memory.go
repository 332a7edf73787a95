package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// holdCommand is the hidden sub-command of limitMemory's child processes.
const holdCommand = "hold-connection"

// holdConnection accepts one TLS connection on the listening socket that is
// file descriptor 3, answers one line and waits for the end.
func holdConnection() error {
	pair, err := tls.LoadX509KeyPair("/dev/fd/4", "/dev/fd/5")
	if err != nil {
		return err
	}
	c, err := net.FileConn(os.NewFile(3, "conn"))
	if err != nil {
		return err
	}
	s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13})
	if _, err := s.Write([]byte("* OK\r\n")); err != nil {
		return err
	}
	var b [16]byte
	for {
		if _, err := s.Read(b[:]); err != nil {
			return nil
		}
	}
}

// limitMemory: one Go process per connection, each holding one idle TLS
// session and nothing else.
func limitMemory(x *run, cert tls.Certificate) error {
	const n = 200
	dir := filepath.Join(x.b.dir, "scratch")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	files, err := pairFiles(dir, cert)
	if err != nil {
		return err
	}
	defer files[0].Close()
	defer files[1].Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	var pids []int
	for range n {
		cmd, conn, err := startHolder(l, files)
		if err != nil {
			return err
		}
		defer cmd.Wait()
		defer conn.Close()
		pids = append(pids, cmd.Process.Pid)
		c, err := handshake(conn, nil)
		if err != nil {
			return err
		}
		if _, err := newReader(c).line(); err != nil {
			return err
		}
	}
	time.Sleep(time.Second)
	m := memOf(pids)
	x.rec("mem.200.pss", "KiB/conn", "low", float64(m.pss)/n)
	x.rec("mem.200.private", "KiB/conn", "low", float64(m.private)/n)
	x.rec("mem.200.procs", "processes", "", float64(m.procs))
	return nil
}

// startHolder starts a process that has one end of a connection; the other is
// returned.
func startHolder(l net.Listener, files []*os.File) (*exec.Cmd, net.Conn, error) {
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	s, err := l.Accept()
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	end, err := s.(*net.TCPConn).File()
	s.Close()
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	defer end.Close()
	cmd := exec.Command("/proc/self/exe", holdCommand)
	cmd.ExtraFiles = append([]*os.File{end}, files...)
	if err := cmd.Start(); err != nil {
		conn.Close()
		return nil, nil, err
	}
	return cmd, conn, nil
}

// pairFiles writes a certificate and its key, and opens both.
func pairFiles(dir string, cert tls.Certificate) ([]*os.File, error) {
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for _, block := range []*pem.Block{{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}, {Type: "PRIVATE KEY", Bytes: key}} {
		p := filepath.Join(dir, block.Type)
		if err := os.WriteFile(p, pem.EncodeToMemory(block), 0o600); err != nil {
			return nil, err
		}
		f, err := os.Open(p)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}
