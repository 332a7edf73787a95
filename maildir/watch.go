package maildir

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// pollInterval is how often a folder is looked at where its changes are not
// told: inotify is exhausted, or the file system is another machine's.
var pollInterval = 15 * time.Second // tests shorten it

// A watch gathers the names of files that come, go and are renamed in a folder.
// Once it is complete, nothing else needs to be looked at to know what is there.
type watch struct {
	file *os.File // of inotify
	fd   int
	cur  int32 // inotify's descriptors; -1: it cannot be watched
	new  int32
	full bool // events since the folder was last read are all there
}

// An event is the last that was heard of a key.
type event struct {
	found
	absent  bool
	deleted bool // not only renamed to we do not know where
}

// follow begins to watch, once a folder is looked at again or changed.
func (f *Folder) follow() {
	if !f.follows || f.watch != nil {
		return
	}
	f.watch = &watch{fd: -1}
	if f.remote {
		return
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return
	}
	if f.watch.cur, err = addWatch(fd, f.cur); err == nil {
		f.watch.new, err = addWatch(fd, f.new)
	}
	if err != nil {
		unix.Close(fd)
		return
	}
	f.watch.fd, f.watch.file = fd, os.NewFile(uintptr(fd), "inotify")
	if f.unchanged() {
		f.watch.begin()
	}
}

func addWatch(fd, dir int) (int32, error) {
	const events = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_ONLYDIR
	wd, err := unix.InotifyAddWatch(fd, fmt.Sprintf("/proc/self/fd/%d", dir), events)
	if err != nil {
		return -1, err
	}
	return int32(wd), nil
}

// suspended runs fn, which changes so much that hearing of it would cost more
// than reading the folder afterwards.
func (f *Folder) suspended(fn func() error) error {
	w := f.watch
	if !w.complete() {
		return fn()
	}
	unix.InotifyRmWatch(w.fd, uint32(w.cur))
	w.cur, w.full = -1, false
	err := fn()
	w.cur, _ = addWatch(w.fd, f.cur)
	w.drain()
	return err
}

// isRemote says whether a directory's changes may be made on another machine.
func isRemote(fd int) bool {
	const fuse, smb2, cifs, ceph, lustre, gpfs = 0x65735546, 0xfe534d42, 0xff534d42, 0x00c36400, 0x0bd00bd0, 0x47504653
	var st unix.Statfs_t
	if unix.Fstatfs(fd, &st) != nil {
		return true
	}
	switch uint32(st.Type) {
	case unix.NFS_SUPER_MAGIC, unix.V9FS_MAGIC, unix.AFS_SUPER_MAGIC, fuse, smb2, cifs, ceph, lustre, gpfs:
		return true
	}
	return false
}

// begin notes that the index has all that was in the folder when it was read,
// after the watch had begun.
func (w *watch) begin() {
	if w != nil {
		w.full = w.fd >= 0 && w.cur >= 0
	}
}

// complete says whether events tell all that changes.
func (w *watch) complete() bool { return w != nil && w.full }

func (w *watch) close() {
	if w != nil && w.file != nil {
		w.file.Close()
	}
}

// drain returns what was heard of since the last time. Not complete: it was too
// much to be kept, or the folder is gone.
func (w *watch) drain() (events []*event, complete bool) {
	var buf [16 << 10]byte
	known := map[string]*event{}
	for {
		n, err := unix.Read(w.fd, buf[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return events, err == unix.EAGAIN
		}
		for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			wd := int32(binary.NativeEndian.Uint32(b))
			mask := binary.NativeEndian.Uint32(b[4:])
			end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
			name, _, _ := bytes.Cut(b[unix.SizeofInotifyEvent:end], []byte{0})
			b = b[end:]
			if mask&(unix.IN_Q_OVERFLOW|unix.IN_IGNORED|unix.IN_UNMOUNT) != 0 { // the last two: the folder is gone
				return nil, false
			}
			if len(name) == 0 || !isMessageName(name) || mask&unix.IN_ISDIR != 0 {
				continue
			}
			key, info, colon := splitName(bytes.Clone(name))
			e := known[string(key)]
			if e == nil {
				e = &event{}
				known[string(key)] = e
				events = append(events, e)
			}
			gone := mask&(unix.IN_DELETE|unix.IN_MOVED_FROM) != 0
			if gone && e.key != nil && !e.absent && (!bytes.Equal(e.info, info) || e.inNew != (wd == w.new)) {
				continue // an older name of a file that has another by now
			}
			e.found = found{key: key, info: info, colon: colon, inNew: wd == w.new, crlf: -1}
			e.absent, e.deleted = gone, mask&unix.IN_DELETE != 0
		}
	}
}

// followEvents brings the index up to date with what the watch has heard of.
func (f *Folder) followEvents() error {
	events, complete := f.watch.drain()
	defer func() { f.hints = nil }()
	if !complete {
		f.watch.full = false
		return f.lookAgain()
	}
	if f.ix.records.fd >= 0 && f.ix.reload() == nil {
		f.see()
		if len(events) == 0 {
			return nil
		}
		if l, missing, early := f.weigh(events); len(l.fresh)+len(l.edits)+len(missing) == 0 && !early {
			return nil // this session's own changes, or told by another in the index
		}
	}
	if len(events) == 0 {
		return nil
	}
	if f.deleted() {
		return f.lookAgain()
	}
	err := f.withLock(func() error {
		f.readKeywords()
		l, missing, _ := f.weigh(events)
		if len(missing) > 0 && slices.ContainsFunc(events, func(e *event) bool { return e.absent && !e.deleted }) {
			return f.scan() // perhaps only half of a rename was heard of
		}
		agree, err := f.take(l, missing)
		if err == nil && !agree {
			err = f.scan()
		}
		return err
	})
	if err != nil {
		f.watch.full = false // look again next time
	}
	if unwritable(err) {
		return f.catchUp()
	}
	return err
}

