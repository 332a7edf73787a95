package message

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// outline writes threads, answers in parentheses; a message that is not there
// is a star.
func outline(threads []*Thread) string {
	var b strings.Builder
	for _, t := range threads {
		b.WriteString("(")
		if t.Number < 0 {
			b.WriteString("*")
		} else {
			fmt.Fprint(&b, t.Number)
		}
		b.WriteString(outline(t.Answers) + ")")
	}
	return b.String()
}

func TestThreadReferences(t *testing.T) {
	for what, c := range map[string]struct{ in, want string }{
		"answers by id":                     {"a: x|b:a x r|c:a,b x r", "(0(1(2)))"},
		"one that is not there has answers": {"b:a x r|c:a x r", "(*(0)(1))"},
		"an only answer takes its place":    {"b:a x r", "(0)"},
		"subjects":                          {"a: x|b: x r|c: y|d: y", "(0(1))(*(2)(3))"},
		"a circle":                          {"a:b x|b:a y", "(1(0))"},
		"itself":                            {"a:a x", "(0)"},
		"two with one id":                   {"a: x|a: y|b:a z", "(0(2))(1)"},
		"no subject":                        {"a: |b: ", "(0)(1)"},
		"the answer came first":             {"b: x r|a: x", "(1(0))"},
	} {
		var all []Threadable
		for i, m := range strings.Split(c.in, "|") {
			id, rest, _ := strings.Cut(m, ":")
			f := strings.Split(rest, " ")
			one := Threadable{Number: i, ID: id, Subject: f[1], Reply: len(f) > 2, Sent: time.Unix(int64(i), 0)}
			if f[0] != "" {
				one.References = strings.Split(f[0], ",")
			}
			all = append(all, one)
		}
		if got := outline(ThreadReferences(all)); got != c.want {
			t.Errorf("%s: got %s, want %s", what, got, c.want)
		}
	}
}

// TestHostileThreads: chains, stars, and links that are refused again and again
// take no more than a moment.
func TestHostileThreads(t *testing.T) {
	const n = 50000
	var all []Threadable
	add := func(id string, refs ...string) {
		all = append(all, Threadable{Number: len(all), ID: id, References: refs, Sent: time.Unix(int64(len(all)), 0)})
	}
	for i := range n {
		add(fmt.Sprint("chain", i), fmt.Sprint("chain", i-1)) // deeper than any thread may be
	}
	for i := range n / 2 {
		add(fmt.Sprint("star", i), "X")
	}
	for i := range 600 {
		add(fmt.Sprint("x", i), fmt.Sprint("x", i-1))
		add(fmt.Sprint("p", i), fmt.Sprint("p", i-1))
	}
	add("x0", "X")
	for i := range n {
		add(fmt.Sprint("again", i), "p599", "X")
	}
	done := make(chan int)
	go func() { done <- len(ThreadReferences(all)) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("takes the square of it")
	}
}

func TestOrderedSubject(t *testing.T) {
	all := []Threadable{{Number: 0, Subject: "b", Sent: time.Unix(5, 0)}, {Number: 1, Subject: "a", Sent: time.Unix(1, 0)},
		{Number: 2, Subject: "b", Sent: time.Unix(2, 0)}, {Number: 3, Subject: "a", Sent: time.Unix(9, 0)}}
	if got, want := outline(ThreadOrderedSubject(all)), "(1(3))(2(0))"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestPreview(t *testing.T) {
	for in, want := range map[string]string{
		"Content-Type: text/html\n\n<html><head><title>no</title><style>p {}</style></head><!-- no --><p>Hello &amp; <b>good\nbye</b><br>x</p>": "Hello & good bye x",
		"\n  one \n\n two\t three\n": "one two three",
		"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\nContent-Disposition: attachment\n\nno\n--b\nContent-Type: text/html\n\n<i>yes</i>\n--b--\n": "yes",
		"Content-Type: image/png\n\nno":                          "",
		"Content-Transfer-Encoding: quoted-printable\n\n\x01=\n": "",
		"\n" + strings.Repeat("x", 500):                          strings.Repeat("x", maxPreview),
		"Content-Type: text/html\n\na < b <":                     "a",
	} {
		p := ParseBytes([]byte(in))
		if got, err := p.Preview(strings.NewReader(in)); err != nil || got != want {
			t.Errorf("%.60q: got %q, %v, want %q", in, got, err, want)
		}
	}
}

// TestAnswersThatMove: a message that comes behind those that refer to it stands
// once, below what it says itself.
func TestAnswersThatMove(t *testing.T) {
	all := []Threadable{{Number: 0, References: []string{"a", "b", "c"}}, {Number: 1, ID: "b"}, {Number: 2, ID: "c", References: []string{"a", "b"}},
		{Number: 3, References: []string{"a", "b"}}, {Number: 4, ID: "a"}}
	var show func(threads []*Thread) string
	show = func(threads []*Thread) (s string) {
		for _, th := range threads {
			s += fmt.Sprint("(", th.Number, show(th.Answers), ")")
		}
		return s
	}
	if got, want := show(ThreadReferences(all)), "(4(1(2(0))(3)))"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
