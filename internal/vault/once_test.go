package vault_test

import (
	"errors"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/vault"
)

// What was provided once stays: the same person again changes nothing, another
// one is refused. What has gone can be put.
func TestPutOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	one, other := person(t), person(t)
	number, ok := identity.ParseLabeled([]byte(`{"label":"N","value":12}`))
	if !ok {
		t.Fatal("a number is no value")
	}
	other.CustomFields = map[string]identity.Labeled{"n": number}
	if err := b.vault.PutOnce(ctx, request, one, time.Hour); err != nil {
		t.Fatal(err)
	}
	before, err := b.bucket.Get(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.vault.PutOnce(ctx, request, one, 2*time.Hour); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := b.vault.PutOnce(ctx, request, other, time.Hour); !errors.Is(err, vault.ErrOther) {
		t.Errorf("another: %v", err)
	}
	if after, err := b.bucket.Get(ctx, request); err != nil || after.Revision != before.Revision {
		t.Errorf("it was written again: %v", err)
	}
	if err := b.vault.Remove(ctx, request, nil); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.vault.PutOnce(ctx, request, other, time.Hour); err != nil {
			t.Errorf("behind a removal: %v", err)
		}
	}
	if _, err := b.bucket.Put(ctx, "pri_2", []byte("not sealed"), time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := b.vault.PutOnce(ctx, "pri_2", one, time.Hour); !errors.Is(err, vault.ErrUnreadable) {
		t.Errorf("over what cannot be read: %v", err)
	}
	if err := b.vault.PutOnce(ctx, "pri_3", one, -1); !errors.Is(err, vault.ErrExpired) || errors.Is(err, topology.ErrConflict) {
		t.Errorf("in the past: %v", err)
	}
}
