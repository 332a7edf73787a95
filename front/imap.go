package front

import (
	"encoding/base64"
	"errors"
	"strings"

	goimap "github.com/emersion/go-imap/v2"

	"smail/imap"
	"smail/login"
)

// An imapDialogue speaks IMAP in its not-authenticated state, RFC 3501 section 6.2.
type imapDialogue struct {
	*front
	d   *imap.Decoder
	w   *imap.Encoder
	bad int // commands that made no sense
}

// maxBad bounds them: an HTTP client must not be talked to for long.
const maxBad = 5

// maxTag bounds what the session must be told, too.
const maxTag = 255

func newIMAP(f *front) *imapDialogue {
	w := imap.NewEncoder(f.conn)
	goAhead := func() error {
		w.Raw("+ OK").CRLF()
		return w.Flush()
	}
	return &imapDialogue{front: f, w: w, d: imap.NewDecoder(f.r, imap.BeforeLogin, goAhead)}
}

func (c *imapDialogue) capabilities() string {
	const always = "CAPABILITY SASL-IR " + imap.Capabilities
	if c.secure() {
		return always + " AUTH=PLAIN"
	}
	return always + " STARTTLS LOGINDISABLED"
}

func (c *imapDialogue) gone() string {
	return "* BYE [UNAVAILABLE] Your mail cannot be reached now\r\n"
}

func (c *imapDialogue) late() string { return "* BYE You did not log in in time\r\n" }

func (c *imapDialogue) run() (*login.Hello, error) {
	if c.tls == nil || strings.HasSuffix(c.setup.Service, "s") { // none after STARTTLS
		c.w.Status("*", goimap.StatusResponseTypeOK, c.capabilities(), c.setup.Hostname+" smail ready")
	}
	for {
		if err := c.w.Flush(); err != nil {
			return nil, err
		}
		hello, err := c.command()
		if hello != nil || err != nil {
			c.w.Flush()
			return hello, err
		}
	}
}

// command reads and carries out one command.
func (c *imapDialogue) command() (*login.Hello, error) {
	c.d.Begin()
	var tag, name string
	if c.d.Tag(&tag) && foreign(tag) {
		return nil, errForeign
	}
	if len(tag) > maxTag {
		return nil, c.reply("", imap.Bad("Tag of more than %d characters", maxTag))
	}
	if !c.d.SP() || !c.d.Keyword(&name) {
		return nil, c.reply(tag, c.d.Err())
	}
	hello, err := c.execute(tag, name)
	if hello != nil {
		return hello, nil
	}
	return nil, c.reply(tag, err)
}

// reply translates the error of a command; what it returns ends the connection.
func (c *imapDialogue) reply(tag string, err error) error {
	if err == nil {
		return nil
	}
	if derr := c.d.Discard(); derr != nil && !errors.Is(err, errStartTLS) {
		err = derr
	}
	var r *goimap.Error
	if !errors.As(err, &r) {
		return err
	}
	if tag == "" || r.Type == goimap.StatusResponseTypeBye {
		tag = "*"
	}
	c.w.Status(tag, r.Type, string(r.Code), r.Text)
	if r.Type == goimap.StatusResponseTypeBad {
		if c.bad++; c.bad >= maxBad {
			c.w.Status("*", goimap.StatusResponseTypeBye, "CLIENTBUG", "Too many bad commands")
			return errBye
		}
	}
	if r.Type == goimap.StatusResponseTypeBye {
		return errBye
	}
	return nil
}

func (c *imapDialogue) ok(tag, text string) error {
	c.w.Status(tag, goimap.StatusResponseTypeOK, "", text)
	return nil
}