// weigh compares events with the index. early says that a record is newer than
// the header: another session has written it, and not yet made it known.
func (f *Folder) weigh(events []*event) (l *look, missing []int, early bool) {
	l = &look{}
	for i, n := range f.recordsOf(events) {
		e := events[i]
		if n < 0 {
			if !e.absent && f.isFile(&e.found) {
				l.fresh = append(l.fresh, &e.found)
			}
			continue
		}
		r := f.ix.record(n)
		early = early || r.modseq > f.ix.modseq
		switch {
		case e.absent && (r.state&stateExpunged != 0 || isRegular(f.dirOf(&r), f.ix.fileName(&r))):
			// It was another name of the message, or of a twin.
		case e.absent:
			missing = append(missing, n)
		case !e.absent && !f.matches(n, e.info, e.colon, e.inNew) && f.isFile(&e.found):
			// Else it has another name by now, or is gone: another event tells.
			l.edits = append(l.edits, edit{n, &e.found})
		}
	}
	return l, missing, early
}

// recordsOf returns the records that events are about; -1: there is none.
func (f *Folder) recordsOf(events []*event) []int {
	numbers := make([]int, len(events))
	left := 0
	for i, e := range events {
		n, hinted := f.hints[string(e.key)]
		if hinted && n < int(f.ix.count) {
			r := f.ix.record(n)
			hinted = bytes.Equal(f.ix.key(&r), e.key) && (e.absent || r.state&stateExpunged == 0)
		}
		if numbers[i] = n; !hinted {
			numbers[i] = -1
			left++
		}
	}
	if left == 0 {
		return numbers
	}
	t := newKeyTable(len(events), func(n int) []byte { return events[n].key })
	for i, n := range numbers {
		if n < 0 {
			t.add(i)
		}
	}
	for n := int(f.ix.count) - 1; n >= 0 && left > 0; n-- {
		r := f.ix.record(n)
		if i, ok := t.find(f.ix.key(&r)); ok && numbers[i] < 0 && (events[i].absent || r.state&stateExpunged == 0) {
			numbers[i] = n
			left--
		}
	}
	return numbers
}

// isFile says whether a name that was heard of is a message.
func (f *Folder) isFile(e *found) bool {
	name := string(e.key)
	if e.colon {
		name += ":" + string(e.info)
	}
	dir := f.cur
	if e.inNew {
		dir = f.new
	}
	return isRegular(dir, name)
}

// Settle tells those who come later that the folder was followed to this
// point, so that they need not read it. It waits until the clock has gone on
// since the last change, some 20 ms at most.
func (f *Folder) Settle() {
	if !f.watch.complete() || f.ix.records.fd < 0 || f.unchanged() {
		return
	}
	var stamps [2]dirStamp
	for range 3 {
		if f.Sync() != nil || !f.watch.complete() {
			return
		}
		wait := time.Duration(0)
		for i, fd := range []int{f.cur, f.new} {
			var err error
			if stamps[i], err = stampDir(fd); err != nil || stamps[i].mtime%1e9 == 0 {
				return
			}
			if !stamps[i].settled {
				wait = granularity(stamps[i].mtime)
			}
		}
		if wait == 0 {
			break
		}
		time.Sleep(wait)
	}
	if events, complete := f.watch.drain(); !stamps[0].settled || !stamps[1].settled || len(events) > 0 || !complete {
		f.watch.full = complete && len(events) == 0
		return
	}
	if l, err := f.store.takeLock(f.dir, uidlistLock, 0); err == nil {
		defer l.release()
		if f.ix.reload() == nil {
			f.ix.stamps = stamps
			f.ix.flush()
		}
	}
}

// A Watch calls a function whenever a folder may have changed.
type Watch struct {
	w    *watch
	stop chan struct{}
	done chan struct{} // closed when changed will not be called any more
}

// Watch begins to call changed, on another goroutine.
func (f *Folder) Watch(changed func()) *Watch {
	f.follow()
	w := &Watch{w: f.watch, stop: make(chan struct{}), done: make(chan struct{})}
	if f.watch == nil || f.watch.fd < 0 || f.watch.cur < 0 {
		go poll(changed, w.stop, w.done)
	} else {
		go w.wait(changed)
	}
	return w
}

func (w *Watch) wait(changed func()) {
	defer close(w.done)
	conn, err := w.w.file.SyscallConn()
	if err != nil {
		return
	}
	conn.Read(func(uintptr) bool { // once at the beginning, then for whatever comes
		changed()
		return false
	})
}

// poll calls changed now and then, where nothing tells of changes.
func poll(changed func(), stop, done chan struct{}) {
	defer close(done)
	t := time.NewTicker(pollInterval)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return
		case <-t.C:
			changed()
		}
	}
}

// Stop ends the calls, and waits for one to return.
func (w *Watch) Stop() {
	close(w.stop)
	if w.w != nil && w.w.file != nil {
		w.w.file.SetReadDeadline(time.Unix(1, 0))
	}
	<-w.done
	if w.w != nil && w.w.file != nil {
		w.w.file.SetReadDeadline(time.Time{})
	}
}
