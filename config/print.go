package config

import (
	"fmt"
	"io"
	"strings"

	"codeberg.org/emersion/go-scfg"
)

// Print writes the settings in force, as they would stand in the file: those
// that the file gives, and with all the defaults of the others too.
func (c *Config) Print(w io.Writer, all bool) error {
	var block scfg.Block
	for _, s := range Settings {
		for _, params := range c.Given[s.Name] {
			block = append(block, &scfg.Directive{Name: s.Name, Params: params})
		}
		if c.Given[s.Name] == nil && s.Default != nil && all {
			block = append(block, &scfg.Directive{Name: s.Name, Params: s.Default})
		}
	}
	return scfg.Write(w, block)
}

// exampleHead begins the file that is installed. The certificate is where the
// packages put one.
const exampleHead = `# smail's configuration: a directive a line. smail.conf(5) says more about each.
# What stands here behind a # is the default, or an example where there is none.
# smailctl check   tells whether users can log in with these settings.
# smailctl config  shows the settings in force.
`

var exampleActive = map[string]string{
	"tls_certificate": "/etc/smail/tls/cert.pem",
	"tls_key":         "/etc/smail/tls/key.pem",
}

// Example writes a complete file, with every directive commented out but those
// without which smail serves nothing.
func Example(w io.Writer) error {
	var b strings.Builder
	b.WriteString(exampleHead)
	for _, s := range Settings {
		fmt.Fprintf(&b, "\n%s\n", wrap("# "+s.Doc+" ("+s.Type+")", 100))
		switch value := strings.Join(s.Default, " "); {
		case exampleActive[s.Name] != "":
			fmt.Fprintf(&b, "%s %s\n", s.Name, exampleActive[s.Name])
		case value != "":
			fmt.Fprintf(&b, "#%s %s\n", s.Name, value)
		default:
			fmt.Fprintf(&b, "#%s %s\n", s.Name, s.Example)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// wrap breaks a comment into lines of at most width bytes.
func wrap(text string, width int) string {
	var b strings.Builder
	column := 0
	for i, word := range strings.Fields(text) {
		switch {
		case i > 0 && column+1+len(word) > width:
			b.WriteString("\n# ")
			column = 2
		case i > 0:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}
