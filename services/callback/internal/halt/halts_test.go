package halt

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/stored"
	"github.com/parley-dsr/parley/internal/topology"
)

// readAll is what the list has to be: all that the bucket holds, in order.
func readAll(ctx context.Context, bucket *topology.Bucket) ([]Halt, error) {
	halts := []Halt{}
	for entry, err := range bucket.Entries(ctx, ">") {
		if err != nil {
			return nil, err
		}
		var h Halt
		if err := stored.Decode(entry.Value, &h); err != nil {
			return nil, err
		}
		h.Trace = "" // the list does not give it
		halts = append(halts, h)
	}
	slices.SortFunc(halts, func(a, b Halt) int {
		return cmp.Or(a.Until.Compare(b.Until), cmp.Compare(a.CallID, b.CallID))
	})
	return halts, nil
}

// example is one of many halts; several end at the same time.
func example(n int) Halt {
	request := fmt.Sprintf("pri_6f0c0000-0000-4000-8000-%012d", n)
	since := time.Date(2026, 5, 1, 8, 0, n%7, 250_000_000, time.UTC)
	return Halt{
		CallID: record.WebhookCall(request, 1, record.Pre, webhookID, n%3).String(), RequestID: request,
		WebhookID: webhookID, WebhookKey: fmt.Sprint("key", n%5), WebhookName: "Prep",
		Since: since, Until: since.Add(time.Hour), Trace: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	}
}

func encoded(t testing.TB, h Halt) []byte {
	t.Helper()
	value, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func put(t testing.TB, bucket *topology.Bucket, h Halt, ttl time.Duration) {
	t.Helper()
	if _, err := bucket.Put(t.Context(), h.CallID, encoded(t, h), ttl); err != nil {
		t.Fatal(err)
	}
}

// replica gives a list over a connection.
func replica(t testing.TB, js jetstream.JetStream, change func(*List)) *List {
	t.Helper()
	b, err := topology.AwaitBucket(t.Context(), js, topology.BucketHalted, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := NewList(js, b, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if change != nil {
		change(l)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l
}

// check compares the pages of a list, of a size, with what the bucket holds.
func check(t *testing.T, l *List, bucket *topology.Bucket, size int) {
	t.Helper()
	want, err := readAll(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	got := []Halt{}
	for {
		page, total, err := l.Page(t.Context(), len(got), size)
		if err != nil {
			t.Fatal(err)
		}
		if total != len(want) || len(page) > size {
			t.Fatalf("a page of %d, %d in all, want %d", len(page), total, len(want))
		}
		if len(page) == 0 {
			break
		}
		got = append(got, page...)
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}
