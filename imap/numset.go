package imap

import (
	"cmp"
	"slices"
	"strconv"
)

// A NumSet is a set of message numbers or UIDs as a client sent it: ranges in
// any order, 0 for *. It is never expanded: 1:4294967295 is one range. One that
// is empty but not nil is "$", what a SEARCH has saved: RFC 5182 section 2.1.
type NumSet []NumRange

// A NumRange is a number, or two with all between them.
type NumRange struct{ Start, Stop uint32 }

// maxRanges bounds the ranges of a set.
const maxRanges = 10000

// IsSaved says whether the set is "$".
func (s NumSet) IsSaved() bool { return s != nil && len(s) == 0 }

// NumSet takes a set: 1,3:5,9:*, or $.
func (d *Decoder) NumSet(set *NumSet) bool {
	if d.Try('$') {
		*set = NumSet{}
		return d.err == nil
	}
	for {
		var r NumRange
		if !d.setNumber(&r.Start) {
			return false
		}
		r.Stop = r.Start
		if d.Try(':') && !d.setNumber(&r.Stop) {
			return false
		}
		if len(*set) >= maxRanges {
			return d.fail(Bad("More than %d ranges in a set", maxRanges))
		}
		*set = append(*set, r)
		if !d.Try(',') {
			return d.err == nil
		}
	}
}

// SetNumber takes a set of one number, or *.
func (d *Decoder) SetNumber(set *NumSet) bool {
	var n uint32
	ok := d.setNumber(&n)
	*set = NumSet{{n, n}}
	return ok
}

func (d *Decoder) setNumber(n *uint32) bool {
	if d.Try('*') {
		*n = 0
		return true
	}
	if !d.Number(n) {
		return false
	}
	if *n == 0 {
		return d.fail(Bad("0 is not a message number"))
	}
	return true
}

// Resolve returns the set with * as the largest number in use, in ascending
// order and without overlaps.
func (s NumSet) Resolve(largest uint32) NumSet {
	out := make(NumSet, 0, len(s))
	for _, r := range s {
		if r.Start == 0 {
			r.Start = largest
		}
		if r.Stop == 0 {
			r.Stop = largest
		}
		if r.Start > r.Stop {
			r.Start, r.Stop = r.Stop, r.Start
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b NumRange) int { return cmp.Compare(a.Start, b.Start) })
	merged := out[:0]
	for _, r := range out {
		if n := len(merged); n > 0 && r.Start <= merged[n-1].Stop {
			merged[n-1].Stop = max(merged[n-1].Stop, r.Stop)
			continue
		}
		merged = append(merged, r)
	}
	return merged
}

// Contains says whether a resolved set holds n.
func (s NumSet) Contains(n uint32) bool {
	i, found := slices.BinarySearchFunc(s, n, func(r NumRange, n uint32) int {
		switch {
		case r.Stop < n:
			return -1
		case r.Start > n:
			return 1
		}
		return 0
	})
	return found && i < len(s)
}

// maxNumbers bounds what Numbers returns.
const maxNumbers = 10000

// Numbers returns the numbers of a set in the order in which they stand there,
// the first of them if they are too many.
func (s NumSet) Numbers() (all []uint32) {
	for _, r := range s {
		for n := uint64(min(r.Start, r.Stop)); n <= uint64(max(r.Start, r.Stop)); n++ {
			if len(all) == maxNumbers {
				return all
			}
			all = append(all, uint32(n))
		}
	}
	return all
}

// Add appends a number to a set that is being built in ascending order.
func (s *NumSet) Add(n uint32) {
	if k := len(*s); k > 0 && (*s)[k-1].Stop+1 == n {
		(*s)[k-1].Stop = n
		return
	}
	*s = append(*s, NumRange{n, n})
}

// String returns the set as it is written.
func (s NumSet) String() string {
	var b []byte
	for i, r := range s {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(r.Start), 10)
		if r.Stop != r.Start {
			b = append(b, ':')
			b = strconv.AppendUint(b, uint64(r.Stop), 10)
		}
	}
	return string(b)
}

// A PartialRange picks results: the first to the hundredth are 1 and 100,
// counted from the end -1 and -100. RFC 9394 section 3.1.
type PartialRange struct{ First, Last int64 }

// partialRange takes 1:100 or -1:-100.
func (d *Decoder) partialRange(r *PartialRange) bool {
	var signs [2]bool
	for i, n := range []*int64{&r.First, &r.Last} {
		if i > 0 && !d.Expect(':') {
			return false
		}
		signs[i] = d.Try('-')
		var v uint32
		if !d.Number(&v) {
			return false
		}
		if *n = int64(v); signs[i] {
			*n = -*n
		}
	}
	if signs[0] != signs[1] || r.First == 0 || r.Last == 0 {
		return d.fail(Bad("A partial range has two numbers from 1 on, both or neither negative"))
	}
	return true
}

// Window returns which of n results the range picks: those from first on,
// before behind.
func (r PartialRange) Window(n int) (first, behind int) {
	a, b := min(r.First, r.Last), max(r.First, r.Last)
	if r.First < 0 {
		a, b = int64(n)+a+1, int64(n)+b+1
	}
	first, behind = min(int(max(a, 1))-1, n), int(min(b, int64(n)))
	return first, max(first, behind)
}

// String returns the range as it was written.
func (r PartialRange) String() string {
	return strconv.FormatInt(r.First, 10) + ":" + strconv.FormatInt(r.Last, 10)
}
