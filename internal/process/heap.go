package process

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// heapFloor is the size below which a heap is not collected. The services
	// keep little, a few MiB: with the runtime's own rule, to collect whenever
	// the heap has doubled, a dispatcher does so every 150 calls, and spends a
	// tenth of its time on it.
	heapFloor = 64 << 20
	// The runtime's rule is kept from half of the floor on.
	percentAtLeast = 100
	percentAtMost  = 1600
	percentStep    = 50
)

// collectSeldom lets a small heap grow to heapFloor between two collections. A
// large one grows as ever. Who has set GOGC or GOMEMLIMIT has decided.
func collectSeldom(environ map[string]string) {
	if environ["GOGC"] == "" && environ["GOMEMLIMIT"] == "" {
		pace(&collection{percent: percentAtLeast})
	}
}

// collection is garbage from the start: that it is finalized says that the
// garbage was collected.
type collection struct{ percent int }

func pace(last *collection) {
	next := &collection{percent: percentFor(liveHeap())}
	if next.percent != last.percent {
		debug.SetGCPercent(next.percent)
	}
	runtime.SetFinalizer(next, pace)
}

// percentFor says by how much a heap may grow of which so much is in use.
func percentFor(live uint64) int {
	if live >= heapFloor {
		return percentAtLeast
	}
	percent := percentAtMost
	if live > 0 {
		percent = int(min((heapFloor-live)*100/live, percentAtMost)) //nolint:gosec // bounded
	}
	return max(percent/percentStep*percentStep, percentAtLeast)
}

func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return heapFloor
	}
	return sample[0].Value.Uint64()
}
