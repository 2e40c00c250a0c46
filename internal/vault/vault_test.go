package vault_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/vault"
)

const request = "pri_1"

type bundle struct {
	vault  *vault.Vault
	bucket *topology.Bucket
	js     jetstream.JetStream
	ring   *keyring.Ring
	key    string
}

// join is a ring of the given keys.
func join(t *testing.T, keys ...string) *keyring.Ring {
	t.Helper()
	ring, err := keyring.Parse(strings.Join(keys, ","))
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func setup(t *testing.T) bundle {
	t.Helper()
	_, js := testbed.NATS(t)
	if err := topology.EnsureOrchestrator(t.Context(), js, topology.Options{Replicas: 1, EventRetention: time.Hour}); err != nil {
		t.Fatal(err)
	}
	bucket, err := topology.AwaitBucket(t.Context(), js, topology.BucketIdentities, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	key, err := keyring.Generate()
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Parse(key)
	if err != nil {
		t.Fatal(err)
	}
	return bundle{vault: vault.Open(bucket, ring), bucket: bucket, js: js, ring: ring, key: key}
}

// stage stores a derived identity under a new key.
func (b bundle) stage(ctx context.Context, requestID string, derived identity.Identity, ttl time.Duration) (key string, err error) {
	key = vault.StageKey(requestID)
	return key, b.vault.Stage(ctx, key, derived, ttl)
}

func known(t *testing.T, raw string) identity.Identity {
	t.Helper()
	read, problems := identity.Parse(json.RawMessage(raw))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return read
}

func person(t *testing.T) vault.Person {
	return vault.Person{
		Identity:           known(t, `{"email":"a@example.com","card":{"label":"Card","value":[1,"x"]}}`),
		CustomFields:       map[string]identity.Labeled{"age": {Label: "Age", Value: int64(7)}},
		ConsentPreferences: json.RawMessage(`[{"data_use":"marketing"}]`),
		EncryptionKey:      "sixteen bytes ok",
	}
}

func TestPutAndRead(t *testing.T) {
	t.Parallel()
	b, ctx, want := setup(t), t.Context(), person(t)
	if _, err := b.vault.Provided(ctx, request); !errors.Is(err, vault.ErrExpired) {
		t.Fatalf("before: %v", err)
	}
	if err := b.vault.Put(ctx, request, want, time.Hour); err != nil {
		t.Fatal(err)
	}
	got, err := b.vault.Provided(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	entry, err := b.bucket.Get(ctx, request)
	if err != nil || strings.Contains(string(entry.Value), "example") || strings.Count(string(entry.Value), ".") != 4 {
		t.Errorf("stored %q, %v", entry.Value, err)
	}
}

func TestStagedIdentitiesLieOver(t *testing.T) {
	t.Parallel()
	b, ctx := setup(t), t.Context()
	if err := b.vault.Put(ctx, request, person(t), time.Hour); err != nil {
		t.Fatal(err)
	}
	stage := func(raw string) string {
		key, err := b.stage(ctx, request, known(t, raw), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	first := stage(`{"phone_number":"+15558675309","email":"b@example.com"}`)
	second := stage(`{"email":"c@example.com"}`)
	stage(`{"email":"refused@example.com"}`)

	got, err := b.vault.Read(ctx, request, []string{first, second})
	if err != nil {
		t.Fatal(err)
	}
	want := person(t)
	want.Identity = known(t, `{"phone_number":"+15558675309","email":"c@example.com","card":{"label":"Card","value":[1,"x"]}}`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got, err = b.vault.Read(ctx, request, []string{second, first})
	if err != nil || *got.Identity.Email != "b@example.com" {
		t.Errorf("in the other order: %v", err)
	}
	got, err = b.vault.Provided(ctx, request)
	if diff := cmp.Diff(person(t), got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// TestStagedTwice: who does not know whether it was stored stores it once more,
// and it is there once.
func TestStagedTwice(t *testing.T) {
	t.Parallel()
	b, ctx := setup(t), t.Context()
	if err := b.vault.Put(ctx, request, person(t), time.Hour); err != nil {
		t.Fatal(err)
	}
	key := vault.StageKey(request)
	for range 2 {
		if err := b.vault.Stage(ctx, key, known(t, `{"email":"b@example.com"}`), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	got, err := b.vault.Read(ctx, request, []string{key})
	if err != nil || *got.Identity.Email != "b@example.com" {
		t.Errorf("%+v, %v", got.Identity, err)
	}
}

func TestMissingIsExpired(t *testing.T) {
	t.Parallel()
	b, ctx := setup(t), t.Context()
	staged, err := b.stage(ctx, request, known(t, `{"external_id":"x"}`), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.vault.Read(ctx, request, []string{staged}); !errors.Is(err, vault.ErrExpired) {
		t.Errorf("without what was provided: %v", err)
	}
	if err := b.vault.Put(ctx, request, person(t), time.Hour); err != nil {
		t.Fatal(err)
	}
	gone := request + ".GONE"
	if _, err := b.vault.Read(ctx, request, []string{staged, gone}); !errors.Is(err, vault.ErrExpired) {
		t.Errorf("without one that is listed: %v", err)
	}
	if err := b.vault.Touch(ctx, request, []string{staged, gone}, time.Hour, vault.Sealed{}); !errors.Is(err, vault.ErrExpired) {
		t.Errorf("touch without one that is listed: %v", err)
	}
	if err := b.vault.Put(ctx, request, person(t), -time.Second); !errors.Is(err, vault.ErrExpired) {
		t.Errorf("put with a time that has passed: %v", err)
	}
}

// The server takes away what has expired; touching postpones that.
func TestExpiryAndTouch(t *testing.T) {
	t.Parallel()
	b, ctx := setup(t), t.Context()
	const soon = time.Minute // but not before a busy machine has touched it
	for id, ttl := range map[string]time.Duration{request: soon, "pri_2": time.Second} {
		if err := b.vault.Put(ctx, id, person(t), ttl); err != nil {
			t.Fatal(err)
		}
	}
	staged, err := b.stage(ctx, request, known(t, `{"external_id":"x"}`), soon)
	if err != nil {
		t.Fatal(err)
	}
	before, err := b.bucket.Get(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.vault.Touch(ctx, request, []string{staged}, time.Hour, vault.Sealed{}); err != nil {
		t.Fatal(err)
	}
	after, err := b.bucket.Get(ctx, request)
	if err != nil || string(after.Value) != string(before.Value) {
		t.Errorf("touching changed the value: %v", err)
	}
	for _, key := range []string{request, staged} {
		if e, err := b.bucket.Get(ctx, key); err != nil || time.Until(e.Expires) < 50*time.Minute {
			t.Errorf("%s expires at %v, %v", key, e.Expires, err)
		}
	}

	awaitExpiry(t, b, "pri_2")
	if _, err := b.vault.Provided(ctx, "pri_2"); !errors.Is(err, vault.ErrExpired) {
		t.Errorf("after its time: %v", err)
	}
	if err := b.vault.Touch(ctx, "pri_2", nil, time.Hour, vault.Sealed{}); !errors.Is(err, vault.ErrExpired) {
		t.Errorf("touch after its time: %v", err)
	}
	if _, err := b.vault.Read(ctx, request, []string{staged}); err != nil {
		t.Errorf("what was touched: %v", err)
	}
}

// awaitExpiry waits for the marker that the server puts where a key expired.
func awaitExpiry(t *testing.T, b bundle, key string) {
	t.Helper()
	consumer, err := b.js.OrderedConsumer(t.Context(), b.bucket.StreamName(), jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{b.bucket.Subject(key)},
	})
	if err != nil {
		t.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Stop()
	for {
		msg, err := messages.Next(jetstream.NextMaxWait(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		if topology.IsExpiry(msg.Headers()) {
			return
		}
	}
}

func TestTouchWhileAnotherPuts(t *testing.T) {
	t.Parallel()
	b, ctx := setup(t), t.Context()
	if err := b.vault.Put(ctx, request, person(t), time.Hour); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- putAgain(ctx, b, person(t)) }()
	for range 20 {
		if err := b.vault.Touch(ctx, request, nil, time.Hour, vault.Sealed{}); err != nil {
			t.Error(err)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got, err := b.vault.Provided(ctx, request); err != nil || got.EncryptionKey != "the last one put" {
		t.Errorf("a touch undid a put: %v", err)
	}
}

// Who touches what it has fetched does not write over what was put since.
func TestTouchOfWhatWasFetched(t *testing.T) {
	t.Parallel()
	b, ctx := setup(t), t.Context()
	if err := b.vault.Put(ctx, request, person(t), time.Minute); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"sixteen bytes ok", "another key 1234"} {
		fetched, err := b.vault.Fetch(ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		put := person(t)
		put.EncryptionKey = key
		if err := b.vault.Put(ctx, request, put, time.Minute); err != nil {
			t.Fatal(err)
		}
		if err := b.vault.Touch(ctx, request, nil, time.Hour, fetched); err != nil {
			t.Fatal(err)
		}
		e, err := b.bucket.Get(ctx, request)
		if got, openErr := b.vault.Provided(ctx, request); err != nil || openErr != nil || got.EncryptionKey != key || time.Until(e.Expires) < 50*time.Minute {
			t.Errorf("%q expires at %v, %v, %v", got.EncryptionKey, e.Expires, err, openErr)
		}
	}
	fetched, err := b.vault.Fetch(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.vault.Remove(ctx, request, nil); err != nil {
		t.Fatal(err)
	}
	if err := b.vault.Touch(ctx, request, nil, time.Hour, fetched); !errors.Is(err, vault.ErrExpired) {
		t.Errorf("touch of what was removed: %v", err)
	}
}

func putAgain(ctx context.Context, b bundle, p vault.Person) error {
	for i := range 20 {
		if i == 19 {
			p.EncryptionKey = "the last one put"
		}
		if err := b.vault.Put(ctx, request, p, time.Hour); err != nil {
			return err
		}
	}
	return nil
}

func TestRemove(t *testing.T) {
	t.Parallel()
	b, ctx := setup(t), t.Context()
	if err := b.vault.Put(ctx, request, person(t), time.Hour); err != nil {
		t.Fatal(err)
	}
	staged, err := b.stage(ctx, request, known(t, `{"external_id":"x"}`), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.vault.Remove(ctx, request, []string{staged}); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{request, staged} {
		if _, err := b.bucket.Get(ctx, key); !errors.Is(err, topology.ErrNotFound) {
			t.Errorf("%s is still there: %v", key, err)
		}
	}
}

func TestValuesCannotBeExchanged(t *testing.T) {
	t.Parallel()
	b, ctx := setup(t), t.Context()
	for _, id := range []string{request, "pri_2"} {
		if err := b.vault.Put(ctx, id, person(t), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	foreign, err := b.stage(ctx, "pri_2", known(t, `{"external_id":"x"}`), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{foreign, "pri_2", request + "..", request + ".a.b"} {
		if _, err := b.vault.Read(ctx, request, []string{key}); !errors.Is(err, vault.ErrForeign) {
			t.Errorf("read with %s: %v", key, err)
		}
		if err := b.vault.Touch(ctx, request, []string{key}, time.Hour, vault.Sealed{}); !errors.Is(err, vault.ErrForeign) {
			t.Errorf("touch with %s: %v", key, err)
		}
		if err := b.vault.Remove(ctx, "pri_3", []string{key}); !errors.Is(err, vault.ErrForeign) {
			t.Errorf("remove with %s: %v", key, err)
		}
	}
	entry, err := b.bucket.Get(ctx, "pri_2")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.bucket.Put(ctx, request, entry.Value, time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := b.vault.Provided(ctx, request); !errors.Is(err, vault.ErrForeign) {
		t.Errorf("a value of another request: %v", err)
	}
	if _, err := b.bucket.Put(ctx, request, []byte("garbage"), time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := b.vault.Provided(ctx, request); !errors.Is(err, keyring.ErrSealed) {
		t.Errorf("garbage: %v", err)
	}
}
