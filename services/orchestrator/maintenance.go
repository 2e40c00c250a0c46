package orchestrator

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
	"github.com/parley-dsr/parley/services/orchestrator/internal/reconcile"
)

// Reconciled says what Reconcile did.
type Reconciled = reconcile.Report

// Reconcile compares the bucket of records with the read model once, as the
// service does when it starts: what either has lost comes back from the other.
// The service may be running.
func Reconcile(ctx context.Context, s Settings, d process.Deps) (Reconciled, error) {
	v, b, err := visit(ctx, s, d)
	if err != nil {
		return Reconciled{}, err
	}
	defer v.store.Close()
	return reconcile.Run(ctx, v.comparison(b, v.loop(b)))
}

// visit opens what a running service has open, without running one.
func visit(ctx context.Context, s Settings, d process.Deps) (*service, buckets, error) {
	ring, err := keyring.Parse(s.EncryptionKeys)
	if err != nil {
		return nil, buckets{}, err
	}
	js, err := jetstream.New(d.NATS, jetstream.WithPublishAsyncTimeout(publishWithin))
	if err != nil {
		return nil, buckets{}, err
	}
	bucket := map[string]*topology.Bucket{}
	for _, name := range []string{topology.BucketRequests, topology.BucketIdentities, topology.BucketConfig} {
		if bucket[name], err = topology.AwaitBucket(ctx, js, name, nil); err != nil {
			return nil, buckets{}, err
		}
	}
	store, err := readmodel.Open(ctx, s.DatabaseURL, unsealer(ring))
	if err != nil {
		return nil, buckets{}, err
	}
	if err := store.Migrate(ctx); err != nil {
		store.Close()
		return nil, buckets{}, err
	}
	v := &service{settings: s, deps: d, js: js, ring: ring, store: store}
	return v, buckets{
		requests: bucket[topology.BucketRequests],
		vault:    vault.Open(bucket[topology.BucketIdentities], ring),
		catalog:  catalog.NewStore(bucket[topology.BucketConfig]),
	}, nil
}
