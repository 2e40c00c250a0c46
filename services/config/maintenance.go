package config

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/rotation"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/services/config/internal/keys"
	"github.com/parley-dsr/parley/services/config/internal/publish"
	"github.com/parley-dsr/parley/services/config/internal/store"
)

// Key is a key of the ring, or one that the service was started with before.
type Key struct {
	KID string `json:"kid"`
	// Fingerprint is equal where the key is.
	Fingerprint string `json:"fingerprint"`
	// InRing says whether the settings have it; Seals, whether it is the first.
	InRing bool `json:"in_ring"`
	Seals  bool `json:"seals"`
	// SealedSince and SealedUntil are when the service was started with it as
	// the first key, and with another one; zero where it was not.
	SealedSince time.Time `json:"sealed_since,omitzero"`
	SealedUntil time.Time `json:"sealed_until,omitzero"`
	// Replaced says that the service knew another key by this kid.
	Replaced bool `json:"replaced,omitempty"`
}

// KeyUse says which keys there are and what the configuration has sealed with
// each. The service may be running.
func KeyUse(ctx context.Context, s Settings, d process.Deps) ([]Key, []*rotation.Place, error) {
	svc, k, err := visit(ctx, s, d, (*publish.Publisher).Use)
	if err != nil {
		return nil, nil, err
	}
	defer svc.store.Close()
	places, err := k.Places(ctx)
	if err != nil {
		return nil, nil, err
	}
	known, err := svc.knownKeys(ctx)
	return known, places, err
}

// Reseal seals every stored secret again with the first key of the ring, and
// publishes it. The service may be running, and change secrets meanwhile.
func Reseal(ctx context.Context, s Settings, d process.Deps) ([]rotation.Resealed, error) {
	svc, k, err := visit(ctx, s, d, (*publish.Publisher).Use)
	if err != nil {
		return nil, err
	}
	defer svc.store.Close()
	return k.Reseal(ctx)
}

// Republish makes the bucket dsr_config anew from the database, as the service
// does when it starts. The service may be running. It says how many entries
// stand in the bucket.
func Republish(ctx context.Context, s Settings, d process.Deps) (int, error) {
	svc, _, err := visit(ctx, s, d, (*publish.Publisher).Open)
	if err != nil {
		return 0, err
	}
	defer svc.store.Close()
	entries, err := svc.store.AllEntries(ctx)
	return len(entries), err
}

// visit opens what the service has open, without running it. The publisher gets
// the bucket by enter.
func visit(ctx context.Context, s Settings, d process.Deps, enter func(*publish.Publisher, context.Context, *topology.Bucket) error) (*service, *keys.Keys, error) {
	svc, err := open(s, d, nil)
	if err != nil {
		return nil, nil, err
	}
	bucket, err := svc.reopen(ctx, enter)
	if err != nil {
		svc.store.Close()
		return nil, nil, err
	}
	return svc, &keys.Keys{
		Store: svc.store, Ring: svc.api.Ring, Bucket: bucket, AccessTokenTTL: s.AccessTokenTTL, Clock: d.Clock,
		Publish: svc.publisher.Publish,
	}, nil
}

func (s *service) reopen(ctx context.Context, enter func(*publish.Publisher, context.Context, *topology.Bucket) error) (*topology.Bucket, error) {
	if err := s.store.Migrate(ctx); err != nil {
		return nil, err
	}
	if err := topology.EnsureConfig(ctx, s.js, topology.Options{Replicas: s.settings.NATSReplicas}); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	bucket, err := topology.AwaitBucket(ctx, s.js, topology.BucketConfig, nil)
	if err != nil {
		return nil, err
	}
	return bucket, enter(s.publisher, ctx, bucket)
}

// noteKeys remembers since when which key seals.
func (s *service) noteKeys(ctx context.Context) error {
	ring := s.api.Ring
	var now []store.Key
	for _, kid := range ring.KIDs() {
		now = append(now, store.Key{KID: kid, Fingerprint: ring.Fingerprint(kid)})
	}
	changed, err := s.store.NoteKeys(ctx, now)
	for _, kid := range changed {
		s.deps.Logger.Warn("PARLEY_ENCRYPTION_KEYS has another key under a kid that was used before; what that one sealed cannot be opened", "kid", kid)
	}
	return err
}

// knownKeys are the keys of the settings, the sealing one first, and after them
// those that are gone.
func (s *service) knownKeys(ctx context.Context) ([]Key, error) {
	noted, err := s.store.Keys(ctx)
	if err != nil {
		return nil, err
	}
	ring := s.api.Ring
	var known []Key
	at := map[string]int{}
	for i, kid := range ring.KIDs() {
		at[kid] = i
		known = append(known, Key{KID: kid, Fingerprint: ring.Fingerprint(kid), InRing: true, Seals: i == 0})
	}
	for _, n := range noted {
		i, inRing := at[n.Kid]
		if !inRing {
			i = len(known)
			known = append(known, Key{KID: n.Kid, Fingerprint: n.Fingerprint})
		}
		k := &known[i]
		k.Replaced = k.Fingerprint != n.Fingerprint
		if n.SealedSince != nil {
			k.SealedSince = *n.SealedSince
			if n.SealedUntil != nil {
				k.SealedUntil = *n.SealedUntil
			}
		}
	}
	return known, nil
}
