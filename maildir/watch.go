package maildir

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// pollInterval is how often a folder is looked at where inotify is exhausted.
const pollInterval = 15 * time.Second

// A Watch calls a function whenever a folder may have changed.
type Watch struct {
	file *os.File // of inotify; nil: polling
	stop chan struct{}
}

// Watch begins to watch; changed is called on another goroutine.
func (f *Folder) Watch(changed func()) *Watch {
	w := &Watch{stop: make(chan struct{})}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err == nil {
		const events = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO
		for _, sub := range []string{"cur", "new"} {
			if _, werr := unix.InotifyAddWatch(fd, f.store.path(f.Name)+"/"+sub, events); werr != nil {
				err = werr
			}
		}
		w.file = os.NewFile(uintptr(fd), "inotify")
	}
	if err != nil {
		if w.file != nil {
			w.file.Close()
			w.file = nil
		}
		go w.poll(changed)
		return w
	}
	go w.read(changed)
	return w
}

func (w *Watch) read(changed func()) {
	buf := make([]byte, 4<<10)
	for {
		if _, err := w.file.Read(buf); err != nil {
			return // closed
		}
		changed()
	}
}

func (w *Watch) poll(changed func()) {
	t := time.NewTicker(pollInterval)
	defer t.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-t.C:
			changed()
		}
	}
}

// Stop ends the watch.
func (w *Watch) Stop() {
	close(w.stop)
	if w.file != nil {
		w.file.Close()
	}
}
