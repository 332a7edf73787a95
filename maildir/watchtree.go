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

// A TreeWatch hears of changes in folders of a Maildir, and of folders that come
// and go. Where inotify is exhausted, or the file system is another machine's,
// it only looks now and then.
type TreeWatch struct {
	store   *Store
	fd      int
	file    *os.File
	root    int32
	folders map[int32]string // by watch
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

// WatchTree begins to call changed, on another goroutine, whenever something
// may have changed.
func (s *Store) WatchTree(folders []string, changed func()) *TreeWatch {
	w := &TreeWatch{store: s, fd: -1, folders: map[int32]string{}, watched: map[string]bool{}, missed: map[string]time.Time{},
		changed: changed, stop: make(chan struct{}), done: make(chan struct{})}
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

// Heard returns the watched folders in which something may have changed since
// it was last called; names says whether folders may have come or gone, or
// subscriptions changed, or a folder is to be added once more.
func (w *TreeWatch) Heard() (folders []string, names bool) {
	if w.fd < 0 {
		return slices.Sorted(maps.Keys(w.watched)), true
	}
	heard := map[string]bool{}
	w.mu.Lock()
	names, w.again = w.again, false
	w.mu.Unlock()
	var buf [16 << 10]byte
	for {
		n, err := unix.Read(w.fd, buf[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return slices.Sorted(maps.Keys(heard)), names
		}
		for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			wd := int32(binary.NativeEndian.Uint32(b))
			mask := binary.NativeEndian.Uint32(b[4:])
			end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
			name, _, _ := bytes.Cut(b[unix.SizeofInotifyEvent:end], []byte{0})
			b = b[end:]
			folder, known := w.folders[wd]
			switch {
			case mask&unix.IN_Q_OVERFLOW != 0:
				maps.Copy(heard, w.watched)
				names = true
			case mask&unix.IN_IGNORED != 0:
				delete(w.folders, wd)
				delete(w.watched, folder)
			case known:
				heard[folder] = true
			case wd == w.root:
				names = names || mask&unix.IN_ISDIR != 0 || strings.HasPrefix(string(name), subscriptionsName)
			}
		}
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
