// Package cores spreads work of a session, which otherwise has one core, over
// those of the machine.
package cores

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Most is how many cores one session takes: others want to work too.
const Most = 4

// Workers returns on how many cores Each works.
func Workers() int { return min(runtime.NumCPU(), Most) }

// Each calls fn with every number below n, grain of them after another on one
// core, and returns when all have been done. The worker, below Workers, is
// another on each core.
func Each(n, grain int, fn func(worker, i int)) {
	workers := min(Workers(), (n+grain-1)/grain)
	if workers < 2 {
		for i := range n {
			fn(0, i)
		}
		return
	}
	if before := runtime.GOMAXPROCS(0); before < workers {
		runtime.GOMAXPROCS(workers)
		defer runtime.GOMAXPROCS(before)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			for {
				first := int(next.Add(int64(grain))) - grain
				if first >= n {
					return
				}
				for i := first; i < min(first+grain, n); i++ {
					fn(worker, i)
				}
			}
		})
	}
	wg.Wait()
}
