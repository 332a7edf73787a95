package maildir

import (
	"bytes"
	"encoding/binary"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A TreeWatch hears of changes in folders of a Maildir, of folders that come and
// go, and of what is noted about them. Where inotify is exhausted, or the file system is another machine's,
// it only looks now and then.
type TreeWatch struct {
	store   *Store
	fd      int
	file    *os.File
	root    int32
	folders map[int32]string // by watch of cur or new
	noted   map[int32]string // by watch of the folder, where metadata are; nil: of no interest
	watched map[string]bool
	missed  map[string]time.Time // since when folders were not all there
	changed func()
	stop    chan struct{}
	done    chan struct{}

	mu      sync.Mutex // of what follows; changed is not called once it has stopped
	stopped bool
	timed   bool // a timer runs, for all that were missed
	again   bool // it has run out
}

// Another program's mkdir of a folder is heard of before cur and new are there:
// they are looked for again, for so long.
const (
	nextTry = 50 * time.Millisecond
	lastTry = 5 * time.Second
)

// A Heard is what may have happened since one last asked.
type Heard struct {
	Folders  []string          // those with other messages or flags
	Metadata []string          // those with other metadata; "": the server
	Names    bool              // folders came or went, or subscriptions changed, or one is to be added once more
	Renamed  map[string]string // new names of folders, and what they were called
}

// settleTime is what a program has to rename what is below a folder, too.
const settleTime = 20 * time.Millisecond

// WatchTree begins to call changed, on another goroutine, whenever something
// may have changed: metadata only if that is wanted.
func (s *Store) WatchTree(folders []string, metadata bool, changed func()) *TreeWatch {
	w := &TreeWatch{store: s, fd: -1, folders: map[int32]string{}, watched: map[string]bool{}, missed: map[string]time.Time{},
		changed: changed, stop: make(chan struct{}), done: make(chan struct{})}
	if metadata {
		w.noted = map[int32]string{}
	}
	if dir, err := unix.Open(s.root, openDir&^unix.O_NOFOLLOW, 0); err == nil {
		if !isRemote(dir) {
			w.fd, _ = unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
		}
		unix.Close(dir)
	}
	if w.fd >= 0 {
		const names = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_ONLYDIR
		root, err := unix.InotifyAddWatch(w.fd, s.root, names)
		w.root = int32(root)
		for _, name := range folders {
			if err == nil {
				err = w.add(name)
			}
		}
		if err != nil {
			unix.Close(w.fd)
			w.fd = -1
		}
	}
	if w.fd < 0 {
		w.Add(folders)
		go poll(changed, w.stop, w.done)
	} else {
		w.file = os.NewFile(uintptr(w.fd), "inotify")
		go w.wait(changed)
	}
	return w
}

// add watches a folder; one that is not there is left out, and tried again.
func (w *TreeWatch) add(name string) error {
	const events = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_ONLYDIR
	for _, sub := range []string{"cur", "new"} {
		wd, err := unix.InotifyAddWatch(w.fd, filepath.Join(w.store.path(name), sub), events)
		if err == unix.ENOENT {
			w.tryAgain(name)
		}
		if err == unix.ENOENT || err == unix.ENOTDIR {
			return nil
		}
		if err != nil {
			return err
		}
		w.folders[int32(wd)] = name
	}
	if w.noted != nil && name != Inbox { // whose metadata are in the root
		wd, err := unix.InotifyAddWatch(w.fd, w.store.path(name), unix.IN_MOVED_TO|unix.IN_ONLYDIR)
		if err != nil && err != unix.ENOENT {
			return err
		}
		if err == nil {
			w.noted[int32(wd)] = name
		}
	}
	w.watched[name] = true
	return nil
}

func (w *TreeWatch) tryAgain(name string) {
	if w.missed[name].IsZero() {
		w.missed[name] = time.Now()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timed || time.Since(w.missed[name]) > lastTry {
		return
	}
	w.timed = true
	time.AfterFunc(nextTry, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.timed, w.again = false, true
		if !w.stopped {
			w.changed()
		}
	})
}

// Add watches further folders, and returns those that were not watched before.
func (w *TreeWatch) Add(folders []string) (added []string) {
	maps.DeleteFunc(w.missed, func(name string, _ time.Time) bool { return !slices.Contains(folders, name) })
	maps.DeleteFunc(w.watched, func(name string, _ bool) bool { return !slices.Contains(folders, name) })
	for _, name := range folders {
		if w.watched[name] {
			continue
		}
		if w.fd < 0 {
			w.watched[name] = true // as far as one looks now and then
		} else {
			w.add(name)
		}
		if w.watched[name] {
			delete(w.missed, name)
			added = append(added, name)
		}
	}
	return added
}

func (w *TreeWatch) wait(changed func()) {
	defer close(w.done)
	conn, err := w.file.SyscallConn()
	if err != nil {
		return
	}
	conn.Read(func(uintptr) bool {
		changed()
		return false
	})
}

// Heard returns what was heard since it was last called.
func (w *TreeWatch) Heard() (h Heard) {
	if w.fd < 0 {
		h.Folders = slices.Sorted(maps.Keys(w.watched))
		if h.Names = true; w.noted != nil {
			h.Metadata = append([]string{""}, h.Folders...)
		}
		return h
	}
	w.mu.Lock()
	h.Names, w.again = w.again, false
	w.mu.Unlock()
	h.Renamed = map[string]string{}
	events := events{w: w, heard: &h, folders: map[string]bool{}, metadata: map[string]bool{}, moved: map[uint32]string{}}
	var buf [16 << 10]byte
	for waited := false; ; {
		n, err := unix.Read(w.fd, buf[:])
		if err == unix.EINTR {
			continue
		}
		if err == unix.EAGAIN && len(h.Renamed) > 0 && !waited {
			waited = true
			time.Sleep(settleTime)
			continue
		}
		if err != nil || n <= 0 {
			h.Folders, h.Metadata = slices.Sorted(maps.Keys(events.folders)), slices.Sorted(maps.Keys(events.metadata))
			return h
		}
		for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
			name, _, _ := bytes.Cut(b[unix.SizeofInotifyEvent:end], []byte{0})
			events.take(int32(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint32(b[4:]), binary.NativeEndian.Uint32(b[8:]), string(name))
			b = b[end:]
		}
	}
}

// events are gathered into a Heard.
type events struct {
	w                 *TreeWatch
	heard             *Heard
	folders, metadata map[string]bool
	moved             map[uint32]string // names that folders are moved from, by the event's cookie
}

// take takes an event of inotify(7).
func (e *events) take(wd int32, mask, cookie uint32, name string) {
	w := e.w
	folder, known := w.folders[wd]
	owner, noted := w.noted[wd]
	switch {
	case mask&unix.IN_Q_OVERFLOW != 0:
		maps.Copy(e.folders, w.watched)
		if e.heard.Names = true; w.noted != nil {
			maps.Copy(e.metadata, w.watched)
			e.metadata[""] = true
		}
	case mask&unix.IN_IGNORED != 0:
		delete(w.folders, wd)
		delete(w.noted, wd)
		if known {
			delete(w.watched, folder)
		}
	case known:
		e.folders[folder] = true
	case noted && name == metadataName:
		e.metadata[owner] = true
	case wd == w.root:
		e.inRoot(mask, cookie, name)
	}
}

func (e *events) inRoot(mask, cookie uint32, name string) {
	if e.w.noted != nil && mask&unix.IN_MOVED_TO != 0 {
		switch name {
		case metadataName:
			e.metadata[Inbox] = true
		case serverMetadataName:
			e.metadata[""] = true
		}
	}
	if mask&unix.IN_ISDIR == 0 {
		e.heard.Names = e.heard.Names || strings.HasPrefix(name, subscriptionsName)
		return
	}
	e.heard.Names = true
	folder, ok := strings.CutPrefix(name, ".")
	switch {
	case !ok:
	case mask&unix.IN_MOVED_FROM != 0:
		e.moved[cookie] = folder
		delete(e.w.watched, folder) // whose watches are the new name's from now on
	case mask&unix.IN_MOVED_TO != 0 && e.moved[cookie] != "":
		old := e.moved[cookie]
		if first := e.heard.Renamed[old]; first != "" { // renamed twice
			delete(e.heard.Renamed, old)
			old = first
		}
		e.heard.Renamed[folder] = old
	}
}

// Stop ends the watch. changed is not called any more.
func (w *TreeWatch) Stop() {
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	close(w.stop)
	if w.file != nil {
		w.file.SetReadDeadline(time.Unix(1, 0))
	}
	<-w.done
	if w.file != nil {
		w.file.Close()
	}
}
