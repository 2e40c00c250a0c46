package catalog_test

import (
	"testing"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
)

// BenchmarkPolicy reads one policy, by one reader and by 64 at the same time.
func BenchmarkPolicy(b *testing.B) {
	_, js := testbed.NATS(b)
	if err := topology.EnsureConfig(b.Context(), js, topology.Options{}); err != nil {
		b.Fatal(err)
	}
	bucket, err := topology.AwaitBucket(b.Context(), js, topology.BucketConfig, nil)
	if err != nil {
		b.Fatal(err)
	}
	s := catalog.NewStore(bucket)
	hook := record.Webhook{ID: "web_1", Key: "prepare", Name: "Prepare", Direction: record.TwoWay, ConnectionID: "con_1", ConnectionKey: "shop"}
	policy := catalog.Policy{
		Entry:  catalog.Entry{Version: 1},
		Policy: record.Policy{ID: "pol_1", Key: "erase", Name: "Erase", Rules: []record.Rule{{ID: "rul_1", ActionType: record.ActionErasure}}},
		Pre:    []record.Webhook{hook}, Post: []record.Webhook{hook},
	}
	if _, err := s.Put(b.Context(), catalog.PolicyKey("erase"), policy); err != nil {
		b.Fatal(err)
	}
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Policy(b.Context(), "erase"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("many", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(32)
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				if _, err := s.Policy(b.Context(), "erase"); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}
