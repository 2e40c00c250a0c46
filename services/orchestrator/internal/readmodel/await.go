package readmodel

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	lookFirst   = 150 * time.Millisecond
	lookLongest = 600 * time.Millisecond
	// lookPart is the part of the time of a read that one look may take. A
	// database that needs longer hangs, and who reads is told so: there is
	// nothing to wait for.
	lookPart = 4
)

// Await waits until a request is projected at a revision, or a later one. What
// this process projects itself is known at once; for what another replica does,
// the database is asked now and then. It is ErrUnavailable while the database is
// away or hangs, and for a deadline that passes.
func (s *Store) Await(ctx context.Context, id string, revision uint64) error {
	done, leave := s.awaited.wait(id, revision)
	defer leave()
	for pause := lookFirst; ; pause = min(2*pause, lookLongest) {
		timer := time.NewTimer(pause)
		select {
		case <-done:
			timer.Stop()
			return nil
		case <-ctx.Done():
			timer.Stop()
			return unavailable(context.Cause(ctx))
		case <-timer.C:
		}
		shown, err := s.shows(ctx, id, revision)
		if shown || err != nil {
			return err
		}
	}
}

func (s *Store) shows(ctx context.Context, id string, revision uint64) (bool, error) {
	var shown int64
	err := s.askWithin(ctx, s.ReadWithin/lookPart, func(ctx context.Context) (err error) {
		shown, err = s.queries.RequestRevision(ctx, id)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return err == nil && uint64(shown) >= revision, err //nolint:gosec // a revision is not negative
}

// awaited are the requests that callers of this process wait to see projected.
type awaited struct {
	mu      sync.Mutex
	callers map[string][]*caller // by request
}

type caller struct {
	revision uint64
	done     chan struct{}
}

// wait gives a channel that is closed when the revision, or a later one, is
// projected from now on.
func (a *awaited) wait(id string, revision uint64) (done <-chan struct{}, leave func()) {
	c := &caller{revision: revision, done: make(chan struct{})}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.callers == nil {
		a.callers = map[string][]*caller{}
	}
	a.callers[id] = append(a.callers[id], c)
	return c.done, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.keep(id, func(other *caller) bool { return other != c })
	}
}

// tell ends the waits for what is projected now, and for what a feed has found
// to be so.
func (a *awaited) tell(b Batch) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, rec := range b.Records {
		a.shown(rec.ID, rec.Revision)
	}
	for _, s := range b.stored {
		a.shown(s.id, s.revision)
	}
}

// shown ends the waits for a revision and those before it.
func (a *awaited) shown(id string, revision uint64) {
	a.keep(id, func(c *caller) bool {
		if c.revision > revision {
			return true
		}
		close(c.done)
		return false
	})
}

// keep lets go of the callers of a request that do not stay.
func (a *awaited) keep(id string, stays func(*caller) bool) {
	callers, some := a.callers[id]
	if !some {
		return
	}
	callers = slices.DeleteFunc(callers, func(c *caller) bool { return !stays(c) })
	if len(callers) == 0 {
		delete(a.callers, id)
		return
	}
	a.callers[id] = callers
}
