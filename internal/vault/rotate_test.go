package vault_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/vault"
)

func TestResealKeepsValuesAndTheirTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	want := person(t)
	if err := b.vault.Put(ctx, request, want, time.Hour); err != nil {
		t.Fatal(err)
	}
	staged, err := b.stage(ctx, request, known(t, `{"phone_number":"+15555555555"}`), 2*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.bucket.Put(ctx, "damaged", []byte("not sealed"), time.Hour); err != nil {
		t.Fatal(err)
	}
	before, err := b.bucket.Get(ctx, staged)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(before.Expires); left < 119*time.Minute || left > 2*time.Hour {
		t.Errorf("the staged identity expires in %s", left)
	}

	fresh, err := keyring.Generate()
	if err != nil {
		t.Fatal(err)
	}
	old := b.ring.KIDs()[0]
	during := join(t, fresh, b.key)
	v := vault.Open(b.bucket, during)
	use, err := v.KeyUse(ctx)
	if err != nil || use.Keys[old].Values != 2 || use.Keys[old].Lasting != 0 || !use.Keys[old].Until.Equal(before.Expires) {
		t.Fatalf("%+v, %v", use, err)
	}
	done, err := v.Reseal(ctx, time.Now)
	if err != nil || done.Done != 2 || done.Left != 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	if use, err = v.KeyUse(ctx); err != nil || use.Keys[old].Values != 0 || use.Keys[during.KIDs()[0]].Values != 2 {
		t.Errorf("%+v, %v", use, err)
	}
	after, err := b.bucket.Get(ctx, staged)
	if err != nil {
		t.Fatal(err)
	}
	if moved := after.Expires.Sub(before.Expires); moved < 0 || moved > 2*time.Second {
		t.Errorf("the expiry moved by %s", moved)
	}
	got, err := vault.Open(b.bucket, join(t, fresh)).Read(ctx, request, []string{staged})
	if err != nil {
		t.Fatal(err)
	}
	want.Identity = known(t, `{"phone_number":"+15555555555"}`).Over(want.Identity)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(identity.Identity{})); diff != "" {
		t.Error(diff)
	}
	if done, err = v.Reseal(ctx, time.Now); err != nil || done.Done != 0 {
		t.Errorf("a second time: %+v, %v", done, err)
	}
}
