package readmodel

import (
	"context"
	"errors"
	"time"
)

const lookEvery = 10 * time.Millisecond

// Await waits until a request is projected at a revision, or a later one. It is
// ErrUnavailable while the database is away, and for a deadline that passes.
func (s *Store) Await(ctx context.Context, id string, revision uint64) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		rec, err := s.Record(ctx, id)
		switch {
		case err == nil && rec.Revision >= revision:
			return nil
		case err != nil && !errors.Is(err, ErrNotFound):
			return err
		}
		select {
		case <-ctx.Done():
			return unavailable(context.Cause(ctx))
		case <-tick.C:
		}
	}
}
