package store

import (
	"context"

	"github.com/parley-dsr/parley/services/config/internal/store/db"
)

// Key is a key of the ring as it is told about.
type Key struct{ KID, Fingerprint string }

// NoteKeys notes which keys there are, the sealing one first, and that the
// others do not seal any more. It gives the kids that were another key before:
// what that one sealed cannot be opened.
func (s *Store) NoteKeys(ctx context.Context, keys []Key) (changed []string, err error) {
	_, err = s.Write(ctx, "system", func(ctx context.Context, tx *Tx) error {
		for _, k := range keys {
			if err := tx.NoteKey(ctx, k.KID, k.Fingerprint, tx.Now); err != nil {
				return err
			}
		}
		if err := tx.SealWith(ctx, keys[0].KID, tx.Now); err != nil {
			return err
		}
		noted, err := tx.Keys(ctx)
		if err != nil {
			return err
		}
		for _, was := range noted {
			for _, is := range keys {
				if is.KID == was.Kid && is.Fingerprint != was.Fingerprint {
					changed = append(changed, was.Kid)
				}
			}
		}
		return nil
	})
	return changed, err
}

// Keys lists the keys that were ever noted.
func (s *Store) Keys(ctx context.Context) ([]db.Key, error) {
	return reading(ctx, s, func(ctx context.Context, q *db.Queries) ([]db.Key, error) { return q.Keys(ctx) })
}
