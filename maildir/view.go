package maildir

import (
	"slices"
	"sort"
	"time"

	"golang.org/x/sys/unix"
)

// A view is what one session has shown its client of an index that others
// change meanwhile.
type view struct {
	places  []uint32        // record numbers by place; nil: they are the same
	n       int             // places, if they are
	seen    int             // records that have been considered for a place
	told    uint64          // changes up to this modseq are known to the client
	own     []uint64        // modseqs of this session's changes since
	covered map[uint32]bool // UIDs of messages that others had changed before this session did
	quiet   uint64          // all changes up to this modseq are told or its own
	forgot  uint32          // expunges, as the index counts them, that were looked at
	recent  []uidRange
	lost    []uint32 // UIDs of messages that the index no longer knows
}

// firstLost is the first number that stands for a message in lost.
const firstLost = 1 << 31

type uidRange struct{ first, last uint32 }

// A Message is one of an open folder, as it was when it was asked for.
type Message struct {
	UID    uint32
	Flags  Flags
	ModSeq uint64
	Recent bool  // this session was the first to see it
	New    bool  // no session has taken it out of new/
	Gone   bool  // it is no longer there; the client has not been told
	Size   int64 // bytes of the file; -1: not known yet
	CRLF   int64 // bytes with CRLF line ends, RFC822.SIZE; -1: not known yet
}

// Len returns how many messages there are, those that are gone included.
func (f *Folder) Len() int {
	if f.places == nil {
		return f.n
	}
	return len(f.places)
}

// number returns the record at a place.
func (f *Folder) number(place int) int {
	if f.places == nil {
		return place
	}
	return int(f.places[place])
}

// record returns a record, also of a message that the index has lost.
func (f *Folder) record(n int) record {
	if n >= firstLost {
		return record{uid: f.lost[n-firstLost], state: stateExpunged, size: -1, crlf: -1, date: -1}
	}
	return f.ix.record(n)
}

// Message returns what is known of the message at a place.
func (f *Folder) Message(place int) Message {
	r := f.record(f.number(place))
	m := Message{UID: r.uid, Flags: r.flags, ModSeq: r.modseq, New: r.state&stateNew != 0, Gone: r.state&stateExpunged != 0,
		Size: r.size, CRLF: r.crlf}
	if f.readOnly { // it takes \Recent from nobody: RFC 3501 section 2.3.2
		m.Recent = m.New
	} else if len(f.recent) > 0 {
		m.Recent = f.isRecent(r.uid)
	}
	return m
}

// Flags returns the flags of the message at a place, and whether it is gone.
func (f *Folder) Flags(place int) (flags Flags, gone bool) {
	r := f.record(f.number(place))
	return r.flags, r.state&stateExpunged != 0
}

// Gone says whether the message at a place is no longer there.
func (f *Folder) Gone(place int) bool {
	if f.ix.expunged == 0 && len(f.lost) == 0 {
		return false // which spares reading what is asked for all of a large folder
	}
	r := f.record(f.number(place))
	return r.state&stateExpunged != 0
}

// Key returns what stays of a message's file name as long as the message does.
func (f *Folder) Key(place int) string {
	r := f.record(f.number(place))
	key := f.ix.key(&r)
	if f.ix.broken.Load() && f.catchUp() == nil {
		r = f.record(f.number(place))
		key = f.ix.key(&r)
	}
	return string(key)
}

// UIDNext returns what UID the next message will have at least.
func (f *Folder) UIDNext() uint32 { return f.ix.uidnext }

// HighestModSeq returns the modseq of the last change that Changed has returned
// or that was there when the folder was opened: RFC 7162 section 3.1.2.1.
func (f *Folder) HighestModSeq() uint64 { return f.told }

// Count returns how many messages are there and pass a test.
func (f *Folder) Count(test func(Message) bool) (n int) {
	for place := range f.Len() {
		if m := f.Message(place); !m.Gone && test(m) {
			n++
		}
	}
	return n
}

// ByUID returns the place of a UID, or where it would be.
func (f *Folder) ByUID(uid uint32) (place int, found bool) {
	n := f.Len()
	place = sort.Search(n, func(i int) bool { return f.record(f.number(i)).uid >= uid })
	return place, place < n && f.record(f.number(place)).uid == uid
}

// begin shows all that the index has.
func (f *Folder) begin() {
	f.view = view{recent: f.recent, told: f.ix.modseq, quiet: f.ix.modseq, forgot: f.ix.expunges}
	f.UIDValidity = f.ix.uidvalidity
	f.see()
}

// see gives places to the records that came since.
func (f *Folder) see() {
	for ; f.seen < int(f.ix.count); f.seen++ {
		expunged := f.ix.expunged > 0 && f.ix.record(f.seen).state&stateExpunged != 0
		switch {
		case expunged:
			f.spread()
		case f.places == nil:
			f.n++
		default:
			f.places = append(f.places, uint32(f.seen))
		}
	}
}

// spread makes the view one in which places and records differ.
func (f *Folder) spread() {
	if f.places != nil {
		return
	}
	f.places = make([]uint32, f.n, f.n+16)
	for i := range f.places {
		f.places[i] = uint32(i)
	}
}

