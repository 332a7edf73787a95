package main

import (
	"flag"
	"fmt"
	"html"
	"os"
	"slices"
	"strings"
)

// headlines are the rows of the chart, each with what people call it.
var headlines = []struct{ id, label string }{
	{"login.cheap.seq", "logins, one after another"},
	{"login.cheap.c8", "logins, eight at once"},
	{"login.c8", "logins, eight at once, yescrypt"},
	{"open.10k.cold", "opening 10,000 messages, no index"},
	{"open.10k.warm", "opening 10,000 messages again"},
	{"fetch.10k.envelope.warm", "envelopes of 10,000 messages"},
	{"fetch.10k.structure.warm", "structures of 10,000 messages"},
	{"download.10k.warm", "downloading 10,000 messages"},
	{"search.body.warm", "searching 10,000 bodies"},
	{"append.c8", "storing messages, eight at once"},
	{"pop3.retr", "fetching by POP3"},
	{"submit.cheap.c8", "sending, eight at once"},
	{"mixed.ops", "mixed use, sixteen clients"},
	{"idle.1.p50", "another program's delivery told in IDLE"},
	{"mem.200.private", "memory of an idle session"},
}

// colours of the columns, in the order of the reports; told apart in grey, too.
var colours = []string{"#0b57b0", "#d9822b", "#8e44ad", "#2e8b57", "#7f8c8d", "#b03a2e"}

const (
	chartWidth = 860
	labelWidth = 300
	barHeight  = 13
	groupGap   = 12
	maxBar     = chartWidth - labelWidth - 130
)

func cmdChart(args []string) error {
	fs := flag.NewFlagSet("chart", flag.ExitOnError)
	out := fs.String("o", "", "SVG `file` to write (required)")
	fs.Parse(args)
	if *out == "" || fs.NArg() < 1 {
		return fmt.Errorf("chart: give -o FILE and reports")
	}
	var reps []*report
	for _, f := range fs.Args() {
		r, err := loadReport(f)
		if err != nil {
			return err
		}
		reps = append(reps, r)
	}
	return os.WriteFile(*out, []byte(chart(reps)), 0o644)
}

// chart draws a group of bars for each headline that was measured. The best of
// a group has the full length; a bar half as long is half as good, be it a
// rate or a time. smail comes first.
func chart(reps []*report) string {
	reps = slices.Clone(reps)
	slices.SortStableFunc(reps, func(a, b *report) int { return rank(a) - rank(b) })
	var body strings.Builder
	y := 74
	for _, h := range headlines {
		y = group(&body, reps, h.id, h.label, y)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d" role="img" aria-labelledby="t d" font-family="sans-serif" font-size="12">`+"\n", chartWidth, y)
	m := reps[0].Machine
	fmt.Fprintf(&b, `<title id="t">smail and other servers, measured</title><desc id="d">%s; longer bars are better.</desc>`+"\n", html.EscapeString(reps[0].Date))
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", chartWidth, y)
	fmt.Fprintf(&b, `<text x="12" y="22" font-size="15" font-weight="bold" fill="#1b1f24">Measured in one run: longer is better</text>`+"\n")
	fmt.Fprintf(&b, `<text x="12" y="40" fill="#4a525a">%s, %s, %s cores, Linux %s, %s, %s</text>`+"\n", html.EscapeString(date(reps[0])),
		html.EscapeString(m["cpu"]), html.EscapeString(m["cpus"]), html.EscapeString(shortVersion(m["kernel"])), html.EscapeString(m["os"]), html.EscapeString(m["go"]))
	x := 12
	for i, r := range reps {
		name := r.Name + " " + shortVersion(r.Version)
		fmt.Fprintf(&b, `<rect x="%d" y="50" width="11" height="11" fill="%s"/><text x="%d" y="60" fill="#1b1f24">%s</text>`+"\n", x, colours[i%len(colours)], x+15, html.EscapeString(name))
		x += 30 + 7*len(name)
	}
	b.WriteString(body.String())
	b.WriteString("</svg>\n")
	return b.String()
}

// group draws one row's bars and returns where the next one begins.
func group(b *strings.Builder, reps []*report, id, label string, y int) int {
	best, measured := 0.0, 0
	for _, r := range reps {
		if g := goodness(r, id); g > 0 {
			best = max(best, g)
			measured++
		}
	}
	if measured < 2 {
		return y
	}
	y += groupGap
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end" fill="#1b1f24">%s</text>`+"\n", labelWidth-10, y+barHeight*measured/2+4, html.EscapeString(label))
	for i, r := range reps {
		g := goodness(r, id)
		if g == 0 {
			continue
		}
		width := max(1, int(g/best*maxBar))
		row := find(r, id)
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/><text x="%d" y="%d" font-size="11" fill="#1b1f24">%s %s</text>`+"\n",
			labelWidth, y, width, barHeight-2, colours[i%len(colours)], labelWidth+width+5, y+10, num(row.Median), html.EscapeString(row.Unit))
		y += barHeight
	}
	return y
}

// rank puts smail first and keeps the order of the rest.
func rank(r *report) int {
	if r.Name == "smail" {
		return 0
	}
	return 1
}

func find(r *report, id string) *row {
	for _, x := range r.Rows {
		if x.ID == id {
			return x
		}
	}
	return nil
}

// goodness is a rate, or the inverse of a time or a size; 0 if not measured.
func goodness(r *report, id string) float64 {
	x := find(r, id)
	switch {
	case x == nil || len(x.Rounds) == 0 || x.Median <= 0 || x.Error != "":
		return 0
	case x.Better == "low":
		return 1 / x.Median
	}
	return x.Median
}

func date(r *report) string { day, _, _ := strings.Cut(r.Date, "T"); return day }

// shortVersion leaves out the distribution's part: 1:2.3.19.1+dfsg1-2.1 is 2.3.19.1.
func shortVersion(v string) string {
	if _, rest, ok := strings.Cut(v, ":"); ok {
		v = rest
	}
	if i := strings.IndexAny(v, "+-"); i > 0 {
		v = v[:i]
	}
	return v
}
