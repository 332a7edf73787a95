package front

import (
	"strings"

	"smail/login"
	"smail/pop3"
)

// A pop3Dialogue speaks POP3 in its AUTHORIZATION state, RFC 1939 section 4.
type pop3Dialogue struct {
	*front
	name string // given with USER
	bad  int
}

func (c *pop3Dialogue) gone() string { return "-ERR [SYS/TEMP] Your mail cannot be reached now\r\n" }

func (c *pop3Dialogue) ok(text string) error { return c.write("+OK " + text + "\r\n") }

func (c *pop3Dialogue) fail(text string) error {
	if c.bad++; c.bad > maxBad {
		c.write("-ERR Too many bad commands\r\n")
		return errBye
	}
	return c.write("-ERR " + text + "\r\n")
}

func (c *pop3Dialogue) run() (*login.Hello, error) {
	if !c.secure() || strings.HasSuffix(c.setup.Service, "s") { // none after STLS
		if err := c.ok(c.setup.Hostname + " smail ready"); err != nil {
			return nil, err
		}
	}
	for {
		hello, err := c.command()
		if err == pop3.ErrLongLine {
			c.write("-ERR Line too long\r\n")
		}
		if hello != nil || err != nil {
			return hello, err
		}
	}
}

// command reads and carries out one command.
func (c *pop3Dialogue) command() (*login.Hello, error) {
	line, err := pop3.ReadLine(c.r)
	if err != nil {
		return nil, err
	}
	cmd := pop3.Parse(line)
	if foreign(cmd.Name) {
		return nil, errForeign
	}
	return c.execute(cmd)
}

func (c *pop3Dialogue) late() string { return "-ERR You did not log in in time\r\n" }

func (c *pop3Dialogue) execute(cmd pop3.Command) (*login.Hello, error) {
	switch cmd.Name {
	case "CAPA": // RFC 2449 section 5
		return nil, c.write(c.capabilities())
	case "STLS": // RFC 2595 section 4
		if c.secure() {
			return nil, c.fail("TLS is on already")
		}
		if err := c.ok("Begin TLS"); err != nil {
			return nil, err
		}
		return nil, errStartTLS
	case "USER":
		if !c.secure() {
			return nil, c.fail("Use TLS before you log in")
		}
		c.name = cmd.Rest
		return nil, c.ok("Password?")
	case "PASS":
		if c.name == "" {
			return nil, c.fail("USER first")
		}
		return c.finish(c.name, []byte(cmd.Rest))
	case "AUTH":
		return c.auth(cmd.Args())
	case "QUIT":
		c.ok("Goodbye")
		return nil, errBye
	case "LANG":
		return nil, c.write(pop3.Lang(cmd.Args()))
	case "UTF8": // RFC 6856 section 2: messages are sent as they are in any case
		return nil, c.ok("UTF-8 it is")
	case "NOOP":
		return nil, c.ok("")
	}
	return nil, c.fail("Unknown command, or one that needs a login")
}

func (c *pop3Dialogue) capabilities() string {
	const always = "+OK\r\n" + pop3.Capabilities
	if c.secure() {
		return always + "USER\r\nSASL PLAIN\r\n.\r\n"
	}
	return always + "STLS\r\n.\r\n"
}

// auth: RFC 5034 section 4, with PLAIN alone.
func (c *pop3Dialogue) auth(args []string) (*login.Hello, error) {
	if !c.secure() {
		return nil, c.fail("Use TLS before you log in")
	}
	if len(args) == 0 || len(args) > 2 || !strings.EqualFold(args[0], "PLAIN") {
		return nil, c.fail("Only PLAIN is spoken here")
	}
	initial := ""
	if len(args) == 2 {
		initial = args[1]
	} else {
		if err := c.write("+ \r\n"); err != nil {
			return nil, err
		}
		var err error
		if initial, err = pop3.ReadLine(c.r); err != nil {
			return nil, err
		}
	}
	if initial == "*" {
		return nil, c.fail("AUTH cancelled")
	}
	name, password, ok := decodePlain(initial)
	if !ok {
		return nil, c.fail("Not a response of PLAIN")
	}
	return c.finish(name, password)
}

// finish asks the monitor. The session says +OK, once the mailbox is open.
func (c *pop3Dialogue) finish(name string, password []byte) (*login.Hello, error) {
	status, err := c.password(name, password)
	if err != nil {
		return nil, err
	}
	if status == login.OK {
		return &login.Hello{}, nil
	}
	c.name = ""
	text := pop3.CodeAuth + "Wrong name or password"
	switch status {
	case login.Full:
		text = pop3.CodeSysTemp + tooMany
	case login.Unavailable:
		text = pop3.CodeSysTemp + "Logins are not possible now"
	}
	if err := c.write("-ERR " + text + "\r\n"); err != nil || !c.spent() {
		return nil, err
	}
	return nil, errBye
}
