// Package cores spreads work of a session, which otherwise has one core, over
// those of the machine.
package cores

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// most is how many cores one session takes: others want to work too.
const most = 4

// Each calls fn with every number below n, grain of them after another on one
// core, and returns when all have been done.
func Each(n, grain int, fn func(i int)) {
	workers := min(runtime.NumCPU(), most, (n+grain-1)/grain)
	if workers < 2 {
		for i := range n {
			fn(i)
		}
		return
	}
	if before := runtime.GOMAXPROCS(0); before < workers {
		runtime.GOMAXPROCS(workers)
		defer runtime.GOMAXPROCS(before)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				first := int(next.Add(int64(grain))) - grain
				if first >= n {
					return
				}
				for i := first; i < min(first+grain, n); i++ {
					fn(i)
				}
			}
		})
	}
	wg.Wait()
}
