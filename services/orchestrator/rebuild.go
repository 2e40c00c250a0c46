package orchestrator

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
)

// lookEvery is the pause between two looks at how far a rebuild has come.
const lookEvery = 250 * time.Millisecond

// Passage is how far one feed of the read model has come.
type Passage struct{ Done, Total uint64 }

// Rebuilt is how far a rebuild has come, and in the end what it found.
type Rebuilt struct {
	Records Passage
	Facts   Passage
	// Alone are requests that the database has and NATS has not.
	Alone int
}

// RebuildReadModel projects everything that NATS has once more: all records,
// whatever the database has of them, and of the facts within their retention
// those that it lacks. Nothing is taken away. Services may run, and requests may
// go on: a record is never replaced by an older one for longer than until the
// newer one, which is in the stream too, comes. It tells how far it is, and
// returns when all that NATS had at the begin is projected. Ended early, it is
// finished by the services that run.
func RebuildReadModel(ctx context.Context, s Settings, d process.Deps, tell func(Rebuilt)) (Rebuilt, error) {
	v, b, err := visit(ctx, s, d)
	if err != nil {
		return Rebuilt{}, err
	}
	defer v.store.Close()
	if err := v.store.Distrust(ctx); err != nil {
		return Rebuilt{}, fmt.Errorf("rebuild: %w", err)
	}
	records, facts := v.feeds(b)
	passages := [2]passage{{feed: records}, {feed: facts}}
	for i := range passages {
		if err := passages[i].begin(ctx); err != nil {
			return Rebuilt{}, fmt.Errorf("rebuild: %w", err)
		}
	}
	// The work is shared with the services that run, and done alone with none.
	feeding, stop := context.WithCancel(ctx)
	group := process.NewGroup(feeding, d.Logger)
	group.Go("feed of records", records.Run)
	group.Go("feed of facts", facts.Run)
	report, err := await(ctx, passages, tell)
	stop()
	if ended := group.Wait(); err == nil {
		err = ended
	}
	if err != nil {
		return report, fmt.Errorf("rebuild: %w", err)
	}
	if report.Alone, err = v.store.Distrusted(ctx); err != nil {
		return report, fmt.Errorf("rebuild: %w", err)
	}
	return report, nil
}

// passage is a feed on its way to where its stream ended.
type passage struct {
	feed  *readmodel.Feed
	total uint64
	end   uint64
}

func (p *passage) begin(ctx context.Context) (err error) {
	if p.total, p.end, err = p.feed.End(ctx); err != nil {
		return err
	}
	return p.feed.Restart(ctx, time.Time{})
}

// look says how far it is. What came after the begin does not count.
func (p *passage) look(ctx context.Context) (Passage, bool, error) {
	left, place, err := p.feed.Left(ctx)
	if err != nil {
		return Passage{Total: p.total}, false, err
	}
	if left == 0 || place >= p.end {
		return Passage{Done: p.total, Total: p.total}, true, nil
	}
	return Passage{Done: p.total - min(left, p.total), Total: p.total}, false, nil
}

// await looks until both feeds have come to their ends. NATS may be away for a
// while.
func await(ctx context.Context, passages [2]passage, tell func(Rebuilt)) (Rebuilt, error) {
	for {
		records, first, errFirst := passages[0].look(ctx)
		facts, second, errSecond := passages[1].look(ctx)
		report := Rebuilt{Records: records, Facts: facts}
		if errFirst == nil && errSecond == nil {
			tell(report)
		}
		if first && second {
			return report, nil
		}
		if err := sleep(ctx, lookEvery); err != nil {
			return report, err
		}
	}
}
