package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"smail/config"
	"smail/logline"
	"smail/sender"
	"smail/sessionfile"
)

// Limits of what an MTA may ask.
const (
	maxLine       = 8 << 10
	maxAttributes = 100
	maxNetstring  = 4 << 10
	clientTimeout = 10 * time.Minute
)

// A server answers MTAs. The configuration is read for each connection.
type server struct{ configPath string }

// serve speaks with one client, in the protocol that it begins with: a digit is
// socketmap's netstring, get is tcp_table's, anything else a policy request.
func (s *server) serve(conn net.Conn) {
	defer conn.Close()
	cfg, err := config.Load(s.configPath)
	if err != nil {
		logline.Error("configuration", "reason", err.Error())
		return
	}
	q := &asker{cfg: cfg, r: bufio.NewReaderSize(deadlined{conn}, maxLine), w: conn}
	begin, _ := q.r.Peek(4)
	talk := q.policy
	switch {
	case len(begin) > 0 && begin[0] >= '0' && begin[0] <= '9':
		talk = q.socketmap
	case string(begin) == "get " || string(begin) == "put ":
		talk = q.tcpTable
	}
	for err == nil {
		err = talk()
	}
	if err != io.EOF {
		logline.Warn("connection ends", "reason", err.Error())
	}
}

// deadlined bounds how long a client may be silent.
type deadlined struct{ net.Conn }

func (d deadlined) Read(p []byte) (int, error) {
	d.SetDeadline(time.Now().Add(clientTimeout))
	return d.Conn.Read(p)
}

type asker struct {
	cfg *config.Config
	r   *bufio.Reader
	w   io.Writer
}

// vouched returns the record of the user who may send from an address.
func (q *asker) vouched(address string) (r sessionfile.Record, ok bool, err error) {
	addr, err := netip.ParseAddr(address)
	if err != nil { // a name, or a part of an address, as Postfix asks too
		return r, false, nil
	}
	recs, err := sessionfile.At(q.cfg.SessionFile, addr)
	if err != nil {
		logline.Error("session file", "reason", err.Error())
		return r, false, err
	}
	rule := sessionfile.Rule{Window: q.cfg.RelayWindow, LiveOnly: q.cfg.RelayLiveOnly, Deny: q.cfg.RelayDenyNetworks}
	r, ok = rule.Sender(recs, addr)
	return r, ok, nil
}

// line reads one line without its end.
func (q *asker) line() (string, error) {
	b, err := q.r.ReadSlice('\n')
	switch {
	case err == io.EOF && len(b) > 0:
		return "", io.ErrUnexpectedEOF
	case err == bufio.ErrBufferFull:
		return "", errors.New("line too long")
	case err != nil:
		return "", err
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// policy answers one request of Postfix's policy delegation
// (SMTPD_POLICY_README): attributes, a line each, up to an empty one.
func (q *asker) policy() error {
	attributes := map[string]string{}
	for range maxAttributes {
		line, err := q.line()
		if err == io.EOF && len(attributes) > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		if line == "" {
			_, err := fmt.Fprintf(q.w, "action=%s\n\n", q.action(attributes))
			return err
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return errors.New("not an attribute of a policy request")
		}
		attributes[name] = value
	}
	return errors.New("too many attributes")
}

// action permits an envelope sender that is the user's who was last seen at the
// client's address. About anything else it has nothing to say.
func (q *asker) action(attributes map[string]string) string {
	from, address := attributes["sender"], attributes["client_address"]
	if attributes["request"] != "smtpd_access_policy" || attributes["sasl_username"] != "" || from == "" {
		return "DUNNO"
	}
	r, ok, _ := q.vouched(address)
	if !ok {
		return "DUNNO"
	}
	own, err := sender.Of(r.User, q.cfg.Hostname, q.cfg.LoginDomains, q.cfg.SendersFile)
	if err != nil {
		logline.Warn("senders file", "reason", err.Error())
	}
	if !own.Own(from) {
		logline.Warn("sender refused", "user", r.User, "peer", address, "from", from)
		return "DUNNO"
	}
	logline.Info("permitted", "user", r.User, "peer", address, "from", from, "to", attributes["recipient"])
	return "PERMIT"
}

// socketmap answers one request (socketmap_table(5)): a netstring of a map's
// name and a key, which is an address.
func (q *asker) socketmap() error {
	size, err := q.r.ReadSlice(':')
	if err == io.EOF && len(size) == 0 {
		return err
	}
	n, perr := strconv.ParseUint(strings.TrimSuffix(string(size), ":"), 10, 31)
	if err != nil || perr != nil || n > maxNetstring { // a buffer of digits is none
		return errors.New("not a netstring")
	}
	b := make([]byte, n+1)
	if _, err := io.ReadFull(q.r, b); err != nil {
		return io.ErrUnexpectedEOF
	}
	if b[n] != ',' {
		return errors.New("not a netstring")
	}
	name, key, _ := strings.Cut(string(b[:n]), " ")
	value, ok, err := q.lookUp(name, key)
	reply := "NOTFOUND "
	switch {
	case err == errNoMap:
		reply = "PERM " + err.Error()
	case err != nil:
		reply = "TEMP the session file cannot be read"
	case ok:
		reply = "OK " + value
	}
	_, err = fmt.Fprintf(q.w, "%d:%s,", len(reply), reply)
	return err
}

var errNoMap = errors.New("no such map: client, relay and user are there")

// lookUp is a map from addresses that may send: to OK for Postfix's access
// tables, to RELAY for sendmail's, or to the user.
func (q *asker) lookUp(name, key string) (value string, ok bool, err error) {
	r, ok, err := q.vouched(key)
	switch name {
	case "client":
		return "OK", ok, err
	case "relay":
		return "RELAY", ok, err
	case "user":
		return r.User, ok, err
	}
	return "", false, errNoMap
}

// tcpTable answers one request (tcp_table(5)) with map client.
func (q *asker) tcpTable() error {
	line, err := q.line()
	if err != nil {
		return err
	}
	reply := "500 not found"
	verb, encoded, _ := strings.Cut(line, " ")
	key, err := url.PathUnescape(encoded)
	if verb != "get" || err != nil {
		reply = "400 only get is understood"
	} else if value, ok, err := q.lookUp("client", key); err != nil {
		reply = "400 the session file cannot be read"
	} else if ok {
		reply = "200 " + value
	}
	_, err = io.WriteString(q.w, reply+"\n")
	return err
}
