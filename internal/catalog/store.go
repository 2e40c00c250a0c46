package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/parley-dsr/parley/internal/topology"
)

// ErrUnversioned is returned by Put for an entry that carries no version: it
// could be overwritten by any other, in any order.
var ErrUnversioned = errors.New("catalog: the entry has no version")

// Store reads and writes the entries of the bucket dsr_config. It caches
// nothing: a read after a change sees the change. Reads return ErrNotFound for
// an entry that does not exist or is deleted.
type Store struct{ bucket *topology.Bucket }

// NewStore gives the store over the bucket topology.BucketConfig.
func NewStore(b *topology.Bucket) *Store { return &Store{bucket: b} }

// Policy reads a policy by its key.
func (s *Store) Policy(ctx context.Context, key string) (Policy, error) {
	return read[Policy](ctx, s, PolicyKey(key))
}

// PreApproval reads the pre-approval webhooks.
func (s *Store) PreApproval(ctx context.Context) (PreApproval, error) {
	return read[PreApproval](ctx, s, KeyPreApproval)
}

// Connection reads a connection by its id.
func (s *Store) Connection(ctx context.Context, id string) (Connection, error) {
	return read[Connection](ctx, s, ConnectionKey(id))
}

// Client reads an API client by its id.
func (s *Store) Client(ctx context.Context, id string) (Client, error) {
	return read[Client](ctx, s, ClientKey(id))
}

// Settings reads the runtime settings.
func (s *Store) Settings(ctx context.Context) (Settings, error) {
	return read[Settings](ctx, s, KeySettings)
}

// Put writes an entry, which is one of the types of this package or an Entry
// alone, under its key. It does nothing where the bucket has that version
// already or a newer one, and says so with written = false.
func (s *Store) Put(ctx context.Context, key string, entry any) (written bool, err error) {
	value, err := json.Marshal(entry)
	if err != nil {
		return false, fmt.Errorf("catalog: encode %s: %w", key, err)
	}
	var mine Entry
	if err := json.Unmarshal(value, &mine); err != nil || mine.Version == 0 {
		return false, fmt.Errorf("%w: %s", ErrUnversioned, key)
	}
	for {
		written, err = s.putOnce(ctx, key, value, mine.Version)
		if !errors.Is(err, topology.ErrConflict) {
			return written, err
		}
	}
}

// putOnce fails with ErrConflict where another writer came between our look
// and our write. The next look then finds the other's entry.
func (s *Store) putOnce(ctx context.Context, key string, value []byte, version int64) (bool, error) {
	there, err := s.bucket.Get(ctx, key)
	if errors.Is(err, topology.ErrNotFound) {
		_, err = s.bucket.Create(ctx, key, value, 0)
		return err == nil, err
	}
	if err != nil {
		return false, fmt.Errorf("catalog: %w", err)
	}
	var theirs Entry
	if err := json.Unmarshal(there.Value, &theirs); err == nil && theirs.Version >= version {
		return false, nil
	}
	_, err = s.bucket.Update(ctx, key, value, there.Revision, 0)
	return err == nil, err
}

func read[T interface{ gone() bool }](ctx context.Context, s *Store, key string) (T, error) {
	var entry, none T
	e, err := s.bucket.Get(ctx, key)
	switch {
	case errors.Is(err, topology.ErrNotFound), errors.Is(err, topology.ErrKey):
		return none, ErrNotFound
	case err != nil:
		return none, fmt.Errorf("catalog: %w", err)
	}
	if err := json.Unmarshal(e.Value, &entry); err != nil {
		return none, fmt.Errorf("catalog: decode %s: %w", key, err)
	}
	if entry.gone() {
		return none, ErrNotFound
	}
	return entry, nil
}

func (e Entry) gone() bool { return e.Deleted }
