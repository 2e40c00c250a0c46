package transition

import (
	"context"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/vault"
)

// Republish publishes the outbox of a record that stands in the bucket under
// the given revision, and settles it. In the loop an input that comes again does
// that; a record that was put back has no input.
func (l *Loop) Republish(ctx context.Context, rec *record.Record, revision uint64) error {
	if _, err := l.publishOutbox(ctx, rec, revision, vault.Sealed{}); err != nil {
		return err
	}
	l.settle(rec, revision, l.ttl(rec))
	return nil
}