func (c *imapDialogue) execute(tag, name string) (*login.Hello, error) {
	switch name {
	case "LOGIN":
		return c.login(tag)
	case "AUTHENTICATE":
		return c.authenticate(tag)
	case "ID": // RFC 2971
		return nil, c.id(tag)
	}
	if !c.d.CRLF() {
		return nil, c.d.Err()
	}
	switch name {
	case "CAPABILITY":
		c.w.Raw("* ").Raw(c.capabilities()).CRLF()
		return nil, c.ok(tag, "CAPABILITY done")
	case "NOOP":
		return nil, c.ok(tag, "NOOP done")
	case "LOGOUT":
		c.w.Status("*", goimap.StatusResponseTypeBye, "", "Goodbye")
		c.ok(tag, "LOGOUT done")
		return nil, errBye
	case "STARTTLS":
		if c.secure() {
			return nil, imap.Bad("TLS is on already")
		}
		c.ok(tag, "Begin TLS")
		if err := c.w.Flush(); err != nil {
			return nil, err
		}
		return nil, errStartTLS
	}
	return nil, imap.Bad("Unknown command, or one that needs a login")
}

// login: RFC 3501 section 6.2.3.
func (c *imapDialogue) login(tag string) (*login.Hello, error) {
	if !c.secure() { // before a literal is asked for
		return nil, imap.No(goimap.ResponseCodePrivacyRequired, "Use TLS before you log in")
	}
	var name, password string
	if !c.d.SP() || !c.d.AString(&name) || !c.d.SP() || !c.d.AString(&password) || !c.d.CRLF() {
		return nil, c.d.Err()
	}
	return c.finish(tag, name, []byte(password))
}

// authenticate: RFC 3501 section 6.2.2, RFC 4959, RFC 4616.
func (c *imapDialogue) authenticate(tag string) (*login.Hello, error) {
	var mechanism, initial string
	if !c.d.SP() || !c.d.Keyword(&mechanism) {
		return nil, c.d.Err()
	}
	if !c.secure() {
		return nil, imap.No(goimap.ResponseCodePrivacyRequired, "Use TLS before you log in")
	}
	if mechanism != "PLAIN" {
		return nil, imap.No(goimap.ResponseCodeCannot, "Only PLAIN is spoken here")
	}
	if c.d.Try(' ') {
		if !c.d.AString(&initial) { // base64 fits an astring
			return nil, c.d.Err()
		}
	}
	if !c.d.CRLF() {
		return nil, c.d.Err()
	}
	if initial == "" {
		c.w.Raw("+ ").CRLF()
		if err := c.w.Flush(); err != nil {
			return nil, err
		}
		var err error
		if initial, err = c.d.Line(); err != nil {
			return nil, err
		}
	}
	if initial == "*" {
		return nil, imap.Bad("AUTHENTICATE cancelled")
	}
	name, password, ok := decodePlain(initial)
	if !ok {
		return nil, imap.Bad("Not a response of PLAIN")
	}
	return c.finish(tag, name, password)
}

// decodePlain decodes authzid NUL authcid NUL password, RFC 4616 section 2. To
// act for another user is not possible here.
func decodePlain(response string) (name string, password []byte, ok bool) {
	b, err := base64.StdEncoding.DecodeString(response)
	if err != nil {
		return "", nil, false
	}
	f := strings.Split(string(b), "\x00")
	if len(f) != 3 || f[0] != "" && f[0] != f[1] {
		return "", nil, false
	}
	return f[1], []byte(f[2]), true
}

// finish asks the monitor. The session says the tagged OK, once the mailbox
// is open.
func (c *imapDialogue) finish(tag, name string, password []byte) (*login.Hello, error) {
	status, err := c.password(name, password)
	switch {
	case err != nil:
		return nil, err
	case status == login.OK:
		return &login.Hello{Tag: tag}, nil
	case status == login.Full:
		err = imap.No(goimap.ResponseCodeLimit, tooMany) // RFC 5530 section 3
	case status == login.Unavailable:
		err = imap.No(goimap.ResponseCodeUnavailable, "Logins are not possible now")
	default:
		err = imap.No(goimap.ResponseCodeAuthenticationFailed, "Wrong name or password")
	}
	if c.spent() {
		c.reply(tag, err)
		return nil, imap.Bye("Too many failed logins")
	}
	return nil, err
}

// id takes what the client says of itself, up to a limit, and answers no more
// than the greeting has said.
func (c *imapDialogue) id(tag string) error {
	if err := c.d.ID(nil); err != nil {
		return err
	}
	c.w.Raw(`* ID ("name" "smail")`).CRLF()
	return c.ok(tag, "ID done")
}
