package front

import (
	"encoding/base64"
	"fmt"
	"strings"

	"smail/login"
	"smail/smtp"
)

// An smtpDialogue speaks submission (RFC 6409) until the client has logged in
// by AUTH, or has sent MAIL from an address of a recent login.
type smtpDialogue struct {
	*front
	greeted  string // EHLO's argument
	extended bool   // EHLO, not HELO
	bad      int
}

func (c *smtpDialogue) gone() string { return "421 4.3.0 Mail cannot be taken now\r\n" }

func (c *smtpDialogue) late() string { return "421 4.4.2 You did not log in in time\r\n" }

func (c *smtpDialogue) fail(code, text string) error {
	if c.bad++; c.bad > maxBad {
		c.write("421 4.7.0 Too many bad commands\r\n")
		return errBye
	}
	return c.write(code + " " + text + "\r\n")
}

func (c *smtpDialogue) run() (*login.Hello, error) {
	if !c.secure() || strings.HasSuffix(c.setup.Service, "s") { // none after STARTTLS
		if err := c.write("220 " + c.setup.Hostname + " ESMTP smail\r\n"); err != nil {
			return nil, err
		}
	}
	for {
		hello, err := c.command()
		if err == smtp.ErrLongLine {
			c.write("500 5.5.6 Line too long\r\n") // RFC 4954 section 4
		}
		if hello != nil || err != nil {
			return hello, err
		}
	}
}

// command reads and carries out one command.
func (c *smtpDialogue) command() (*login.Hello, error) {
	cmd, err := smtp.ReadCommand(c.r)
	if err != nil {
		return nil, err
	}
	if foreign(cmd.Verb) {
		return nil, errForeign
	}
	return c.execute(cmd)
}

func (c *smtpDialogue) execute(cmd smtp.Command) (*login.Hello, error) {
	switch cmd.Verb {
	case "EHLO", "HELO":
		return nil, c.greet(cmd)
	case "STARTTLS": // RFC 3207
		if c.secure() {
			return nil, c.fail("503", "5.5.1 TLS is on already")
		}
		if cmd.Rest != "" {
			return nil, c.fail("501", "5.5.4 STARTTLS takes no parameters")
		}
		if err := c.write("220 2.0.0 Begin TLS\r\n"); err != nil {
			return nil, err
		}
		return nil, errStartTLS
	case "AUTH":
		return c.auth(strings.Fields(cmd.Rest))
	case "NOOP", "RSET":
		return nil, c.write("250 2.0.0 OK\r\n")
	case "QUIT":
		c.write("221 2.0.0 Goodbye\r\n")
		return nil, errBye
	case "MAIL", "RCPT", "DATA", "BDAT", "VRFY":
		if cmd.Verb == "BDAT" { // its chunk would be taken for commands
			c.write("530 5.7.0 Log in first\r\n")
			return nil, errBye
		}
		if !c.secure() {
			return nil, c.fail("530", "5.7.0 Use STARTTLS first")
		}
		if cmd.Verb == "MAIL" && c.setup.Recent && c.greeted != "" {
			if hello, err := c.recent(cmd); hello != nil || err != nil {
				return hello, err
			}
		}
		return nil, c.fail("530", "5.7.0 Log in first")
	}
	return nil, c.fail("500", "5.5.2 Unknown command")
}

func (c *smtpDialogue) greet(cmd smtp.Command) error {
	name, _, _ := strings.Cut(cmd.Rest, " ") // what some printer is called may be two words
	if !smtp.Domain(name) {
		return c.fail("501", "5.5.4 A domain or an address is expected")
	}
	c.greeted, c.extended = name, cmd.Verb == "EHLO"
	if !c.extended {
		return c.write("250 " + c.setup.Hostname + "\r\n")
	}
	lines := []string{c.setup.Hostname, "PIPELINING", fmt.Sprintf("SIZE %d", c.setup.MaxMessageSize),
		"8BITMIME", "SMTPUTF8", "DSN", "CHUNKING", "ENHANCEDSTATUSCODES",
		fmt.Sprintf("LIMITS RCPTMAX=%d", c.setup.MaxRecipients)}
	if c.secure() {
		lines = append(lines, "AUTH PLAIN LOGIN")
	} else {
		lines = append(lines, "STARTTLS")
	}
	return c.write(smtp.Reply("250", lines...))
}

