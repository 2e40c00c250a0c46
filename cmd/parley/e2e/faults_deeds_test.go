//go:build faults

package e2e

import (
	"syscall"
	"testing"
	"time"
)

// deed is what is done to the house.
type deed struct {
	name        string
	ownPostgres bool
	// strike is done where a sign is seen; mend, after it, makes it good. mend
	// may wait for further signs of the trial.
	strike func(g *ground)
	mend   func(g *ground, tr *trial)
	// repeats says whether one call may be made twice: what was answered and
	// not acknowledged comes again.
	repeats bool
	// points are where it is done; nil is everywhere.
	points []sign
	// lossy says that acknowledgements of processes that live may be lost.
	lossy bool
}

func deeds() []deed {
	var all []deed
	for _, name := range serviceNames {
		all = append(all, deed{
			name: name, repeats: name == "dispatcher",
			strike: func(g *ground) { g.services[name].kill() },
			mend: func(g *ground, _ *trial) {
				g.lapseAll(name)
				g.services[name].start()
				g.services[name].awaitReady()
			},
		})
	}
	return append(all, deed{
		name: "nats", repeats: true, lossy: true,
		strike: func(g *ground) { g.nats.kill() },
		mend: func(g *ground, _ *trial) {
			g.nats.start()
			g.awaitAll()
		},
	}, deed{
		// Whoever waits for NATS gives up meanwhile, and what it sent arrives
		// all the same.
		name: "nats stopped", repeats: true, lossy: true,
		points: []sign{commandSent, "webhook.requested 2", "call 3 answered", "resume on its way", "callback.resumed"},
		strike: func(g *ground) { g.nats.pause() },
		mend: func(g *ground, _ *trial) {
			g.wait(natsAway)
			g.nats.goOn()
			g.awaitAll()
		},
	}, deed{
		name: "postgres killed", ownPostgres: true,
		strike: func(g *ground) { g.postgres.kill() },
		mend: func(g *ground, _ *trial) {
			g.postgres.revive()
			g.awaitAll()
		},
	}, deed{
		name: "postgres stopped", ownPostgres: true,
		strike: func(g *ground) { g.postgres.freeze() },
		mend: func(g *ground, tr *trial) {
			tr.awaitNext()
			g.postgres.thaw()
			g.awaitAll()
		},
	})
}

// kill kills the process and waits until it is gone.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it cannot have ended by itself without being noticed
	<-c.exited
}

// pause stops the process, goOn lets it go on.
func (c *child) pause() { c.freely(syscall.SIGSTOP) }
func (c *child) goOn()  { c.freely(syscall.SIGCONT) }

func (c *child) freely(s syscall.Signal) {
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Errorf("signal %s to %s: %v", s, c.name, err)
	}
}

// wait is how long something is away.
func (g *ground) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-g.t.Context().Done():
	}
}

// natsAway is longer than anyone waits for one answer of NATS.
const natsAway = 7 * time.Second

// awaitAll waits until all services are ready.
func (g *ground) awaitAll() {
	g.t.Helper()
	for _, name := range serviceNames {
		g.services[name].awaitReady()
	}
}

// TestKill plays the story again and again and kills one process at each of
// its points: the four services, NATS and Postgres. Whatever is killed, the
// request ends as it should, and no webhook is called twice, but for the one
// call that a killed dispatcher or NATS had in hand.
func TestKill(t *testing.T) {
	t.Parallel()
	for _, d := range deeds() {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			g := prepare(t, d.ownPostgres)
			table := newTable(t, d)
			at := d.points
			if at == nil {
				at = points()
			}
			for i, at := range at {
				table.add(g.try(i, at, d))
				if table.failures > 1 {
					t.FailNow() // the rest would say the same
				}
			}
			g.checkLeftovers()
		})
	}
}
