package readmodel

import (
	"context"
	"time"

	"github.com/parley-dsr/parley/internal/record"
)

// Unfinished is how many requests stand in a status that is not an end, and
// when the oldest of them was created.
type Unfinished struct {
	Status   record.Status
	Requests int64
	Oldest   time.Time
}

// CountUnfinished counts the requests that have not ended, by status; one that
// nobody is in is left out.
func (s *Store) CountUnfinished(ctx context.Context) ([]Unfinished, error) {
	if err := s.usable(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.ReadWithin)
	defer cancel()
	rows, err := s.queries.CountUnfinished(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	counted := make([]Unfinished, len(rows))
	for i, r := range rows {
		counted[i] = Unfinished{Status: record.Status(r.Status), Requests: r.Requests, Oldest: r.Oldest}
	}
	return counted, nil
}
