// Package boottime is a clock that nobody can step.
package boottime

import (
	"time"

	"golang.org/x/sys/unix"
)

// Now returns the time since boot, suspended time included.
func Now() time.Duration {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // cannot fail on Linux
	return time.Duration(ts.Nano())
}
