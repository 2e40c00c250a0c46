//go:build faults

package rounds

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/cmd/parley/internal/invariants"
)

// breakAll breaks what the plan says and mends it again.
func (rd *round) breakAll(ctx context.Context) error {
	var tracks sync.WaitGroup
	var mu sync.Mutex
	var problems []error
	for _, track := range rd.plan.tracks {
		tracks.Go(func() {
			for _, f := range track {
				from := pause(ctx, f.after)
				err := rd.strike(ctx, f)
				mu.Lock()
				if err != nil {
					problems = append(problems, fmt.Errorf("%s: %w", f, err))
				}
				rd.faults = append(rd.faults, invariants.Fault{What: f.what, Target: f.target, From: from, To: time.Now()})
				mu.Unlock()
			}
		})
	}
	tracks.Wait()
	if err := rd.house.awaitAll(ctx); err != nil {
		problems = append(problems, err)
	}
	// what a fault has broken is whole again when all are ready
	for i := range rd.faults {
		rd.faults[i].To = time.Now()
	}
	return errors.Join(problems...)
}

// pause waits and says what time it is then.
func pause(ctx context.Context, d time.Duration) time.Time {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return time.Now()
}

// strike breaks something, waits and mends it.
func (rd *round) strike(ctx context.Context, f fault) error {
	switch {
	case f.what == full:
		return rd.fill(ctx, f.lasts)
	case f.what == refuse || f.what == fail:
		rd.outage.Store(&f)
		pause(ctx, f.lasts)
		rd.outage.Store(nil)
		return nil
	case f.what == cut:
		rd.house.ways[f.target].cut()
		pause(ctx, f.lasts)
		return rd.house.ways[f.target].mend()
	case f.what == silence:
		defer rd.house.ways[f.target].speak()
		err := rd.house.ways[f.target].silence()
		pause(ctx, f.lasts)
		return err
	case f.target == invariants.Postgres:
		err := rd.house.postgres.server.Close()
		pause(ctx, f.lasts)
		return errors.Join(err, rd.house.postgres.start(ctx))
	}
	return rd.house.strikeProcess(ctx, f)
}

func (h *house) strikeProcess(ctx context.Context, f fault) error {
	p := h.services[f.target]
	if f.target == invariants.NATS {
		p = h.nats
	}
	switch f.what {
	case stop:
		err := p.signal(syscall.SIGSTOP)
		pause(ctx, f.lasts)
		return errors.Join(err, p.signal(syscall.SIGCONT))
	case restart:
		if err := p.end(ctx); err != nil {
			return err
		}
	default:
		p.kill()
	}
	pause(ctx, f.lasts)
	return p.start()
}

// foreign is a stream that is not ours.
const foreign = "FOREIGN"

// fill has a stream of somebody else take all the space that NATS has.
func (rd *round) fill(ctx context.Context, lasts time.Duration) error {
	js := rd.house.js
	stream, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: foreign, Subjects: []string{"foreign.>"}})
	if err != nil {
		return err
	}
	for size := 512 << 10; size >= 256; {
		_, err := js.Publish(ctx, "foreign.filling", make([]byte, size))
		var refused *jetstream.APIError
		switch {
		case errors.As(err, &refused):
			size /= 2 // it does not go in any more
		case err != nil:
			return err
		}
	}
	if info, err := stream.Info(ctx); err == nil {
		rd.note("NATS is full with %d MB of somebody else", info.State.Bytes>>20)
	}
	pause(ctx, lasts)
	return js.DeleteStream(ctx, foreign)
}
