package message

import (
	"strconv"
	"strings"
	"time"
)

// Date returns what the Date field says: RFC 5322 section 3.3 with the obsolete
// forms of section 4.3, and what old programs wrote. As RFC 5256 section 2.2 has
// it, a time that makes no sense is 00:00:00, and a zone UTC.
func (h Header) Date() (time.Time, bool) { return parseDate(h.Get("Date")) }

// closeUp takes out what an obsolete time has around its colons.
var closeUp = strings.NewReplacer(" : ", ":", " :", ":", ": ", ":")

func parseDate(value []byte) (time.Time, bool) {
	text := strings.ReplaceAll(string(uncommented(value[:min(len(value), 1000)])), ",", " ")
	words := strings.Fields(closeUp.Replace(strings.Join(strings.Fields(text), " ")))
	if len(words) > 0 && nameOf(words[0], weekdays) > 0 {
		words = words[1:]
	}
	if len(words) > 0 && strings.Count(words[0], "-") == 2 { // 5-Jun-2026
		words = append(strings.Split(words[0], "-"), words[1:]...)
	}
	if len(words) < 3 {
		return time.Time{}, false
	}
	if nameOf(words[0], months) > 0 { // asctime(3): Jun 5 01:02:03 [zone] 2026
		last := len(words) - 1
		words = append([]string{words[1], words[0], words[last]}, words[2:last]...)
	}
	day, err := strconv.Atoi(words[0])
	month, year := time.Month(nameOf(words[1], months)), yearOf(words[2])
	if err != nil || month == 0 || year < 0 {
		return time.Time{}, false
	}
	var h, m, s int
	words = words[3:]
	if len(words) > 0 && strings.Contains(words[0], ":") {
		h, m, s = clock(words[0])
		words = words[1:]
	}
	zone := time.UTC
	if len(words) > 0 {
		zone = zoneOf(strings.ToUpper(words[0]))
	}
	t := time.Date(year, month, day, h, m, s, 0, zone)
	return t, day > 0 && t.Day() == day // there is no 31st of June
}

const (
	weekdays = "SUNMONTUEWEDTHUFRISAT"
	months   = "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"
)

// nameOf returns which of the names a word is, in full or by three letters; the first
// is 1, none 0.
func nameOf(word, names string) int {
	if len(word) < 3 {
		return 0
	}
	i := strings.Index(names, strings.ToUpper(word[:3]))
	if i < 0 || i%3 != 0 {
		return 0
	}
	return i/3 + 1
}

// yearOf reads one of two digits or more, -1 for nonsense.
func yearOf(word string) int {
	year, err := strconv.ParseUint(word, 10, 16)
	switch {
	case err != nil || len(word) < 2 || year > 9999:
		return -1
	case len(word) == 2 && year < 50:
		return int(year) + 2000
	case len(word) <= 3:
		return int(year) + 1900
	}
	return int(year)
}

// clock reads h:m and h:m:s, of which the last may be a leap second.
func clock(word string) (h, m, s int) {
	parts := strings.Split(word, ":")
	var n [3]uint64
	for i, most := range []uint64{23, 59, 60} {
		if i == len(parts) && i == 2 {
			break
		}
		if i >= len(parts) {
			return 0, 0, 0
		}
		var err error
		if n[i], err = strconv.ParseUint(parts[i], 10, 8); err != nil || n[i] > most {
			return 0, 0, 0
		}
	}
	return int(n[0]), int(n[1]), int(min(n[2], 59))
}

// americanZones, in hours: RFC 5322 section 4.3. What other names mean nobody knows.
var americanZones = map[string]int{"EDT": -4, "EST": -5, "CDT": -5, "CST": -6, "MDT": -6, "MST": -7, "PDT": -7, "PST": -8}

// zoneOf reads a zone in capitals.
func zoneOf(word string) *time.Location {
	if hours, ok := americanZones[word]; ok {
		return time.FixedZone("", hours*3600)
	}
	for _, utc := range []string{"GMT", "UTC"} { // GMT+02:00
		word = strings.TrimPrefix(word, utc)
	}
	word = strings.Replace(word, ":", "", 1)
	if len(word) != 5 || word[0] != '+' && word[0] != '-' {
		return time.UTC
	}
	n, err := strconv.ParseUint(word[1:], 10, 16)
	if err != nil || n%100 > 59 || n > 2359 {
		return time.UTC
	}
	seconds := int(n/100*3600 + n%100*60)
	if word[0] == '-' {
		seconds = -seconds
	}
	return time.FixedZone("", seconds)
}
