package readmodel

import (
	"context"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel/db"
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
	var rows []db.CountUnfinishedRow
	err := s.ask(ctx, func(ctx context.Context) (err error) {
		rows, err = s.queries.CountUnfinished(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	counted := make([]Unfinished, len(rows))
	for i, r := range rows {
		counted[i] = Unfinished{Status: record.Status(r.Status), Requests: r.Requests, Oldest: r.Oldest}
	}
	return counted, nil
}
