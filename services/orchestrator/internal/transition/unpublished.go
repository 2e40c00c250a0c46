package transition

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
)

const (
	countEvery = 5 * time.Second
	// doubtAfter is the age from which the record of an outbox is read again:
	// before that the outbox is just being published.
	doubtAfter  = 10 * time.Second
	countWithin = 5 * time.Second
)

// unpublished are the outboxes that this process has stored or found and not
// published yet. Usually they are there for milliseconds. One that NATS does not
// take stays, until the input comes again, here or in another process.
type unpublished struct {
	mu sync.Mutex
	of map[string]pending // by request: a record has one outbox
}

// pending is an outbox in the record of a revision.
type pending struct {
	revision uint64
	since    time.Time
}

// open notes the outbox of a record, if it has one, under its revision.
func (u *unpublished) open(rec *record.Record, revision uint64) {
	if len(rec.Outbox) == 0 {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.of == nil {
		u.of = map[string]pending{}
	}
	u.of[rec.ID] = pending{revision: revision, since: rec.Outbox[0].Time}
}

// done forgets the outbox of a revision.
func (u *unpublished) done(id string, revision uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.of[id].revision == revision {
		delete(u.of, id)
	}
}

// before gives those that are older than a time, by request.
func (u *unpublished) before(at time.Time) map[string]pending {
	u.mu.Lock()
	defer u.mu.Unlock()
	old := map[string]pending{}
	for id, p := range u.of {
		if p.since.Before(at) {
			old[id] = p
		}
	}
	return old
}

// state gives how many there are, and since when.
func (u *unpublished) state() (number int, since time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, p := range u.of {
		if since.IsZero() || p.since.Before(since) {
			since = p.since
		}
	}
	return len(u.of), since
}

// count shows what is not published, until ctx ends.
func (l *Loop) count(ctx context.Context) error {
	ticker := time.NewTicker(countEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
			l.Count(ctx)
		}
	}
}

// Count shows what is not published. Where that takes long, another process may
// have got the input, and whoever writes the record has published its outbox.
func (l *Loop) Count(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, countWithin)
	defer cancel()
	now := l.Clock()
	for id, p := range l.unpublished.before(now.Add(-doubtAfter)) {
		entry, err := l.Requests.Get(ctx, id)
		if errors.Is(err, topology.ErrNotFound) || err == nil && entry.Revision != p.revision {
			l.unpublished.done(id, p.revision)
		}
	}
	number, since := l.unpublished.state()
	age := 0.0
	if number > 0 {
		age = max(0, now.Sub(since).Seconds())
	}
	l.Metrics.outboxes.Set(float64(number))
	l.Metrics.oldestOutbox.Set(age)
}
