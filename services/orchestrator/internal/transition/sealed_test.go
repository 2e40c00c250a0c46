package transition_test

import (
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/internal/work"
)

// TestAnIdentityThatCannotBeOpenedHoldsUpNothing: a key was dropped from the
// ring too early. The commands about requests that need it must not come again
// for ever.
func TestAnIdentityThatCannotBeOpenedHoldsUpNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.policy([]record.Webhook{hook("first", record.TwoWay)}, nil)
	b.run()
	keys, err := keyring.Generate()
	must(t, err)
	dropped, err := keyring.Parse(keys)
	must(t, err)
	bucket, err := topology.AwaitBucket(t.Context(), b.js, topology.BucketIdentities, nil)
	must(t, err)
	email := "a@example.com"
	must(t, vault.Open(bucket, dropped).Put(t.Context(), "pri_1", vault.Person{Identity: identity.Identity{Email: &email}}, time.Hour))
	answer := b.command(work.Command{
		ID: "a", Name: work.Submit, RequestID: "pri_1", At: time.Now(),
		Submission: &record.Submission{PolicyKey: "p1", RequestedAt: time.Now()},
	})
	if !answer.Accepted || answer.Status != record.InProcessing {
		t.Errorf("%+v", answer)
	}
}
