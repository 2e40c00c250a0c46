package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dsr/parley/services/config/internal/store/db"
)

// Tx is a change under way.
type Tx struct {
	*db.Queries
	// Now is the time of the change, the same for all its rows.
	Now time.Time
	// MaxEntry is how many bytes an entry of the change may have; 0 means any
	// number. A larger one ends the change with a *TooLargeError.
	MaxEntry int

	tx      pgx.Tx
	actor   string
	touched []Ref
	outbox  outbox
	drawn   int64 // a version that nobody has got yet
}

// Write runs a change in one transaction and returns the entries that have to
// be published because of it. An error of run undoes everything. actor is the
// API client that asked, for the audit.
func (s *Store) Write(ctx context.Context, actor string, run func(ctx context.Context, tx *Tx) error) ([]db.Entry, error) {
	if !s.migrated.Load() {
		return nil, ErrUnavailable
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return s.write(ctx, actor, run)
}

func (s *Store) write(ctx context.Context, actor string, run func(ctx context.Context, tx *Tx) error) ([]db.Entry, error) {
	raw, err := s.pool.Begin(ctx)
	if err != nil {
		return nil, classify(err)
	}
	defer func() { _ = raw.Rollback(context.WithoutCancel(ctx)) }() // does nothing after the commit
	tx := &Tx{Queries: db.New(raw), Now: s.Now(), tx: raw, actor: actor}
	if tx.drawn, err = tx.LockWrites(ctx); err != nil {
		return nil, classify(err)
	}
	if err := run(ctx, tx); err != nil {
		return nil, classify(err)
	}
	entries, err := s.compose(ctx, tx)
	if err != nil {
		return nil, classify(err)
	}
	if err := raw.Commit(ctx); err != nil {
		if unreachable(err) {
			return nil, fmt.Errorf("%w: %w", ErrUnconfirmed, err)
		}
		return nil, err
	}
	return entries, nil
}

// version gives the next version of an entry.
func (tx *Tx) version(ctx context.Context) (int64, error) {
	if drawn := tx.drawn; drawn > 0 {
		tx.drawn = 0
		return drawn, nil
	}
	return tx.NextVersion(ctx)
}

// Item runs a part of the change that may fail by itself: its error is
// returned and undoes that part only.
func (tx *Tx) Item(ctx context.Context, run func(tx *Tx) error) error {
	nested, err := tx.tx.Begin(ctx)
	if err != nil {
		return classify(err)
	}
	item := &Tx{Queries: db.New(nested), Now: tx.Now, tx: nested, actor: tx.actor}
	if err := run(item); err != nil {
		if undo := nested.Rollback(ctx); undo != nil {
			return classify(undo)
		}
		return classify(err)
	}
	if err := nested.Commit(ctx); err != nil {
		return classify(err)
	}
	tx.touched = append(tx.touched, item.touched...)
	tx.outbox.audit = append(tx.outbox.audit, item.outbox.audit...)
	return nil
}

// Touch says that what ref names was changed or deleted: its entry is composed
// anew when the change is complete, and a fact tells of it.
func (tx *Tx) Touch(ref Ref) { tx.touched = append(tx.touched, ref) }

// Audit notes what the actor did. Neither text may be secret.
func (tx *Tx) Audit(action, noun, key string) {
	tx.outbox.audit = append(tx.outbox.audit, db.Audit{Action: action, Noun: noun, Key: key})
}
