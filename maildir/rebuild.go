package maildir

import "slices"

// keepExpunged is how many messages that are gone an index remembers; twice as
// many before it is laid out anew.
const keepExpunged = 1000

// rebuild lays the index out anew, under the lock: with more messages, which
// may belong between the others, and without those that have been gone for
// long. After a start of the machine all messages get a new modseq.
func (f *Folder) rebuild(fresh []*found) {
	old := f.ix
	started := !old.sameBoot()
	modseq := old.change()
	b := newBuilder(old.indexHeader, int(old.count)+len(fresh), int(old.indexHeader.names)+80*len(fresh))
	b.header.boot, b.more = bootTime(), f.more.of
	b.header.floor = max(old.floor, old.forgettable())
	for n := range int(old.count) {
		r := old.record(n)
		for len(fresh) > 0 && fresh[0].uid < r.uid {
			b.enter(fresh[0], modseq)
			fresh = fresh[1:]
		}
		if r.state&stateExpunged != 0 && r.modseq <= b.header.floor {
			continue
		}
		if started {
			r.modseq = modseq
		}
		b.add(&r, old.blob(&r))
	}
	for _, e := range fresh {
		b.enter(e, modseq)
	}
	var next *index
	if f.locked > 0 {
		next = b.install(f.dir)
	} else {
		next = b.memory()
	}
	old.replaced = true
	old.flush()
	f.adopt(next)
}

// enter appends the record of a file.
func (b *builder) enter(e *found, modseq uint64) {
	blob, flags, state := describe(e.key, string(e.info), e.colon)
	r := e.record(modseq)
	r.flags = flags | b.more[string(e.key)]
	r.state |= state
	b.add(&r, blob)
}

// forgettable returns the modseq up to which expunged messages are too many to
// be remembered.
func (ix *index) forgettable() uint64 {
	if ix.expunged <= 2*keepExpunged {
		return 0
	}
	var gone []uint64
	for n := range int(ix.count) {
		if r := ix.record(n); r.state&stateExpunged != 0 {
			gone = append(gone, r.modseq)
		}
	}
	if len(gone) <= keepExpunged {
		return 0
	}
	slices.Sort(gone)
	return gone[len(gone)-keepExpunged-1]
}

// compact lays out anew what has more lines of messages that are gone than of
// others, under the lock.
func (f *Folder) compact() error {
	if f.ix.expunged > 2*keepExpunged && f.ix.records.fd >= 0 {
		f.rebuild(nil)
	}
	if err := f.compactMore(); err != nil {
		return err
	}
	live := f.ix.count - f.ix.expunged
	if f.ix.uidlines < 100 || f.ix.uidlines < 2*live {
		return nil
	}
	u, err := f.uidlistNow()
	if err != nil {
		return err
	}
	n := 0
	u.records = slices.DeleteFunc(u.records, func(line uidRecord) bool {
		for n < int(f.ix.count) && f.ix.record(n).uid < line.uid {
			n++
		}
		if n == int(f.ix.count) {
			return true
		}
		r := f.ix.record(n)
		return r.uid != line.uid || r.state&stateExpunged != 0
	})
	f.ix.uidlines = uint32(len(u.records))
	if err := f.rewriteUIDList(u); err != nil {
		return err
	}
	f.ix.flush()
	return nil
}
