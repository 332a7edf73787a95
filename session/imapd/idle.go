package imapd

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"

	"smail/imap"
)

// idle: RFC 2177. The client hears of every change until it says DONE.
func (s *session) idle(bool) error {
	if !s.d.CRLF() {
		return s.d.Err()
	}
	s.w.Raw("+ idling").CRLF()
	s.idling = true
	defer func() { s.idling = false }()
	if s.box != nil {
		w := s.box.Watch(s.conn.Interrupt)
		defer s.conn.Calm()
		defer w.Stop()
	}
	// What changed before the watch began was not seen by it.
	if err := s.updateUnasked(); err != nil {
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	s.closeTarget()
	s.mem, s.aheadMem, s.one = memory{}, nil, reading{}
	if s.box != nil {
		s.box.Rest()
	}
	s.calm.down() // a session spends most of its life here
	for {
		line, err := s.d.Line()
		switch {
		case errors.Is(err, s.Interrupted) && s.conn.Ending() != "":
			return s.ended()
		case errors.Is(err, s.Interrupted):
			if err := s.updateUnasked(); err != nil {
				return err
			}
			if s.notifying != nil {
				if err := s.tellNews(); err != nil {
					return err
				}
			}
		case err != nil:
			return err
		case !equalFold(line, "DONE"):
			return imap.Bad("DONE ends IDLE")
		default:
			return s.finish(true, "", "IDLE done")
		}
	}
}

// A calm gives back memory to the system before a session waits, where there is
// enough to be had: a first collection costs 300 KiB of the collector's own.
type calm struct {
	pages int // in use after the last one
}

// Pages in use beyond those of a session that has done little, and beyond what
// the last collection left, that are worth one.
const (
	littlePages = 1 << 20 / 4096
	worthPages  = 256 << 10 / 4096
)

func (c *calm) down() {
	if ownPages() <= max(c.pages, littlePages)+worthPages {
		return
	}
	debug.FreeOSMemory()
	c.pages = ownPages()
}

// ownPages returns how many pages of memory are this process's own, without
// those of files.
func ownPages() int {
	b, err := os.ReadFile("/proc/self/statm")
	var size, resident, shared int
	if _, serr := fmt.Sscan(string(b), &size, &resident, &shared); err != nil || serr != nil {
		return math.MaxInt32
	}
	return resident - shared
}
