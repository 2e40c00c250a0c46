package readmodel

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ask puts a question to the database, within the time of a read.
func (s *Store) ask(ctx context.Context, question func(ctx context.Context) error) error {
	return s.askWithin(ctx, s.ReadWithin, question)
}

// askWithin puts a question, and once more where the connection turned out to
// have ended since it was last used, as all have after a restart of the database:
// the others are given up then, and the second one is new. A question changes
// nothing and keeps nothing of a first answer.
func (s *Store) askWithin(ctx context.Context, within time.Duration, question func(ctx context.Context) error) error {
	if err := s.usable(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := question(ctx)
	if ended(err) && ctx.Err() == nil {
		s.pool.Reset()
		err = question(ctx)
	}
	return unavailable(err)
}

// ended says whether an error is that of a connection that is no more, not of a
// database that answers, nor of one that cannot be reached.
func ended(err error) bool {
	var unreached *pgconn.ConnectError
	var answer *pgconn.PgError
	switch {
	case err == nil, errors.Is(err, pgx.ErrNoRows), errors.As(err, &unreached):
		return false
	case errors.As(err, &answer):
		return strings.HasPrefix(answer.Code, "57P") // it shuts down, or ends the connection
	}
	return true
}
