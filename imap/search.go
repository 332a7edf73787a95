package imap

import (
	"slices"
	"strings"
	"time"

	goimap "github.com/emersion/go-imap/v2"
)

// A Search is what a SEARCH, SORT or THREAD asks for.
type Search struct {
	Return *ReturnOptions // nil: none were given
	Key    SearchKey
}

// ReturnOptions are what RETURN asks for: RFC 4731 section 3.1, RFC 5182
// section 2, RFC 5267 section 4 and RFC 9394 section 3.1.
type ReturnOptions struct {
	Min, Max, All, Count, Save, Update, Context bool
	Partial                                     *PartialRange
	New                                         *FetchItems // of messages that come: RFC 5465 section 7
}

// A SearchKey is one condition of SEARCH: RFC 3501 section 6.4.4.
type SearchKey struct {
	Name   string // in capitals; "SET" for message numbers, "AND" for a list
	Text   string // FROM, TEXT, KEYWORD, ... and the value of HEADER
	Field  string // HEADER
	Number uint64 // LARGER, SMALLER, OLDER, YOUNGER, MODSEQ
	Date   time.Time
	Set    NumSet // SET, UID
	Keys   []SearchKey
}

// Clone returns a copy that shares nothing.
func (k *SearchKey) Clone() SearchKey {
	c := *k
	c.Set = slices.Clone(k.Set)
	c.Keys = make([]SearchKey, len(k.Keys))
	for i := range k.Keys {
		c.Keys[i] = k.Keys[i].Clone()
	}
	return c
}

// Fix puts UIDs for $ and for message numbers, which mean something else later: RFC
// 5267 section 4.3.
func (k *SearchKey) Fix(saved NumSet, uidsOf func(numbers NumSet) NumSet) {
	switch {
	case k.Set.IsSaved():
		k.Name, k.Set = "UID", slices.Clone(saved)
	case k.Name == "SET":
		k.Name, k.Set = "UID", uidsOf(k.Set)
	}
	if k.Name == "UID" && len(k.Set) == 0 {
		*k = SearchKey{Name: "NOT", Keys: []SearchKey{{Name: "ALL"}}}
	}
	for i := range k.Keys {
		k.Keys[i].Fix(saved, uidsOf)
	}
}

// HasNumbers says whether the key has message numbers in it, which mean
// something only in the selected mailbox.
func (k *SearchKey) HasNumbers() bool {
	return k.Name == "SET" || k.Set.IsSaved() || slices.ContainsFunc(k.Keys, func(sub SearchKey) bool { return sub.HasNumbers() })
}

// maxSearchDepth bounds NOT, OR and parentheses within each other.
const (
	maxSearchDepth = 50
	maxSearchKeys  = 10000
)

// Search takes SEARCH's arguments: RETURN, a charset, both optional, and keys.
func (d *Decoder) Search(s *Search) bool {
	var first SearchKey
	count := 0
	if !d.searchKey(&first, 0, &count) {
		return false
	}
	if first.Name == "RETURN" {
		s.Return = &ReturnOptions{}
		if !d.SP() || !d.returnOptions(s.Return) || !d.SP() {
			return false
		}
		first = SearchKey{}
		if !d.searchKey(&first, 0, &count) {
			return false
		}
	}
	if first.Name == "CHARSET" {
		return d.checkCharset(first.Text) && d.SP() && d.SearchKeys(&s.Key)
	}
	s.Key.Name, s.Key.Keys = "AND", []SearchKey{first}
	return d.moreKeys(&s.Key, &count)
}

// SearchKeys takes one key or more.
func (d *Decoder) SearchKeys(key *SearchKey) bool {
	var first SearchKey
	count := 0
	if !d.searchKey(&first, 0, &count) {
		return false
	}
	key.Name, key.Keys = "AND", []SearchKey{first}
	return d.moreKeys(key, &count)
}

func (d *Decoder) moreKeys(key *SearchKey, count *int) bool {
	for d.Try(' ') {
		var k SearchKey
		if !d.searchKey(&k, 0, count) {
			return false
		}
		key.Keys = append(key.Keys, k)
	}
	for i := range key.Keys {
		if name := key.Keys[i].Name; name == "CHARSET" || name == "RETURN" {
			return d.fail(Bad("%s comes first", name))
		}
	}
	return d.err == nil
}

