package imap

import (
	"strings"
	"time"

	goimap "github.com/emersion/go-imap/v2"
)

// A SearchKey is one condition of SEARCH: RFC 3501 section 6.4.4.
type SearchKey struct {
	Name  string // in capitals; "SET" for message numbers, "AND" for a list
	Text  string // FROM, TEXT, KEYWORD, ... and the value of HEADER
	Field string // HEADER
	Size  uint32 // LARGER, SMALLER
	Date  time.Time
	Set   NumSet // SET, UID
	Keys  []SearchKey
}

// maxSearchDepth bounds NOT, OR and parentheses within each other.
const (
	maxSearchDepth = 50
	maxSearchKeys  = 10000
)

// Search takes SEARCH's arguments: an optional charset and the keys.
func (d *Decoder) Search(key *SearchKey) bool {
	key.Name = "AND"
	count := 0
	first := true
	for {
		var k SearchKey
		if !d.searchKey(&k, 0, &count) {
			return false
		}
		if first && k.Name == "CHARSET" {
			if !strings.EqualFold(k.Text, "UTF-8") && !strings.EqualFold(k.Text, "US-ASCII") {
				return d.fail(No("BADCHARSET (US-ASCII UTF-8)", "Charset is not known here"))
			}
		} else if k.Name == "CHARSET" {
			return d.fail(Bad("CHARSET comes first"))
		} else {
			key.Keys = append(key.Keys, k)
		}
		first = false
		if !d.Try(' ') {
			break
		}
	}
	if d.err == nil && len(key.Keys) == 0 {
		return d.expected("a search key")
	}
	return d.err == nil
}

func (d *Decoder) searchKey(k *SearchKey, depth int, count *int) bool {
	if *count++; *count > maxSearchKeys || depth > maxSearchDepth {
		return d.fail(No(goimap.ResponseCodeLimit, "Search is too complicated"))
	}
	c, ok := d.peek()
	switch {
	case !ok:
		return false
	case c == '(':
		k.Name = "AND"
		return d.List(func() bool {
			var sub SearchKey
			if !d.searchKey(&sub, depth+1, count) {
				return false
			}
			k.Keys = append(k.Keys, sub)
			return true
		})
	case c == '*' || c >= '0' && c <= '9':
		k.Name = "SET"
		return d.NumSet(&k.Set)
	}
	if !d.Keyword(&k.Name) {
		return false
	}
	return d.searchArgs(k, depth, count)
}

func (d *Decoder) searchArgs(k *SearchKey, depth int, count *int) bool {
	switch k.Name {
	case "ALL", "ANSWERED", "DELETED", "DRAFT", "FLAGGED", "NEW", "OLD", "RECENT", "SEEN",
		"UNANSWERED", "UNDELETED", "UNDRAFT", "UNFLAGGED", "UNSEEN":
		return true
	case "BCC", "BODY", "CC", "FROM", "SUBJECT", "TEXT", "TO", "CHARSET":
		return d.SP() && d.AString(&k.Text)
	case "KEYWORD", "UNKEYWORD":
		return d.SP() && d.Atom(&k.Text)
	case "HEADER":
		return d.SP() && d.AString(&k.Field) && d.SP() && d.AString(&k.Text)
	case "LARGER", "SMALLER":
		return d.SP() && d.Number(&k.Size)
	case "BEFORE", "ON", "SINCE", "SENTBEFORE", "SENTON", "SENTSINCE":
		return d.SP() && d.date(&k.Date)
	case "UID":
		return d.SP() && d.NumSet(&k.Set)
	case "NOT":
		k.Keys = make([]SearchKey, 1)
		return d.SP() && d.searchKey(&k.Keys[0], depth+1, count)
	case "OR":
		k.Keys = make([]SearchKey, 2)
		return d.SP() && d.searchKey(&k.Keys[0], depth+1, count) &&
			d.SP() && d.searchKey(&k.Keys[1], depth+1, count)
	}
	return d.fail(Bad("Unknown search key"))
}

// date takes a date: 1-Feb-1994, quoted or not.
func (d *Decoder) date(t *time.Time) bool {
	var s string
	if !d.AString(&s) {
		return false
	}
	v, err := time.Parse("2-Jan-2006", s)
	if err != nil {
		return d.expected("a date such as 1-Feb-1994")
	}
	*t = v
	return true
}

// DateTime takes APPEND's date: "17-Jul-1996 02:44:25 -0700".
func (d *Decoder) DateTime(t *time.Time) bool {
	var s string
	if !d.String(&s) {
		return false
	}
	v, err := time.Parse(DateTimeLayout, s)
	if err != nil {
		return d.expected("a date and time")
	}
	*t = v
	return true
}