// auth: RFC 4954 section 4, with PLAIN, and LOGIN for Outlook.
func (c *smtpDialogue) auth(args []string) (*login.Hello, error) {
	switch {
	case !c.secure():
		return nil, c.fail("538", "5.7.11 Use STARTTLS first")
	case c.greeted == "" || !c.extended:
		return nil, c.fail("503", "5.5.1 EHLO first")
	case len(args) == 0 || len(args) > 2:
		return nil, c.fail("501", "5.5.4 A mechanism is expected")
	}
	var name string
	var password []byte
	var ok bool
	var err error
	switch strings.ToUpper(args[0]) {
	case "PLAIN":
		name, password, ok, err = c.plain(args[1:])
	case "LOGIN":
		name, password, ok, err = c.userThenPassword(args[1:])
	default:
		return nil, c.fail("504", "5.5.4 Only PLAIN and LOGIN are spoken here")
	}
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, c.fail("501", "5.5.2 Cancelled, or not a response of the mechanism")
	}
	return c.finish(name, password)
}

func (c *smtpDialogue) plain(initial []string) (string, []byte, bool, error) {
	response := ""
	if len(initial) == 1 {
		response = initial[0]
	} else {
		var err error
		if response, err = c.challenge(""); err != nil {
			return "", nil, false, err
		}
	}
	name, password, ok := decodePlain(response)
	return name, password, ok, nil
}

// userThenPassword is LOGIN, draft-murchison-sasl-login.
func (c *smtpDialogue) userThenPassword(initial []string) (string, []byte, bool, error) {
	name := ""
	if len(initial) == 1 {
		name = initial[0]
	} else {
		var err error
		if name, err = c.challenge("Username:"); err != nil {
			return "", nil, false, err
		}
	}
	if name == "*" {
		return "", nil, false, nil
	}
	password, err := c.challenge("Password:")
	if err != nil {
		return "", nil, false, err
	}
	n, err1 := base64.StdEncoding.DecodeString(name)
	p, err2 := base64.StdEncoding.DecodeString(password)
	return string(n), p, err1 == nil && err2 == nil, nil
}

func (c *smtpDialogue) challenge(text string) (string, error) {
	if err := c.write("334 " + base64.StdEncoding.EncodeToString([]byte(text)) + "\r\n"); err != nil {
		return "", err
	}
	return smtp.ReadLine(c.r)
}

// finish asks the monitor. The session says 235, once it can take mail.
func (c *smtpDialogue) finish(name string, password []byte) (*login.Hello, error) {
	status, err := c.password(name, password)
	if err != nil {
		return nil, err
	}
	if status == login.OK {
		return &login.Hello{Greeted: c.greeted}, nil
	}
	reply := "535 5.7.8 Wrong name or password\r\n"
	switch status {
	case login.Full:
		reply = "454 4.7.0 " + tooMany + "\r\n"
	case login.Unavailable:
		reply = "454 4.7.0 Logins are not possible now\r\n"
	}
	if err := c.write(reply); err != nil || !c.spent() {
		return nil, err
	}
	return nil, errBye
}

// recent asks the monitor whether one user has just logged in from here. Then
// it is the session that answers MAIL.
func (c *smtpDialogue) recent(mail smtp.Command) (*login.Hello, error) {
	status, err := c.ask(&login.Request{Kind: login.KindRecent})
	if err != nil {
		return nil, err
	}
	if status == login.OK {
		c.early = mail.Line + "\r\n"
		return &login.Hello{Greeted: c.greeted}, nil
	}
	c.setup.Recent = false // one question is enough
	return nil, nil
}
