package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/parley-dsr/parley/internal/stored"
	"github.com/parley-dsr/parley/internal/topology"
)

// ErrUnversioned is returned by Put for an entry that carries no version: it
// could be overwritten by any other, in any order.
var ErrUnversioned = errors.New("catalog: the entry has no version")

// Store reads and writes the entries of the bucket dsr_config. It caches
// nothing: a read after a change sees the change. Who reads the same entry at
// the same time gets the same value, which is not to be changed; see shared.
// Reads return ErrNotFound for an entry that does not exist or is deleted.
//
// The methods that ask are the first half of those that read: what they give
// waits for the answer.
type Store struct {
	bucket      *topology.Bucket
	policies    *shared[Policy]
	preApproval *shared[PreApproval]
	connections *shared[Connection]
	clients     *shared[Client]
	settings    *shared[Settings]
}

// NewStore gives the store over the bucket topology.BucketConfig.
func NewStore(b *topology.Bucket) *Store {
	return &Store{
		bucket:      b,
		policies:    share(reader[Policy](b)),
		preApproval: share(reader[PreApproval](b)),
		connections: share(reader[Connection](b)),
		clients:     share(reader[Client](b)),
		settings:    share(reader[Settings](b)),
	}
}

// Policy reads a policy by its key.
func (s *Store) Policy(ctx context.Context, key string) (Policy, error) {
	return s.policies.get(ctx, PolicyKey(key))
}

// AskPolicy asks for a policy by its key.
func (s *Store) AskPolicy(ctx context.Context, key string) func() (Policy, error) {
	return s.policies.ask(ctx, PolicyKey(key))
}

// PreApproval reads the pre-approval webhooks.
func (s *Store) PreApproval(ctx context.Context) (PreApproval, error) {
	return s.preApproval.get(ctx, KeyPreApproval)
}

// AskPreApproval asks for the pre-approval webhooks.
func (s *Store) AskPreApproval(ctx context.Context) func() (PreApproval, error) {
	return s.preApproval.ask(ctx, KeyPreApproval)
}

// Connection reads a connection by its id.
func (s *Store) Connection(ctx context.Context, id string) (Connection, error) {
	return s.connections.get(ctx, ConnectionKey(id))
}

// AskConnection asks for a connection by its id.
func (s *Store) AskConnection(ctx context.Context, id string) func() (Connection, error) {
	return s.connections.ask(ctx, ConnectionKey(id))
}

// Client reads an API client by its id.
func (s *Store) Client(ctx context.Context, id string) (Client, error) {
	return s.clients.get(ctx, ClientKey(id))
}

// Settings reads the runtime settings.
func (s *Store) Settings(ctx context.Context) (Settings, error) {
	return s.settings.get(ctx, KeySettings)
}

// AskSettings asks for the runtime settings.
func (s *Store) AskSettings(ctx context.Context) func() (Settings, error) {
	return s.settings.ask(ctx, KeySettings)
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

// entry is what the bucket holds.
type entry[T any] interface {
	gone() bool
	// clipped is the entry with nothing behind the ends of its lists, so that
	// who appends to one appends to a copy.
	clipped() T
}

// reader gives how entries of a type are read, and decoded once for all who
// share the answer.
func reader[T entry[T]](b *topology.Bucket) func(ctx context.Context, key string) (T, error) {
	return func(ctx context.Context, key string) (T, error) {
		var value, none T
		e, err := b.Get(ctx, key)
		switch {
		case errors.Is(err, topology.ErrNotFound), errors.Is(err, topology.ErrKey):
			return none, ErrNotFound
		case err != nil:
			return none, fmt.Errorf("catalog: %w", err)
		}
		if err := stored.Decode(e.Value, &value); err != nil {
			return none, fmt.Errorf("catalog: decode %s: %w", key, err)
		}
		if value.gone() {
			return none, ErrNotFound
		}
		return value.clipped(), nil
	}
}

func (e Entry) gone() bool { return e.Deleted }

func (p Policy) clipped() Policy {
	p.Policy.Rules, p.Pre, p.Post = slices.Clip(p.Policy.Rules), slices.Clip(p.Pre), slices.Clip(p.Post)
	return p
}

func (p PreApproval) clipped() PreApproval {
	p.Webhooks = slices.Clip(p.Webhooks)
	return p
}

func (c Connection) clipped() Connection { return c }

func (c Client) clipped() Client {
	c.Scopes, c.Roles = slices.Clip(c.Scopes), slices.Clip(c.Roles)
	return c
}

func (s Settings) clipped() Settings { return s }
