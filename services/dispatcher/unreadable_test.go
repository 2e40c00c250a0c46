package dispatcher

import (
	"net/http"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/pkg/events"
)

// otherRing is the keyring of somebody else.
func otherRing(t *testing.T) *keyring.Ring {
	t.Helper()
	keys, err := keyring.Generate()
	must(t, err)
	ring, err := keyring.Parse(keys)
	must(t, err)
	return ring
}

// A call whose identity cannot be read is put off: the other calls of its lane
// are made, however narrow the lane is, and it is made itself, with all its
// attempts left, once the identity can be read.
func TestUnreadableIdentityHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settings.LaneConcurrency = 1
	b.settings.DeliveryMaxAttempts = 1
	handler, calls := answering(http.StatusOK, `{}`)
	b.connection("con_1", catalog.Secrets{URL: b.receiver(handler), Authorization: "s3cret"})
	identities, err := topology.AwaitBucket(t.Context(), b.js, topology.BucketIdentities, nil)
	must(t, err)
	orders := b.more(b.call("con_1", record.Pre, record.TwoWay), 5)
	email := "joe@example.com"
	joe := vault.Person{Identity: identity.Identity{Email: &email}}
	// Another key, another request's, and no sealed value at all.
	must(t, vault.Open(identities, otherRing(t)).Put(t.Context(), orders[0].RequestID, joe, time.Hour))
	foreign, err := identities.Get(t.Context(), orders[4].RequestID)
	must(t, err)
	_, err = identities.Put(t.Context(), orders[1].RequestID, foreign.Value, time.Hour)
	must(t, err)
	_, err = identities.Put(t.Context(), orders[2].RequestID, []byte("garbage"), time.Hour)
	must(t, err)
	unreadable := map[string]bool{orders[0].CallID: true, orders[1].CallID: true, orders[2].CallID: true}
	b.start()
	for _, call := range orders {
		b.order(call)
	}
	missed, made := map[string]bool{}, map[string]bool{}
	for len(missed) < 3 || len(made) < 2 {
		f := b.next()
		switch {
		case f.Type() == events.WebhookSucceeded && !unreadable[f.data.CallID]:
			made[f.data.CallID] = true
		case f.Type() == events.WebhookAttempted && f.data.Outcome == events.OutcomeUnreadable && unreadable[f.data.CallID]:
			missed[f.data.CallID] = true
			if f.data.Attempt != 0 || f.data.NextAttemptAt == nil || f.data.Error == "" {
				t.Errorf("missed: %+v", f.data)
			}
		default:
			t.Fatalf("%s: %+v", f.Type(), f.data)
		}
	}
	if len(calls) != 2 {
		t.Errorf("%d calls were made", len(calls))
	}
	for _, call := range orders[:3] {
		must(t, b.vault.Put(t.Context(), call.RequestID, joe, time.Hour))
	}
	for len(made) < 5 {
		if f := b.next(); f.Type() == events.WebhookSucceeded {
			made[f.data.CallID] = true
			if f.data.Attempt != 1 {
				t.Errorf("the first attempt is number %d", f.data.Attempt)
			}
		}
	}
	b.settled()
}

// The deadline of a call ends the waiting, with the reason.
func TestUnreadableUntilTheDeadline(t *testing.T) {
	t.Parallel()
	for name, direction := range map[string]string{"two_way": record.TwoWay, "one_way": record.OneWay} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.settings.DeliveryMaxAge = 3 * time.Second
			handler, calls := answering(http.StatusOK, `{}`)
			b.connection("con_1", catalog.Secrets{URL: b.receiver(handler), Authorization: "s3cret"})
			identities, err := topology.AwaitBucket(t.Context(), b.js, topology.BucketIdentities, nil)
			must(t, err)
			call := b.call("con_1", record.Pre, direction)
			call.Until = time.Time{} // an order that names none
			must(t, vault.Open(identities, otherRing(t)).Put(t.Context(), call.RequestID, vault.Person{}, time.Hour))
			b.start()
			b.order(call)
			f := b.next()
			for f.Type() == events.WebhookAttempted {
				f = b.next()
			}
			want := map[string]string{record.TwoWay: events.WebhookFailed, record.OneWay: events.WebhookUndelivered}[direction]
			// A busy machine may come to the next attempt after the deadline.
			known := f.data.Outcome == events.OutcomeUnreadable || f.data.Outcome == events.OutcomeDeadline && direction == record.TwoWay
			if f.Type() != want || !known || f.data.Attempt != 0 || f.data.Error == "" {
				t.Errorf("%s: %+v", f.Type(), f.data)
			}
			if len(calls) != 0 {
				t.Error("the receiver was called")
			}
			b.settled()
		})
	}
}

// Secrets that do not open put the calls off too, and those that were put off
// are made with the secrets that are set then.
func TestUnreadableSecrets(t *testing.T) {
	t.Parallel()
	b := setup(t)
	handler, _ := answering(http.StatusOK, `{}`)
	url := b.receiver(handler)
	ring := b.ring
	b.ring = otherRing(t)
	b.connection("con_1", catalog.Secrets{URL: url, Authorization: "s3cret"})
	b.ring = ring
	b.start()
	b.order(b.call("con_1", record.Pre, record.TwoWay))
	b.expect(events.WebhookAttempted, events.OutcomeUnreadable)
	b.connection("con_1", catalog.Secrets{URL: url, Authorization: "s3cret"}, func(c *catalog.Connection) { c.Version = 2 })
	f := b.next()
	for f.Type() == events.WebhookAttempted {
		f = b.next()
	}
	if f.Type() != events.WebhookSucceeded || f.data.Attempt != 1 {
		t.Errorf("%s: %+v", f.Type(), f.data)
	}
	b.settled()
}
