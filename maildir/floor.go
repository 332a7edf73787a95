package maildir

import (
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Modseqs are microseconds since 1970, so that an index that is lost is made anew
// with higher ones. Where the clock was set back that does not hold: then this file
// says, in decimal digits, from where they go on. It is written only then.
const floorName = "smail.modseq"

const (
	floorSlack = time.Second // by which a modseq may be ahead of the clock
	floorRoom  = 1 << 40     // changes before it is written again
)

// keepFloor writes the file if a modseq could not be had from the clock again.
func (f *Folder) keepFloor(modseq uint64) {
	if f.readOnly || modseq < uint64(now().Add(floorSlack).UnixMicro()) || f.floor() > modseq {
		return
	}
	var st unix.Stat_t
	if fd, err := replaceFile(f.dir, floorName, strconv.AppendUint(nil, modseq+floorRoom, 10), &st); err == nil {
		unix.Close(fd)
	}
}

// floor returns the number in the file, or 0.
func (f *Folder) floor() uint64 {
	var st unix.Stat_t
	fd, err := openRegular(f.dir, floorName, unix.O_RDONLY, &st)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	var b [32]byte
	n, err := unix.Read(fd, b[:])
	if err != nil {
		return 0
	}
	floor, err := strconv.ParseUint(strings.TrimSpace(string(b[:n])), 10, 62) // room for what follows
	if err != nil {
		return 0
	}
	return floor
}
