package maildir

import (
	"fmt"
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
	done chan struct{} // closed when changed will not be called any more
}

// Watch begins to watch; changed is called on another goroutine.
func (f *Folder) Watch(changed func()) *Watch {
	w := &Watch{stop: make(chan struct{}), done: make(chan struct{})}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err == nil {
		const events = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO
		for _, dir := range []int{f.cur, f.new} { // the folder that is open, whatever it is called now
			if _, werr := unix.InotifyAddWatch(fd, fmt.Sprintf("/proc/self/fd/%d", dir), events); werr != nil {
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
	defer close(w.done)
	buf := make([]byte, 4<<10)
	for {
		if _, err := w.file.Read(buf); err != nil {
			return // closed
		}
		changed()
	}
}

func (w *Watch) poll(changed func()) {
	defer close(w.done)
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

// Stop ends the watch, and waits for a call of its function to return.
func (w *Watch) Stop() {
	close(w.stop)
	if w.file != nil {
		w.file.Close()
	}
	<-w.done
}
