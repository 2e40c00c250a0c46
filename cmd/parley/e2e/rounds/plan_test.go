//go:build faults

package rounds

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/parley-dsr/parley/cmd/parley/internal/invariants"
)

// plan is what a round does. It follows from the seed alone.
type plan struct {
	seed uint64
	// external has an executor do the erasure; else nobody does.
	external bool
	// halt is the life of a halt and of its reply token.
	halt time.Duration
	// kinds of the requests, by their numbers.
	kinds []string
	// tracks are faults that come at the same time; those of one track come one
	// after the other.
	tracks [][]fault
}

// fault is something that is broken for a while, after a pause.
type fault struct {
	after  time.Duration
	what   string
	target string
	lasts  time.Duration
}

func (f fault) String() string {
	return fmt.Sprintf("%s later %s %s for %s", f.after, f.what, f.target, f.lasts)
}

// What may be done.
const (
	kill    = "kill"
	stop    = "stop"
	restart = "restart"
	cut     = "cut"     // connections to NATS break
	silence = "silence" // what is sent to NATS, and back, vanishes
	full    = "full"    // NATS has no space left
	refuse  = "refuse"  // a receiver breaks connections
	fail    = "fail"    // a receiver answers 503
)

const (
	requests = 300
	// comeWithin is the time in which the requests come.
	comeWithin = 4 * time.Second
)

func newPlan(seed uint64) plan {
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // it has to be the same for the same seed
	p := plan{seed: seed, external: r.IntN(2) == 0, halt: time.Duration(3+r.IntN(3)) * time.Second}
	for range requests {
		p.kinds = append(p.kinds, drawKind(r))
	}
	p.tracks = [][]fault{nil, nil}
	for range 4 {
		p.tracks[0] = append(p.tracks[0], drawService(r))
	}
	for range 3 {
		p.tracks[1] = append(p.tracks[1], drawServer(r))
	}
	return p
}

// drawService draws what happens to a service, more often to those through which
// every request goes.
func drawService(r *rand.Rand) fault {
	targets := []string{"config", "orchestrator", "orchestrator", "orchestrator", "dispatcher", "dispatcher", "dispatcher", "callback", "callback"}
	f := fault{after: millis(r, 100, 600), target: targets[r.IntN(len(targets))]}
	switch r.IntN(4) {
	case 0, 1:
		f.what, f.lasts = kill, millis(r, 0, 1000)
	case 2:
		f.what, f.lasts = stop, millis(r, 300, 1500)
	case 3:
		f.what, f.lasts = []string{cut, silence}[r.IntN(2)], millis(r, 300, 1500)
	}
	return f
}

// drawServer draws what happens to a server.
func drawServer(r *rand.Rand) fault {
	f := fault{after: millis(r, 100, 900)}
	switch r.IntN(8) {
	case 0, 1:
		f.what, f.target, f.lasts = kill, invariants.NATS, millis(r, 0, 1000)
	case 2:
		f.what, f.target, f.lasts = restart, invariants.NATS, millis(r, 0, 500)
	case 3:
		f.what, f.target, f.lasts = stop, invariants.NATS, millis(r, 300, 2000)
	case 4:
		f.what, f.target, f.lasts = full, invariants.NATS, millis(r, 500, 1500)
	case 5, 6:
		f.what, f.target, f.lasts = restart, invariants.Postgres, millis(r, 0, 1000)
	case 7:
		f.what, f.target, f.lasts = []string{refuse, fail}[r.IntN(2)], paths[r.IntN(len(paths))], millis(r, 300, 1000)
	}
	return f
}

func millis(r *rand.Rand, from, to int) time.Duration {
	return time.Duration(from+r.IntN(to-from)) * time.Millisecond
}

// String is the plan as it is printed.
func (p plan) String() string {
	var b strings.Builder
	counts := map[string]int{}
	for _, kind := range p.kinds {
		counts[kind]++
	}
	fmt.Fprintf(&b, "SEED=%d: %d requests %v, halts of %s, executor: %t", p.seed, len(p.kinds), counts, p.halt, p.external)
	for _, track := range p.tracks {
		fmt.Fprintf(&b, "\n  %v", track)
	}
	return b.String()
}
