package readmodel

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	lookFirst   = 10 * time.Millisecond
	lookLongest = 200 * time.Millisecond
	// lookPart is the part of the time of a read that one look may take. A
	// database that needs longer hangs, and who reads is told so: there is
	// nothing to wait for.
	lookPart = 4
)

// Await waits until a request is projected at a revision, or a later one. It is
// ErrUnavailable while the database is away or hangs, and for a deadline that
// passes.
func (s *Store) Await(ctx context.Context, id string, revision uint64) error {
	for pause := lookFirst; ; pause = min(2*pause, lookLongest) {
		shown, err := s.shows(ctx, id, revision)
		if shown || err != nil {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return unavailable(context.Cause(ctx))
		case <-timer.C:
		}
	}
}

func (s *Store) shows(ctx context.Context, id string, revision uint64) (bool, error) {
	if err := s.usable(); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.ReadWithin/lookPart)
	defer cancel()
	shown, err := s.queries.RequestRevision(ctx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return err == nil && uint64(shown) >= revision, unavailable(err) //nolint:gosec // a revision is not negative
}
