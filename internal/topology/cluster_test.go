package topology_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/topology"
)

// In a cluster, buckets are read from the leader only, and the server names a
// conflict by another code.
func TestBucketsInACluster(t *testing.T) {
	t.Parallel()
	_, js := testbed.Cluster(t)
	ctx := t.Context()
	o := topology.Options{Replicas: 3, EventRetention: time.Hour}
	for range 2 {
		if err := ensureAll(ctx, js, o); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range configs(t, js) {
		if c.Replicas != 3 {
			t.Errorf("%s has %d replicas", name, c.Replicas)
		}
	}
	b, err := topology.AwaitBucket(ctx, js, topology.BucketHalted, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b.Stream().CachedInfo().Config.AllowDirect {
		t.Error("followers answer reads")
	}
	revision, err := b.Create(ctx, "k", []byte("0"), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Create(ctx, "k", nil, 0); !errors.Is(err, topology.ErrConflict) {
		t.Errorf("create of what exists: %v", err)
	}
	if _, err := b.Update(ctx, "k", nil, revision+1, 0); !errors.Is(err, topology.ErrConflict) {
		t.Errorf("update of another revision: %v", err)
	}
	counted(t, b)
	if err := b.Remove(ctx, "k"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Create(ctx, "k", nil, time.Second); err != nil {
		t.Errorf("create over a removal: %v", err)
	}
}

// counted has many writers count up a key, each from what it read.
func counted(t *testing.T, b *topology.Bucket) {
	t.Helper()
	const writers, times = 4, 10
	var working sync.WaitGroup
	for range writers {
		working.Go(func() {
			for done := 0; done < times; {
				e, err := b.Get(t.Context(), "k")
				if err != nil {
					t.Error(err)
					return
				}
				_, err = b.Update(t.Context(), "k", append(e.Value, '+'), e.Revision, time.Hour)
				switch {
				case err == nil:
					done++
				case !errors.Is(err, topology.ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	working.Wait()
	e, err := b.Get(t.Context(), "k")
	if err != nil || len(e.Value) != 1+writers*times {
		t.Errorf("%d updates of %d were kept, %v", len(e.Value)-1, writers*times, err)
	}
}
