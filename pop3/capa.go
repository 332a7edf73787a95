package pop3

import "strings"

// Capabilities are what CAPA says before and after login: RFC 2449 section 6,
// RFC 3206, RFC 6856. Nothing is taken away after a while, hence EXPIRE NEVER.
const Capabilities = "TOP\r\nUIDL\r\nPIPELINING\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nEXPIRE NEVER\r\nUTF8\r\nLANG\r\nIMPLEMENTATION smail\r\n"

// Lang answers LANG: RFC 6856 section 3. All that is said here is English.
func Lang(args []string) string {
	if len(args) == 0 {
		return "+OK\r\nen English\r\ni-default English\r\n.\r\n"
	}
	switch tag := strings.ToLower(args[0]); {
	case len(args) > 1:
		return "-ERR One language\r\n"
	case tag == "*" || tag == "en" || tag == "i-default" || strings.HasPrefix(tag, "en-"):
		return "+OK en English\r\n"
	}
	return "-ERR Not a language spoken here\r\n"
}
