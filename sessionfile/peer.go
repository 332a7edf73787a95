package sessionfile

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"slices"
	"time"
)

// A Rule says who may send without a login of his own.
type Rule struct {
	Window   time.Duration  // since the last login; 0: nobody may
	LiveOnly bool           // a session must be open, too
	Deny     []netip.Prefix // addresses that vouch for nobody
}

// Read returns the records of this boot. A missing file has none.
func Read(path string) ([]Record, error) {
	return read(path, func([]byte) bool { return true })
}

// At returns the records of an address.
func At(path string, addr netip.Addr) ([]Record, error) {
	field := addrField(addr.Unmap().WithZone(""))
	return read(path, func(line []byte) bool { return bytes.Equal(line[uidEnd:addrEnd], field) })
}

func read(path string, wanted func(line []byte) bool) (recs []Record, err error) {
	f, err := openFile(path, os.O_RDONLY)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t := &table{File: f}
	defer t.close()
	if err := t.read(false); err != nil {
		return nil, err
	}
	for i := range t.len() {
		if t.empty(i) || !wanted(t.line(i)) {
			continue
		}
		r, ok := t.record(i)
		for try := 0; !ok && try < 3; try++ { // it is being written
			time.Sleep(100 * time.Microsecond)
			if _, err := t.ReadAt(t.line(i), int64(i+1)*recordBytes); err != nil {
				break
			}
			r, ok = t.record(i)
		}
		if ok {
			recs = append(recs, r)
		}
	}
	return recs, nil
}

// Sender returns the one user who may send from addr without a login of his
// own, with the record that says so: exactly one user has logged in there who
// has a live session or, but for LiveOnly, has come within the window.
func (rule Rule) Sender(recs []Record, addr netip.Addr) (found Record, ok bool) {
	if at := rule.sender(recs, addr); at >= 0 {
		return recs[at], true
	}
	return Record{}, false
}

// sender returns the number of that record, -1 if there is none.
func (rule Rule) sender(recs []Record, addr netip.Addr) int {
	addr = addr.Unmap().WithZone("")
	if rule.Window == 0 || slices.ContainsFunc(rule.Deny, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return -1
	}
	vouches, one := -1, -1
	for i, r := range recs {
		if !rule.counts(r, addr) {
			continue
		}
		if one >= 0 && recs[one].UID != r.UID {
			return -1
		}
		if one = i; !r.Void {
			vouches = i
		}
	}
	return vouches
}

// counts says whether a record says who is at an address now.
func (rule Rule) counts(r Record, addr netip.Addr) bool {
	return r.Addr == addr && (len(r.Sessions()) > 0 || !rule.LiveOnly && r.within(rule.Window))
}

// Announce tells an MTA who may send from an address now, under the lock: it writes
// the address's file in the folder, with what addresses returns for its one user, or
// removes it.
func Announce(path, folder string, addr netip.Addr, rule Rule, addresses func(user string) []string) error {
	t, unlock, err := open(path)
	if err != nil {
		return err
	}
	defer unlock()
	recs, _ := t.at(addr)
	r, ok := rule.Sender(recs, addr)
	if !ok {
		return Withdraw(folder, addr)
	}
	return publish(folder, addr, r.User, addresses(r.User), rule.Window)
}

// Grant lets the peer send without a login of its own, and counts it. The record is
// one of those that vouch for it, with the first login of them all. ok is false
// where nobody does.
func Grant(path string, addr netip.Addr, rule Rule) (r Record, ok bool, err error) {
	recs, err := At(path, addr)
	if err != nil {
		return Record{}, false, err
	}
	if _, ok := rule.Sender(recs, addr); !ok { // most peers: without the lock
		return Record{}, false, nil
	}
	t, unlock, err := open(path)
	if err != nil {
		return Record{}, false, err
	}
	defer unlock()
	recs, places := t.at(addr)
	at := rule.sender(recs, addr)
	if at < 0 {
		return Record{}, false, nil
	}
	recs[at].Relays++
	err = t.put(places[at], recs[at].line())
	r = recs[at]
	for i := range recs {
		if rule.counts(recs[i], r.Addr) && !recs[i].Void {
			r.First = min(r.First, recs[i].First)
		}
	}
	return r, true, err
}

// at returns the records of an address, and where they stand.
func (t *table) at(addr netip.Addr) (recs []Record, places []int) {
	field := addrField(addr.Unmap().WithZone(""))
	for i := range t.len() {
		if !bytes.Equal(t.line(i)[uidEnd:addrEnd], field) {
			continue
		}
		if r, ok := t.record(i); ok {
			recs, places = append(recs, r), append(places, i)
		}
	}
	return recs, places
}

// Void makes an address vouch for nobody until somebody logs in there again,
// as after a wrong password. It returns how many records that changed.
func Void(path string, addr netip.Addr) (int, error) {
	recs, err := At(path, addr)
	if err != nil || len(recs) == 0 {
		return 0, err
	}
	return change(path, func(r *Record) bool {
		if r.Addr != addr.Unmap().WithZone("") || r.Void {
			return false
		}
		r.Void = true
		return true
	})
}

// Forget drops the records that match: those with live sessions stay. None at their
// addresses vouches for anybody after that: where two users were, one may be left.
func Forget(path string, match func(Record) bool) (int, error) {
	recs, err := Read(path)
	if err != nil {
		return 0, err
	}
	addrs := map[netip.Addr]bool{}
	for _, r := range recs {
		if match(r) {
			addrs[r.Addr] = true
		}
	}
	forgotten := 0
	_, err = change(path, func(r *Record) bool {
		if !match(*r) {
			changed := addrs[r.Addr] && !r.Void
			r.Void = r.Void || changed
			return changed
		}
		forgotten++
		r.Void = true
		if r.Live = r.Sessions(); len(r.Live) == 0 {
			r.Logins = 0
		}
		return true
	})
	return forgotten, err
}

// change writes the records that edit has changed, and drops those that it left
// no login.
func change(path string, edit func(*Record) bool) (n int, err error) {
	t, unlock, err := open(path)
	if err != nil {
		return 0, err
	}
	defer unlock()
	for i := range t.len() {
		r, ok := t.record(i)
		if !ok || !edit(&r) {
			continue
		}
		if r.Logins == 0 {
			err = t.put(i, blank)
		} else {
			err = t.put(i, r.line())
		}
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
