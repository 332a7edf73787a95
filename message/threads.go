package message

import (
	"cmp"
	"slices"
	"time"
)

// A Threadable is what threads are made of: RFC 5256 section 2.
type Threadable struct {
	Number     int    // what the caller knows it by, from 0 on, by arrival
	ID         string // Message-ID; "" for none
	References []string
	Subject    string // base subject, folded
	Reply      bool   // the subject was one of a reply or forward
	Sent       time.Time
}

// A Thread is a message and the answers to it. Number is -1 where the message
// is not there.
type Thread struct {
	Number  int
	Answers []*Thread

	parent *Thread // of whose Answers this is one
	height int     // at most so many levels of answers
	placed bool    // among its parent's answers, for good
	m      *Threadable
}

// maxThreadDepth bounds how deep answers stand in each other.
const maxThreadDepth = 1000

// sent orders threads; one without a message counts as its first answer.
func (t *Thread) sent() (time.Time, int) {
	for t.m == nil {
		t = t.Answers[0]
	}
	return t.m.Sent, t.Number
}

func compareSent(a, b *Thread) int {
	as, an := a.sent()
	bs, bn := b.sent()
	return cmp.Or(as.Compare(bs), an-bn)
}

// ThreadOrderedSubject puts messages with one subject together, by date: RFC
// 5256 section 3, ORDEREDSUBJECT.
func ThreadOrderedSubject(messages []Threadable) []*Thread {
	sorted := make([]*Thread, len(messages))
	for i := range messages {
		sorted[i] = &Thread{Number: messages[i].Number, m: &messages[i]}
	}
	slices.SortFunc(sorted, compareSent)
	bySubject := map[string]*Thread{}
	var roots []*Thread
	for _, t := range sorted {
		if first := bySubject[t.m.Subject]; first != nil {
			first.Answers = append(first.Answers, t)
			continue
		}
		bySubject[t.m.Subject] = t
		roots = append(roots, t)
	}
	return roots
}

// ThreadReferences puts answers below what they answer, and then threads with
// one subject together: RFC 5256 section 3, REFERENCES.
func ThreadReferences(messages []Threadable) []*Thread {
	var roots []*Thread
	for _, t := range linkReferences(messages) { // (1), (2)
		if t.parent == nil {
			roots = append(roots, t)
		}
	}
	roots = prune(roots, true) // (3)
	for _, t := range roots {
		sortAnswers(t)
	}
	slices.SortFunc(roots, compareSent) // (4)
	roots = gatherSubjects(roots)       // (5)
	for _, t := range roots {           // (6)
		sortAnswers(t)
	}
	slices.SortFunc(roots, compareSent)
	return roots
}

// linkReferences makes a thread of every message and of every one that is
// referred to, and links them.
func linkReferences(messages []Threadable) (all []*Thread) {
	byID := map[string]*Thread{}
	at := func(id string) *Thread {
		t := byID[id]
		if t == nil {
			t = &Thread{Number: -1}
			byID[id] = t
			all = append(all, t)
		}
		return t
	}
	for i := range messages {
		m := &messages[i]
		t := (*Thread)(nil)
		if m.ID != "" {
			if t = at(m.ID); t.m != nil { // another has the same
				t = nil
			}
		}
		if t == nil {
			t = &Thread{}
			all = append(all, t)
		}
		t.Number, t.m = m.Number, m
		var parent *Thread
		for _, id := range m.References {
			child := at(id)
			if parent != nil && child.parent == nil {
				child.link(parent)
			}
			parent = child
		}
		t.parent = nil // what it was said to answer does not count
		if parent != nil {
			t.link(parent)
		}
	}
	for _, t := range all {
		t.Answers = slices.DeleteFunc(t.Answers, func(a *Thread) bool {
			gone := a.parent != t || a.placed
			a.placed = a.placed || !gone
			return gone
		})
	}
	return all
}

// link makes t an answer to parent, unless that would be a circle.
func (t *Thread) link(parent *Thread) {
	depth := 0
	for p := parent; p != nil; p = p.parent {
		if depth++; p == t || depth > maxThreadDepth {
			return
		}
	}
	if depth+t.height > maxThreadDepth {
		return
	}
	t.parent = parent
	parent.Answers = append(parent.Answers, t)
	for h := t.height + 1; parent != nil && parent.height < h; h++ {
		parent.height, parent = h, parent.parent
	}
}

// prune removes what stands for messages that are not there: their answers take
// their place, but at the top only a single one does.
func prune(threads []*Thread, top bool) (kept []*Thread) {
	for _, t := range threads {
		t.Answers = prune(t.Answers, false)
		if t.m == nil && (len(t.Answers) == 0 || !top || len(t.Answers) == 1) {
			kept = append(kept, t.Answers...)
			continue
		}
		kept = append(kept, t)
	}
	return kept
}

func sortAnswers(t *Thread) {
	for _, a := range t.Answers {
		sortAnswers(a)
	}
	slices.SortFunc(t.Answers, compareSent)
}

// first returns the message that a thread begins with, there or not.
func (t *Thread) first() *Threadable {
	for t.m == nil {
		t = t.Answers[0]
	}
	return t.m
}

// gatherSubjects puts threads with one subject together: RFC 5256 section 3,
// REFERENCES, step 5.
func gatherSubjects(roots []*Thread) []*Thread {
	table := map[string]*Thread{}
	for _, t := range roots {
		subject := t.first().Subject
		have := table[subject]
		if subject != "" && (have == nil || have.m != nil && t.m == nil ||
			(have.m == nil) == (t.m == nil) && have.first().Reply && !t.first().Reply) {
			table[subject] = t
		}
	}
	replaced := map[*Thread]*Thread{} // by what stands in its place
	gone := map[*Thread]bool{}
	for _, t := range roots {
		have := table[t.first().Subject]
		if have == nil || have == t {
			continue
		}
		gone[t] = true
		switch {
		case have.m == nil && t.m == nil:
			have.Answers = append(have.Answers, t.Answers...)
		case have.m == nil, t.m != nil && t.m.Reply && !have.m.Reply:
			have.Answers = append(have.Answers, t)
		default: // both are of one rank
			both := &Thread{Number: -1, Answers: []*Thread{have, t}}
			replaced[have] = both
			table[t.first().Subject] = both
		}
	}
	kept := roots[:0:0]
	for _, t := range roots {
		if gone[t] {
			continue
		}
		if both := replaced[t]; both != nil {
			t = both
		}
		kept = append(kept, t)
	}
	return kept
}
