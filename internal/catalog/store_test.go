package catalog_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
)

func store(t *testing.T) *catalog.Store {
	t.Helper()
	_, js := testbed.NATS(t)
	if err := topology.EnsureConfig(t.Context(), js, topology.Options{}); err != nil {
		t.Fatal(err)
	}
	b, err := topology.AwaitBucket(t.Context(), js, topology.BucketConfig, nil)
	if err != nil {
		t.Fatal(err)
	}
	return catalog.NewStore(b)
}

func put(t *testing.T, s *catalog.Store, key string, entry any) {
	t.Helper()
	if written, err := s.Put(t.Context(), key, entry); !written || err != nil {
		t.Fatalf("put %s: %v, %v", key, written, err)
	}
}

func TestStoreGivesBackWhatWasPut(t *testing.T) {
	t.Parallel()
	s, ctx := store(t), t.Context()
	yes := true
	policy := catalog.Policy{Entry: catalog.Entry{Version: 1}, Policy: record.Policy{ID: "pol_1", Key: "erase"}, Pre: []record.Webhook{{ID: "pol_2", Direction: record.TwoWay}}}
	preApproval := catalog.PreApproval{Entry: catalog.Entry{Version: 2}, Webhooks: []record.Webhook{{ID: "pol_3"}}}
	connection := catalog.Connection{Entry: catalog.Entry{Version: 3}, ID: "con_1", Key: "shop", SealedSecrets: "sealed"}
	client := catalog.Client{Entry: catalog.Entry{Version: 4}, ID: "api_1", Scopes: []string{"policy:read"}}
	settings := catalog.Settings{Entry: catalog.Entry{Version: 5}, RequireManualRequestApproval: &yes}
	put(t, s, catalog.PolicyKey("erase"), policy)
	put(t, s, catalog.KeyPreApproval, preApproval)
	put(t, s, catalog.ConnectionKey("con_1"), connection)
	put(t, s, catalog.ClientKey("api_1"), client)
	put(t, s, catalog.KeySettings, settings)

	same(t, policy)(s.Policy(ctx, "erase"))
	same(t, preApproval)(s.PreApproval(ctx))
	same(t, connection)(s.Connection(ctx, "con_1"))
	same(t, client)(s.Client(ctx, "api_1"))
	same(t, settings)(s.Settings(ctx))
}

func same[T any](t *testing.T, want T) func(T, error) {
	t.Helper()
	return func(got T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestMissingAndDeletedAreNotFound(t *testing.T) {
	t.Parallel()
	s, ctx := store(t), t.Context()
	put(t, s, catalog.PolicyKey("gone"), catalog.Policy{Entry: catalog.Entry{Version: 1}})
	put(t, s, catalog.PolicyKey("gone"), catalog.Entry{Version: 2, Deleted: true})
	for name, read := range map[string]func() error{
		"a deleted policy":             func() error { _, err := s.Policy(ctx, "gone"); return err },
		"a policy":                     func() error { _, err := s.Policy(ctx, "none"); return err },
		"a key that cannot be":         func() error { _, err := s.Policy(ctx, "a b*"); return err },
		"the pre-approval webhooks":    func() error { _, err := s.PreApproval(ctx); return err },
		"a connection":                 func() error { _, err := s.Connection(ctx, "none"); return err },
		"a client":                     func() error { _, err := s.Client(ctx, "none"); return err },
		"a client without an id":       func() error { _, err := s.Client(ctx, ""); return err },
		"settings that were never set": func() error { _, err := s.Settings(ctx); return err },
	} {
		if err := read(); !errors.Is(err, catalog.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnEntryNeedsAVersion(t *testing.T) {
	t.Parallel()
	s := store(t)
	if _, err := s.Put(t.Context(), catalog.KeySettings, catalog.Settings{}); !errors.Is(err, catalog.ErrUnversioned) {
		t.Errorf("err = %v", err)
	}
}

// Whatever the order, and however many write at once, the newest version stays.
func TestTheNewestVersionStays(t *testing.T) {
	t.Parallel()
	s := store(t)
	round := 0
	rapid.Check(t, func(r *rapid.T) {
		round++
		key := fmt.Sprintf("round-%d", round)
		versions := rapid.SliceOfN(rapid.Int64Range(1, 20), 1, 8).Draw(r, "versions")
		newest := int64(0)
		var writers sync.WaitGroup
		for _, version := range versions {
			newest = max(newest, version)
			writers.Go(func() {
				if _, err := s.Put(t.Context(), catalog.ClientKey(key), catalog.Client{Entry: catalog.Entry{Version: version}}); err != nil {
					t.Error(err)
				}
			})
		}
		writers.Wait()
		got, err := s.Client(t.Context(), key)
		if err != nil || got.Version != newest {
			r.Fatalf("version %d, %v; want %d of %v", got.Version, err, newest, versions)
		}
	})
}

func TestPutSaysWhetherItWrote(t *testing.T) {
	t.Parallel()
	s := store(t)
	for _, step := range []struct {
		version int64
		written bool
	}{{2, true}, {2, false}, {1, false}, {3, true}} {
		written, err := s.Put(t.Context(), catalog.KeySettings, catalog.Settings{Entry: catalog.Entry{Version: step.version}})
		if err != nil || written != step.written {
			t.Errorf("version %d: %v, %v", step.version, written, err)
		}
	}
}

// However many read the same entry, who reads after a write sees it.
func TestAReadSeesWhatWasWrittenBefore(t *testing.T) {
	t.Parallel()
	s, ctx := store(t), t.Context()
	var newest atomic.Int64
	var readers sync.WaitGroup
	defer readers.Wait()
	put(t, s, catalog.PolicyKey("busy"), catalog.Policy{Entry: catalog.Entry{Version: 1}})
	for range 8 {
		readers.Go(func() {
			for newest.Load() < 100 {
				written := newest.Load()
				if got, err := s.Policy(ctx, "busy"); err != nil || got.Version < written {
					t.Errorf("version %d, %v; %d was written before", got.Version, err, written)
					return
				}
			}
		})
	}
	for version := int64(2); version <= 100; version++ {
		put(t, s, catalog.PolicyKey("busy"), catalog.Policy{Entry: catalog.Entry{Version: version}})
		newest.Store(version)
	}
}

// What readers share has no room behind the ends of its lists, in which one
// could write what another sees.
func TestSharedListsHaveNoRoom(t *testing.T) {
	t.Parallel()
	s := store(t)
	hooks := make([]record.Webhook, 5)
	put(t, s, catalog.PolicyKey("long"), catalog.Policy{
		Entry: catalog.Entry{Version: 1}, Policy: record.Policy{Rules: make([]record.Rule, 5)}, Pre: hooks, Post: hooks,
	})
	put(t, s, catalog.KeyPreApproval, catalog.PreApproval{Entry: catalog.Entry{Version: 2}, Webhooks: hooks})
	policy, err := s.Policy(t.Context(), "long")
	if err != nil {
		t.Fatal(err)
	}
	approval, err := s.PreApproval(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, room := range map[string]int{
		"rules": cap(policy.Policy.Rules), "pre": cap(policy.Pre), "post": cap(policy.Post), "pre-approval": cap(approval.Webhooks),
	} {
		if room != 5 {
			t.Errorf("%s: %d of 5", name, room)
		}
	}
}
