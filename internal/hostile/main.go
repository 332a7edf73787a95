// Command hostile stands where smail-front stands, and does what somebody would
// who has taken that over. The file "mode" beside the program says what; it
// reports on descriptor 2, the log.
package main

import (
	"bytes"
	"crypto"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"smail/login"
)

func main() {
	self, _ := os.Executable()
	text, _ := os.ReadFile(filepath.Join(filepath.Dir(self), "mode"))
	mode, rest, _ := strings.Cut(string(text), "\n")
	attack, known := attacks[mode]
	if !known {
		say("no attack", mode)
		return
	}
	conn, setup, err := login.ReceiveConn(login.FDSetup, login.MaxSetup)
	if err != nil {
		return // a spare that nobody wanted
	}
	say("began", mode)
	attack(conn, setup, rest)
	say("done", mode)
}

func say(what, detail string) { fmt.Fprintf(os.Stderr, "hostile %s: %s\n", what, detail) }

var attacks = map[string]func(conn int, setup []byte, rest string){
	"look":      look,
	"text":      func(int, []byte, string) { sign([]byte("I owe Mallory a thousand")) },
	"twice":     func(int, []byte, string) { sign(verify()); sign(verify()) },
	"passwords": passwords,
	"recent": func(int, []byte, string) {
		ask(&login.Request{Kind: login.KindRecent})
	},
	"garbage": func(int, []byte, string) { send(bytes.Repeat([]byte{0xff}, 300)) },
	"answer":  func(int, []byte, string) { login.WriteAnswer(login.FDLogin, login.Answer{Status: login.OK}) },
	"long":    func(int, []byte, string) { send(append([]byte{1, 'p'}, make([]byte, 60<<10)...)) },
	"flood":   flood,
	"silent":  func(int, []byte, string) { time.Sleep(time.Hour) },
	"session": session,
}

func send(frame []byte) {
	err := syscall.Sendto(login.FDLogin, frame, syscall.MSG_NOSIGNAL, nil)
	a, aerr := login.ReadAnswer(login.FDLogin)
	say("sent", fmt.Sprint(err, " answer ", a.Status, aerr))
}

func ask(r *login.Request) login.Answer {
	err := login.WriteRequest(login.FDLogin, r)
	if err != nil {
		say("refused", err.Error())
		return login.Answer{}
	}
	a, err := login.ReadAnswer(login.FDLogin)
	if err != nil {
		say("refused", err.Error())
		return login.Answer{}
	}
	say("answered", string(a.Status))
	return a
}

// verify is what a TLS 1.3 server signs.
func verify() []byte {
	return append([]byte(strings.Repeat(" ", 64)+"TLS 1.3, server CertificateVerify\x00"), make([]byte, 32)...)
}

func sign(message []byte) {
	ask(&login.Request{Kind: login.KindSign, Hash: byte(crypto.SHA256), Message: message})
}

// passwords tries more than a client may.
func passwords(int, []byte, string) {
	for range 100 {
		if a := ask(&login.Request{Kind: login.KindPassword, Name: "root", Password: []byte("toor")}); a.Status == 0 {
			return
		}
	}
}

// flood sends as much as it can and reads no answer.
func flood(int, []byte, string) {
	b := []byte{1, byte(login.KindPassword), 0, 1, 'x', 0, 1, 'y'}
	for n := range 1 << 20 {
		if err := syscall.Sendto(login.FDLogin, b, syscall.MSG_NOSIGNAL|syscall.MSG_DONTWAIT, nil); err != nil && err != syscall.EAGAIN {
			say("refused", fmt.Sprint(err))
			return
		} else if err == syscall.EAGAIN {
			time.Sleep(time.Millisecond)
		}
		if n%1000 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

// look says what a front can see, before it has confined itself: rest is a list
// of files and pids.
func look(_ int, setup []byte, rest string) {
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range fds {
		to, _ := os.Readlink("/proc/self/fd/" + fd.Name())
		say("descriptor", fd.Name()+" "+to)
	}
	say("environment", strings.Join(os.Environ(), " "))
	say("key in setup", fmt.Sprint(bytes.Contains(setup, []byte(rest[strings.Index(rest, "\n")+1:]))))
	for path := range strings.FieldsSeq(rest[:strings.Index(rest, "\n")]) {
		_, err := os.ReadFile(path)
		say("read", fmt.Sprint(path, " ", err))
	}
	parent := os.Getppid()
	say("kill", fmt.Sprint(syscall.Kill(parent, syscall.SIGTERM)))
	say("attach", fmt.Sprint(syscall.PtraceAttach(parent)))
	say("become root", fmt.Sprint(syscall.Setuid(0)))
	_, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", parent))
	say("environ of the monitor", fmt.Sprint(err))
}

// session logs in with the name and password in rest, lies in its Hello, and reads
// what the session says to IMAP commands that reach for what is not the user's.
func session(_ int, _ []byte, rest string) {
	name, password, _ := strings.Cut(rest, "\n")
	ask(&login.Request{Kind: login.KindPassword, Name: name, Password: []byte(password)})
	mail := os.NewFile(login.FDMail, "mail")
	login.WriteHello(mail, &login.Hello{Tag: "x\r\n* OK forged", Greeted: "root", TLS: "none", Cipher: "none"})
	fmt.Fprint(mail, "a STATUS \"../../smailbob/Maildir\" (MESSAGES)\r\nb LIST \"\" \"/%\"\r\nc SELECT /etc/passwd\r\nd LOGOUT\r\n")
	text := make([]byte, 64<<10)
	for {
		n, err := mail.Read(text)
		if err != nil {
			return
		}
		say("session said", fmt.Sprintf("%q", text[:n]))
	}
}
