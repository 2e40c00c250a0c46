package readmodel

import (
	"context"

	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel/db"
)

// sealedAtOnce is how many records are read by one statement.
const sealedAtOnce = 500

// SealedRecords gives every stored record that holds a sealed value, in the
// order of their ids.
func (s *Store) SealedRecords(ctx context.Context, see func(record []byte) error) error {
	if err := s.usable(); err != nil {
		return err
	}
	after := ""
	for {
		rows, err := s.queries.SealedRecords(ctx, db.SealedRecordsParams{After: after, AtMost: sealedAtOnce})
		if err != nil {
			return unavailable(err)
		}
		if len(rows) == 0 {
			return nil
		}
		for _, row := range rows {
			if err := see(row.Record); err != nil {
				return err
			}
		}
		after = rows[len(rows)-1].ID
	}
}