// adopt goes over to another index of the folder: every message keeps its
// place, which is that of its UID.
func (f *Folder) adopt(next *index) {
	old, lost := f.ix, []uint32(nil)
	places := make([]uint32, 0, f.Len())
	last := uint32(0)
	n, count := 0, int(next.count)
	for place := range f.Len() {
		last = f.record(f.number(place)).uid
		for n < count && next.record(n).uid < last {
			n++
		}
		if n < count && next.record(n).uid == last {
			places = append(places, uint32(n))
		} else {
			places = append(places, firstLost+uint32(len(lost)))
			lost = append(lost, last)
		}
	}
	if f.seen > 0 { // messages that came and went do not come again
		last = max(last, old.record(min(f.seen, int(old.count))-1).uid)
	}
	f.places, f.n, f.lost = places, 0, lost
	f.seen = sort.Search(count, func(i int) bool { return next.record(i).uid > last })
	f.forgot = next.expunges - 1 // look at all
	f.ix, f.hints = next, nil
	old.close()
	f.see()
}

// ChangedByAll returns the places of messages that have changed since Changed was
// last called, by this session as well, those that are gone included.
func (f *Folder) ChangedByAll() (places []int) {
	if f.ix.modseq == f.told {
		return nil
	}
	for place := range f.Len() {
		if f.record(f.number(place)).modseq > f.told {
			places = append(places, place)
		}
	}
	return places
}

// Changed returns the places of messages that others have changed since it was
// last called, those that are gone included.
func (f *Folder) Changed() (places []int) {
	if f.ix.modseq == f.quiet {
		f.told, f.own, f.covered = f.quiet, nil, nil
		return nil
	}
	for place := range f.Len() {
		r := f.record(f.number(place))
		if r.modseq > f.told && (!slices.Contains(f.own, r.modseq) || f.covered[r.uid]) {
			places = append(places, place)
		}
	}
	f.told, f.quiet, f.own, f.covered = f.ix.modseq, f.ix.modseq, nil, nil
	return places
}

// mine notes that a change with a modseq is this session's own; before is the
// modseq of the last one ahead of it.
func (f *Folder) mine(modseq, before uint64) {
	if before == f.quiet {
		f.quiet = modseq
	}
	if n := len(f.own); n == 0 || f.own[n-1] != modseq {
		f.own = append(f.own, modseq)
	}
}

// Forget takes the places of messages that are gone, after the client has been
// told; it returns the numbers as EXPUNGE wants them, each as if those before
// it were removed already, and the UIDs.
func (f *Folder) Forget() (numbers, uids []uint32) {
	if f.forgot == f.ix.expunges {
		return nil, nil
	}
	f.spread()
	kept := f.places[:0]
	for _, n := range f.places {
		if r := f.record(int(n)); r.state&stateExpunged != 0 {
			numbers = append(numbers, uint32(len(kept)+1))
			uids = append(uids, r.uid)
			continue
		}
		kept = append(kept, n)
	}
	f.places = kept
	f.forgot = f.ix.expunges
	return numbers, uids
}

// Withheld returns the smallest modseq of the messages that are gone but still have
// places, or 0: the client has not been told of them.
func (f *Folder) Withheld() (modseq uint64) {
	if f.forgot == f.ix.expunges {
		return 0
	}
	for place := range f.Len() {
		if r := f.record(f.number(place)); r.state&stateExpunged != 0 && (modseq == 0 || r.modseq < modseq) {
			modseq = r.modseq
		}
	}
	return modseq
}

// Vanished returns the UIDs of messages that went after a modseq, ascending. It
// is false if that cannot be told any more: RFC 7162 section 3.2.10.
func (f *Folder) Vanished(since uint64) (uids []uint32, ok bool) {
	if since < f.ix.floor {
		return nil, false
	}
	for n := range int(f.ix.count) {
		if r := f.ix.record(n); r.state&stateExpunged != 0 && r.modseq > since {
			uids = append(uids, r.uid)
		}
	}
	return uids, true
}

// isRecent says whether this session took a message out of new/.
func (f *Folder) isRecent(uid uint32) bool {
	i := sort.Search(len(f.recent), func(i int) bool { return f.recent[i].last >= uid })
	return i < len(f.recent) && f.recent[i].first <= uid
}

// setRecent notes a message that this session took out of new/; UIDs ascend.
func (f *Folder) setRecent(uid uint32) {
	if n := len(f.recent); n > 0 && f.recent[n-1].last == uid-1 {
		f.recent[n-1].last = uid
		return
	}
	f.recent = append(f.recent, uidRange{uid, uid})
	slices.SortFunc(f.recent, func(a, b uidRange) int { return int(a.first) - int(b.first) })
}

// Date returns a message's INTERNALDATE: its file's time.
func (f *Folder) Date(place int) (time.Time, error) {
	n := f.number(place)
	if r := f.record(n); r.date >= 0 {
		return time.Unix(r.date, 0), nil
	}
	st, err := f.statMessage(n)
	if err != nil {
		return time.Time{}, err
	}
	f.learn(n, fact{size: st.Size, crlf: -1, date: st.Mtim.Sec})
	return time.Unix(st.Mtim.Sec, 0), nil
}

// Recent returns how many messages this session was the first to see.
func (f *Folder) Recent() (n int) {
	if f.readOnly {
		return f.Count(func(m Message) bool { return m.New })
	}
	for _, r := range f.recent {
		first, _ := f.ByUID(r.first)
		behind, _ := f.ByUID(r.last + 1)
		n += behind - first
	}
	return n
}

// Rest lets go of memory that a session which waits does not need: the index
// stays mapped, and is read from the system's cache when it is looked at.
func (f *Folder) Rest() {
	for _, m := range []*mapping{&f.ix.records, &f.ix.names, &f.ix.cache} {
		if m.fd >= 0 && !m.held && len(m.b) > 0 {
			unix.Madvise(m.b, unix.MADV_DONTNEED)
		}
	}
}
