package store

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/services/config/internal/store/db"
)

// outbox is what a change leaves behind beside its rows.
type outbox struct {
	entries []db.Entry
	facts   []db.Fact
	audit   []db.Audit
}

func (o *outbox) put(e db.Entry) { o.entries = append(o.entries, e) }

func (o *outbox) tell(f db.Fact) { o.facts = append(o.facts, f) }

// flush writes the outbox, by one statement.
func (tx *Tx) flush(ctx context.Context) error {
	o := tx.outbox
	if len(o.entries)+len(o.facts)+len(o.audit) == 0 {
		return nil
	}
	p := db.WriteOutboxParams{Now: tx.Now, ClientID: tx.actor}
	for _, e := range o.entries {
		p.EntryKeys, p.EntryVersions = append(p.EntryKeys, e.Key), append(p.EntryVersions, e.Version)
		p.EntryDeleted, p.EntryBodies = append(p.EntryDeleted, e.Deleted), append(p.EntryBodies, string(e.Body))
	}
	for _, f := range o.facts {
		p.FactIds, p.FactTypes = append(p.FactIds, f.ID), append(p.FactTypes, f.Type)
		p.FactNouns, p.FactKeys = append(p.FactNouns, f.Noun), append(p.FactKeys, f.Key)
		p.FactVersions, p.FactDeleted = append(p.FactVersions, f.Version), append(p.FactDeleted, f.Deleted)
	}
	for _, a := range o.audit {
		p.AuditActions, p.AuditNouns = append(p.AuditActions, a.Action), append(p.AuditNouns, a.Noun)
		p.AuditKeys = append(p.AuditKeys, a.Key)
	}
	return tx.WriteOutbox(ctx, p)
}

// AllEntries reads everything that is to stand in the bucket.
func (s *Store) AllEntries(ctx context.Context) ([]db.Entry, error) {
	return reading(ctx, s, func(ctx context.Context, q *db.Queries) ([]db.Entry, error) {
		return q.Entries(ctx)
	})
}

// PendingEntries reads, oldest first, what is not known to stand in the bucket.
func (s *Store) PendingEntries(ctx context.Context) ([]db.Entry, error) {
	return reading(ctx, s, func(ctx context.Context, q *db.Queries) ([]db.Entry, error) {
		return q.PendingEntries(ctx)
	})
}

// Published notes that entries stand in the bucket.
func (s *Store) Published(ctx context.Context, entries []db.Entry) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	keys, versions := make([]string, 0, len(entries)), make([]int64, 0, len(entries))
	for _, e := range entries {
		keys, versions = append(keys, e.Key), append(versions, e.Version)
	}
	return classify(db.New(s.pool).MarkPublished(ctx, keys, versions))
}

// Facts hands the oldest facts, in order, to publish and forgets each one that
// was published. At most one process does so at a time. It returns how many it
// forgot; the first error of publish ends it.
func (s *Store) Facts(ctx context.Context, publish func(ctx context.Context, f db.Fact) error) (int, error) {
	if !s.migrated.Load() {
		return 0, ErrUnavailable
	}
	done := 0
	var failed error
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		q := db.New(tx)
		if mine, err := q.TryLockFacts(ctx); err != nil || !mine {
			return err
		}
		facts, err := q.NextFacts(ctx)
		if err != nil {
			return err
		}
		for _, f := range facts {
			if failed = publish(ctx, f); failed != nil {
				return nil // what was published before is forgotten
			}
			if err := q.DeleteFact(ctx, f.Seq); err != nil {
				return err
			}
			done++
		}
		return nil
	})
	if err != nil {
		return 0, classify(err)
	}
	return done, failed
}

// Waiting counts what waits to be published.
func (s *Store) Waiting(ctx context.Context) (entries, facts int64, err error) {
	err = s.Read(ctx, func(ctx context.Context, q *db.Queries) error {
		var err error
		if entries, err = q.CountPendingEntries(ctx); err != nil {
			return err
		}
		facts, err = q.CountFacts(ctx)
		return err
	})
	return entries, facts, err
}

// Reconcile makes the entries what the rows say, for a service that starts: a
// new version of it may compose them differently, and a setting may have
// changed. inBucket has the version of every living entry of the bucket. If
// the bucket knows a higher version than the database, the database went back
// to an older state: then the sequence goes on above it, every entry gets a
// new version, and what only the bucket knows is marked as deleted.
func (s *Store) Reconcile(ctx context.Context, inBucket map[string]int64) error {
	if !s.migrated.Load() {
		return ErrUnavailable
	}
	_, err := s.write(ctx, "", func(ctx context.Context, tx *Tx) error {
		wentBack, err := raise(ctx, tx, inBucket)
		if err != nil {
			return err
		}
		refs, err := allRefs(ctx, tx.Queries)
		if err != nil {
			return err
		}
		for _, ref := range refs {
			current, err := s.current(ctx, tx.Queries, ref)
			if err != nil {
				return err
			}
			if wentBack || !current {
				tx.Touch(ref)
			}
			delete(inBucket, ref.entryKey())
		}
		return bury(ctx, tx, inBucket)
	})
	return err
}

func raise(ctx context.Context, tx *Tx, inBucket map[string]int64) (wentBack bool, err error) {
	known, err := tx.HighestVersion(ctx)
	if err != nil {
		return false, err
	}
	highest := known
	for _, version := range inBucket {
		highest = max(highest, version)
	}
	if highest == known {
		return false, nil
	}
	tx.drawn = 0 // it is below
	return true, tx.RaiseVersion(ctx, highest)
}

// bury marks as deleted what the bucket has and the database does not know.
func bury(ctx context.Context, tx *Tx, orphans map[string]int64) error {
	for key := range orphans {
		version, err := tx.version(ctx)
		if err != nil {
			return err
		}
		body, err := json.Marshal(catalog.Entry{Version: version, Deleted: true})
		if err != nil {
			return err
		}
		tx.outbox.put(db.Entry{Key: key, Version: version, Deleted: true, Body: body})
	}
	return nil
}

// allRefs names everything that has an entry.
func allRefs(ctx context.Context, q *db.Queries) ([]Ref, error) {
	refs := []Ref{SettingsRef(), PreApprovalRef()}
	connections, err := q.ConnectionNames(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range connections {
		refs = append(refs, ConnectionRef(c.ID, c.Key))
	}
	policies, err := q.PolicyKeys(ctx)
	if err != nil {
		return nil, err
	}
	for _, key := range policies {
		refs = append(refs, PolicyRef(key))
	}
	clients, err := q.ClientIDs(ctx)
	for _, id := range clients {
		refs = append(refs, ClientRef(id))
	}
	return refs, err
}

func reading[T any](ctx context.Context, s *Store, run func(ctx context.Context, q *db.Queries) (T, error)) (T, error) {
	var result T
	err := s.Read(ctx, func(ctx context.Context, q *db.Queries) error {
		var err error
		result, err = run(ctx, q)
		return err
	})
	return result, err
}
