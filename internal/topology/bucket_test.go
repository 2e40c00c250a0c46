package topology_test

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"pgregory.net/rapid"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/topology"
)

// bucket gives an empty bucket with times to live.
func bucket(t *testing.T) (*topology.Bucket, jetstream.JetStream) {
	t.Helper()
	_, js := testbed.NATS(t)
	if err := topology.EnsureCallback(t.Context(), js, topology.Options{}); err != nil {
		t.Fatal(err)
	}
	b, err := topology.AwaitBucket(t.Context(), js, topology.BucketHalted, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b, js
}

// markers gives a consumer of everything that stands in the bucket's stream.
func markers(t *testing.T, b *topology.Bucket, js jetstream.JetStream) jetstream.Consumer {
	t.Helper()
	c, err := js.CreateConsumer(t.Context(), b.StreamName(), jetstream.ConsumerConfig{
		Durable: topology.ConsumerCallbackExpiry, AckPolicy: jetstream.AckExplicitPolicy,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ttlHeader is the time to live that the key k was last written with.
func ttlHeader(t *testing.T, b *topology.Bucket) string {
	t.Helper()
	msg, err := b.Stream().GetLastMsgForSubject(t.Context(), b.Subject("k"))
	if err != nil {
		t.Fatal(err)
	}
	return msg.Header.Get(jetstream.MsgTTLHeader)
}

func TestWritesAndReads(t *testing.T) {
	t.Parallel()
	b, _ := bucket(t)
	ctx := t.Context()
	if _, err := b.Get(ctx, "k"); !errors.Is(err, topology.ErrNotFound) {
		t.Fatalf("get of nothing: %v", err)
	}
	first, err := b.Create(ctx, "k", []byte("1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Create(ctx, "k", []byte("x"), 0); !errors.Is(err, topology.ErrConflict) {
		t.Fatalf("create of what exists: %v", err)
	}
	second, err := b.Update(ctx, "k", []byte("2"), first, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Update(ctx, "k", []byte("x"), first, 0); !errors.Is(err, topology.ErrConflict) {
		t.Fatalf("update of an old revision: %v", err)
	}
	if _, err := b.Update(ctx, "none", []byte("x"), second, 0); !errors.Is(err, topology.ErrConflict) {
		t.Fatalf("update of nothing: %v", err)
	}
	e, err := b.Get(ctx, "k")
	if err != nil || string(e.Value) != "2" || e.Revision != second || e.Key != "k" || e.Created.IsZero() {
		t.Fatalf("entry = %+v, %v", e, err)
	}
	third, err := b.Put(ctx, "k", nil, 0)
	if err != nil || third <= second {
		t.Fatalf("put: %d, %v", third, err)
	}
	if e, err := b.Get(ctx, "k"); err != nil || len(e.Value) != 0 || e.Revision != third {
		t.Fatalf("empty value = %+v, %v", e, err)
	}
}

func TestAsyncUpdateTellsAConflict(t *testing.T) {
	t.Parallel()
	b, _ := bucket(t)
	revision, err := b.Create(t.Context(), "k", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	good, err := b.UpdateAsync("k", []byte("2"), revision, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	<-good.Ok()
	late, err := b.UpdateAsync("k", []byte("3"), revision, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-late.Err(); !topology.IsConflict(err) {
		t.Fatalf("err = %v", err)
	}
	if ttl := ttlHeader(t, b); ttl != "1h0m0s" {
		t.Errorf("TTL = %q", ttl)
	}
}

func TestEveryWriteDecidesTheTTL(t *testing.T) {
	t.Parallel()
	b, _ := bucket(t)
	ctx := t.Context()
	revision, err := b.Create(ctx, "k", nil, 1500*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if ttl := ttlHeader(t, b); ttl != "2s" {
		t.Errorf("after create: %q", ttl)
	}
	if revision, err = b.Update(ctx, "k", nil, revision, time.Millisecond+time.Hour); err != nil {
		t.Fatal(err)
	}
	if ttl := ttlHeader(t, b); ttl != "1h0m1s" {
		t.Errorf("after update: %q", ttl)
	}
	if _, err = b.Update(ctx, "k", nil, revision, 0); err != nil {
		t.Fatal(err)
	}
	if ttl := ttlHeader(t, b); ttl != "" {
		t.Errorf("after update without: %q", ttl)
	}
	if _, err = b.Put(ctx, "k", nil, time.Nanosecond); err != nil {
		t.Fatal(err)
	}
	if ttl := ttlHeader(t, b); ttl != "1s" {
		t.Errorf("after put: %q", ttl)
	}
}

func TestTTLIsRoundedUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ttl := time.Duration(rapid.Int64Range(1, int64(10_000*time.Hour)).Draw(t, "ttl"))
		got := topology.WholeSeconds(ttl)
		if got < ttl || got-ttl >= time.Second || got%time.Second != 0 {
			t.Fatalf("%s became %s", ttl, got)
		}
	})
}

func TestWhatHasExpiredIsNotWritten(t *testing.T) {
	t.Parallel()
	b, _ := bucket(t)
	ctx := t.Context()
	_, errCreate := b.Create(ctx, "k", nil, -1)
	_, errUpdate := b.Update(ctx, "k", nil, 0, -time.Hour)
	_, errAsync := b.UpdateAsync("k", nil, 0, -time.Hour)
	_, errPut := b.Put(ctx, "k", nil, -time.Millisecond)
	for _, err := range []error{errCreate, errUpdate, errAsync, errPut} {
		if !errors.Is(err, topology.ErrExpired) {
			t.Errorf("err = %v", err)
		}
	}
	if _, err := b.Get(ctx, "k"); !errors.Is(err, topology.ErrNotFound) {
		t.Errorf("get: %v", err)
	}
}

func TestExpiryReachesADurableConsumer(t *testing.T) {
	t.Parallel()
	b, js := bucket(t)
	ctx := t.Context()
	consumer := markers(t, b, js)
	if _, err := b.Create(ctx, "call_1", []byte("halt"), time.Second); err != nil {
		t.Fatal(err)
	}
	if msg := waitFor(t, consumer); topology.IsMarker(msg.Headers()) {
		t.Fatal("the value was taken for a marker")
	}
	msg := waitFor(t, consumer)
	if !topology.IsExpiry(msg.Headers()) || !topology.IsMarker(msg.Headers()) || topology.KeyOfSubject(msg.Subject()) != "call_1" {
		t.Fatalf("%s: %v", msg.Subject(), msg.Headers())
	}
	if _, err := b.Get(ctx, "call_1"); !errors.Is(err, topology.ErrNotFound) {
		t.Fatalf("get of what expired: %v", err)
	}
	if err := b.Remove(ctx, "call_1"); err != nil {
		t.Fatalf("remove of what expired: %v", err)
	}
	if _, err := b.Create(ctx, "call_1", []byte("again"), time.Hour); err != nil {
		t.Fatalf("create over an expiry marker: %v", err)
	}
	if e, err := b.Get(ctx, "call_1"); err != nil || string(e.Value) != "again" {
		t.Fatalf("entry = %+v, %v", e, err)
	}
}

func TestRemovalIsNoExpiry(t *testing.T) {
	t.Parallel()
	b, js := bucket(t)
	ctx := t.Context()
	if err := b.Remove(ctx, "never"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Create(ctx, "k", []byte("1"), 6*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := b.Remove(ctx, "k"); err != nil {
		t.Fatal(err)
	}
	if err := b.Remove(ctx, "k"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Get(ctx, "k"); !errors.Is(err, topology.ErrNotFound) {
		t.Fatalf("get of what was removed: %v", err)
	}
	if ttl := ttlHeader(t, b); ttl != topology.RemovedTTL.String() {
		t.Errorf("the trace lives for %q", ttl)
	}
	consumer := markers(t, b, js)
	if msg := waitFor(t, consumer); !topology.IsMarker(msg.Headers()) || topology.IsExpiry(msg.Headers()) {
		t.Fatalf("headers %v", msg.Headers())
	}
	// A later key's expiry is the next thing to come: the removed one has none.
	if _, err := b.Create(ctx, "other", nil, 6*time.Second); err != nil {
		t.Fatal(err)
	}
	waitFor(t, consumer)
	if msg := waitFor(t, consumer); topology.KeyOfSubject(msg.Subject()) != "other" || !topology.IsExpiry(msg.Headers()) {
		t.Fatalf("%s: %v", msg.Subject(), msg.Headers())
	}
	if _, err := b.Create(ctx, "k", []byte("2"), 0); err != nil {
		t.Fatalf("create over a removal: %v", err)
	}
}

// The trace of a removal goes by its own time to live. That must leave nothing
// that looks as if a key had expired.
func TestTheEndOfATraceIsNoExpiry(t *testing.T) {
	t.Parallel()
	b, js := bucket(t)
	ctx := t.Context()
	consumer := markers(t, b, js)
	trace := nats.NewMsg(b.Subject("removed"))
	trace.Header.Set(topology.HeaderOperation, "PURGE")
	trace.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	if _, err := js.PublishMsg(ctx, trace, jetstream.WithMsgTTL(time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Create(ctx, "later", nil, 3*time.Second); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		waitFor(t, consumer)
	}
	msg := waitFor(t, consumer)
	if topology.KeyOfSubject(msg.Subject()) != "later" {
		t.Fatalf("%s: %v", msg.Subject(), msg.Headers())
	}
}

func TestOneOfManyWins(t *testing.T) {
	t.Parallel()
	b, _ := bucket(t)
	won := make(chan int, 8)
	var writers sync.WaitGroup
	for i := range cap(won) {
		writers.Go(func() {
			_, err := b.Create(t.Context(), "k", []byte(strconv.Itoa(i)), 0)
			switch {
			case err == nil:
				won <- i
			case !errors.Is(err, topology.ErrConflict):
				t.Error(err)
			}
		})
	}
	writers.Wait()
	if len(won) != 1 {
		t.Fatalf("%d writers won", len(won))
	}
	if e, err := b.Get(t.Context(), "k"); err != nil || string(e.Value) != strconv.Itoa(<-won) {
		t.Fatalf("entry = %+v, %v", e, err)
	}
}

func TestKeysAndEntries(t *testing.T) {
	t.Parallel()
	b, _ := bucket(t)
	ctx := t.Context()
	for _, key := range []string{"policy.a", "policy.b", "client.c", "policy.gone"} {
		if _, err := b.Put(ctx, key, []byte("v-"+key), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Remove(ctx, "policy.gone"); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for key, err := range b.Keys(ctx, "policy.*") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	slices.Sort(keys)
	if !slices.Equal(keys, []string{"policy.a", "policy.b"}) {
		t.Errorf("keys = %v", keys)
	}
	count := 0
	for e, err := range b.Entries(ctx, ">") {
		if err != nil || string(e.Value) != "v-"+e.Key {
			t.Fatalf("entry %+v, %v", e, err)
		}
		count++
	}
	if count != 3 {
		t.Errorf("%d entries", count)
	}
	for _, err := range b.Keys(ctx, ">") {
		if err != nil {
			t.Fatal(err)
		}
		break // must not hang or leak
	}
	for key, err := range b.Keys(ctx, "none.>") {
		t.Errorf("%q, %v", key, err)
	}
}

func TestBadKeys(t *testing.T) {
	t.Parallel()
	b, _ := bucket(t)
	for _, key := range []string{"", ".", "a.", ".a", "a..b", "*", "a.>", "a b", "ä"} {
		_, errGet := b.Get(t.Context(), key)
		_, errPut := b.Put(t.Context(), key, nil, 0)
		if !errors.Is(errGet, topology.ErrKey) || !errors.Is(errPut, topology.ErrKey) {
			t.Errorf("%q: %v, %v", key, errGet, errPut)
		}
	}
}

func TestReadsGoOnWhenDirectGetIsTakenAway(t *testing.T) {
	t.Parallel()
	b, js := bucket(t)
	if _, err := b.Put(t.Context(), "k", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	config := b.Stream().CachedInfo().Config
	config.AllowDirect = false
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if e, err := b.Get(t.Context(), "k"); err != nil || string(e.Value) != "1" {
			t.Fatalf("entry = %+v, %v", e, err)
		}
	}
}
