package imapd

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	goimap "github.com/emersion/go-imap/v2"

	"smail/imap"
	"smail/maildir"
)

// TestTranslate: what goes wrong has the response code that clients act on, and tells
// them nothing of the machine.
func TestTranslate(t *testing.T) {
	wrap := func(err error) error { return fmt.Errorf("open /home/alice/Maildir/x: %w", err) }
	for _, c := range []struct {
		err  error
		typ  goimap.StatusResponseType
		code string
		ends bool
	}{
		{wrap(maildir.ErrNoFolder), "NO", "NONEXISTENT", false},
		{wrap(maildir.ErrExists), "NO", "ALREADYEXISTS", false},
		{wrap(maildir.ErrName), "NO", "CANNOT", false},
		{wrap(maildir.ErrGone), "NO", "EXPUNGEISSUED", false},
		{wrap(maildir.ErrLocked), "NO", "INUSE", false},
		{wrap(syscall.ENOSPC), "NO", "OVERQUOTA", false},
		{wrap(syscall.EDQUOT), "NO", "OVERQUOTA", false},
		{wrap(syscall.EIO), "NO", "SERVERBUG", false},
		{errors.New("anything"), "NO", "SERVERBUG", false},
		{wrap(os.ErrDeadlineExceeded), "BYE", "", true},
		{imap.Bad("as it is"), "BAD", "", false},
		{imap.Bye("as it is"), "BYE", "", true},
	} {
		r, ends := translate(c.err)
		if r == nil || r.Type != c.typ || string(r.Code) != c.code && !(c.code == "" && c.typ != "NO") || ends != c.ends || strings.Contains(r.Text, "/") {
			t.Errorf("%v: %+v, ends %v", c.err, r, ends)
		}
	}
	for _, err := range []error{wrap(syscall.EPIPE), wrap(syscall.ECONNRESET)} {
		if r, ends := translate(err); r != nil || !ends {
			t.Errorf("%v: %+v, ends %v", err, r, ends)
		}
	}
}

// TestBounds: what a session keeps is bounded, and who wants more hears of it.
func TestBounds(t *testing.T) {
	t.Run("searches kept up to date", func(t *testing.T) { // RFC 5267 section 4.3.1
		lines := []string{"S: * PREAUTH *", "C: a SELECT INBOX", "U: a OK *"}
		for i := range maxContexts {
			lines = append(lines, fmt.Sprintf("C: b%d SEARCH RETURN (UPDATE) SEEN", i), fmt.Sprintf("S: * ESEARCH (TAG \"b%d\")", i),
				fmt.Sprintf("S: b%d OK *", i))
		}
		speak(t, t.Name(), append(lines, "C: c SEARCH RETURN (UPDATE) SEEN", `S: * ESEARCH (TAG "c")`,
			`S: * NO [NOUPDATE "c"] *`, "S: c OK *"))
	})
	t.Run("annotations", func(t *testing.T) { // RFC 5464 section 4.3
		lines := []string{"S: * PREAUTH *"}
		for i := range maxMetadataEntries {
			lines = append(lines, fmt.Sprintf(`C: a%d SETMETADATA INBOX (/private/vendor/x/e%d "v")`, i, i), fmt.Sprintf("S: a%d OK *", i))
		}
		speak(t, t.Name(), append(lines, `C: b SETMETADATA INBOX (/private/vendor/x/more "v")`, "S: b NO [METADATA TOOMANY] *",
			`C: c SETMETADATA INBOX (/private/vendor/x/e0 NIL /private/vendor/x/more "v")`, "S: c OK *",
			"C: d GETMETADATA INBOX /private/vendor/x/more", `S: * METADATA "INBOX" (/private/vendor/x/more "v")`, "S: d OK *"))
	})
	t.Run("keys of a search", func(t *testing.T) {
		speak(t, t.Name(), []string{"S: * PREAUTH *", "D: one", "C: a SELECT INBOX", "U: a OK *",
			"C: b SEARCH" + strings.Repeat(" ALL", 10000), "S: * SEARCH 1", "S: b OK *",
			"C: c SEARCH" + strings.Repeat(" ALL", 10001), "S: c NO [LIMIT] *",
			"C: d SEARCH" + strings.Repeat(" NOT", 10000) + " SEEN", "S: d NO [LIMIT] *", "C: e NOOP", "S: e OK *"})
	})
}