// checkCharset refuses charsets but those that the RFCs ask for.
func (d *Decoder) checkCharset(name string) bool {
	if strings.EqualFold(name, "UTF-8") || strings.EqualFold(name, "US-ASCII") {
		return true
	}
	return d.fail(No("BADCHARSET (US-ASCII UTF-8)", "Charset is not known here"))
}

// returnOptions takes RETURN's list.
func (d *Decoder) returnOptions(o *ReturnOptions) bool {
	empty := true
	ok := d.List(func() bool {
		empty = false
		var name string
		if !d.Keyword(&name) {
			return false
		}
		flags := map[string]*bool{"MIN": &o.Min, "MAX": &o.Max, "ALL": &o.All, "COUNT": &o.Count, "SAVE": &o.Save,
			"UPDATE": &o.Update, "CONTEXT": &o.Context}
		if flag := flags[name]; flag != nil {
			*flag = true
			return name != "UPDATE" || d.updateItems(o)
		}
		if name != "PARTIAL" {
			return d.fail(Bad("Unknown RETURN option"))
		}
		if o.Partial != nil { // RFC 9394 section 3.1
			return d.fail(Bad("Only one PARTIAL may be there"))
		}
		o.Partial = &PartialRange{}
		return d.SP() && d.partialRange(o.Partial)
	})
	o.All = o.All || empty
	if ok && o.All && o.Partial != nil { // RFC 9394 section 3.1
		return d.fail(Bad("ALL and PARTIAL exclude each other"))
	}
	return ok
}

// updateItems takes what UPDATE wants of messages that come: RFC 5465 section 7.
func (d *Decoder) updateItems(o *ReturnOptions) bool {
	if !d.ahead(" (") {
		return d.err == nil
	}
	o.New = &FetchItems{}
	return d.SP() && d.itemList(o.New)
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
	case c == '*' || c == '$' || c >= '0' && c <= '9':
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
		"UNANSWERED", "UNDELETED", "UNDRAFT", "UNFLAGGED", "UNSEEN", "SAVEDATESUPPORTED", "RETURN":
		return true
	case "BCC", "BODY", "CC", "FROM", "SUBJECT", "TEXT", "TO", "CHARSET", "EMAILID", "THREADID":
		return d.SP() && d.AString(&k.Text)
	case "KEYWORD", "UNKEYWORD":
		return d.SP() && d.Atom(&k.Text)
	case "HEADER":
		return d.SP() && d.AString(&k.Field) && d.SP() && d.AString(&k.Text)
	case "LARGER", "SMALLER":
		return d.SP() && d.Number64(&k.Number)
	case "OLDER", "YOUNGER": // RFC 5032 section 2
		if d.SP() && d.Number64(&k.Number) && k.Number == 0 {
			return d.fail(Bad("%s takes seconds from 1 on", k.Name))
		}
		return d.err == nil
	case "MODSEQ":
		return d.SP() && d.modSeqKey(k)
	case "BEFORE", "ON", "SINCE", "SENTBEFORE", "SENTON", "SENTSINCE", "SAVEDBEFORE", "SAVEDON", "SAVEDSINCE":
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

// modSeqKey takes MODSEQ's number, and before it perhaps the name of a flag and
// whose it is, which make no difference: RFC 7162 section 3.1.5.
func (d *Decoder) modSeqKey(k *SearchKey) bool {
	if d.Next('"') {
		var entry, kind string
		if !d.String(&entry) || !d.SP() || !d.Keyword(&kind) || !d.SP() {
			return false
		}
		if kind != "ALL" && kind != "PRIV" && kind != "SHARED" {
			return d.expected("all, priv or shared")
		}
	}
	return d.Number64(&k.Number)
}

// OnlySave says whether nothing but SAVE was asked for, which has no response:
// RFC 5182 section 2.
func (o *ReturnOptions) OnlySave() bool {
	return o.Save && !o.Min && !o.Max && !o.All && !o.Count && o.Partial == nil
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
