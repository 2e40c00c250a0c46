package readmodel_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
)

func TestMain(m *testing.M) { testbed.Main(m) }

func open(t *testing.T) *readmodel.Store {
	t.Helper()
	store, err := readmodel.Open(t.Context(), testbed.Postgres(t), unseal)
	must(t, err)
	t.Cleanup(store.Close)
	store.ReadWithin = time.Minute // on a busy machine
	must(t, store.Migrate(t.Context()))
	return store
}

// unseal opens what these tests did not seal.
func unseal(sealed string) *string {
	if sealed == "" {
		return nil
	}
	return &sealed
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func request(id string, revision uint64, status record.Status) *record.Record {
	return &record.Record{
		ID: id, Revision: revision, Epoch: "e", Status: status, CreatedAt: time.Now(), UpdatedAt: time.Now(),
		Submission: record.Submission{
			PolicyKey: "p", RequestedAt: time.Now(), IdentityHashes: map[string][]string{"email": {"h1", "h2"}},
		},
	}
}

func status(t *testing.T, s *readmodel.Store, id string) record.Status {
	t.Helper()
	rec, err := s.Record(t.Context(), id)
	must(t, err)
	return rec.Status
}

func TestAnOlderRevisionNeverOverwritesANewer(t *testing.T) {
	t.Parallel()
	s := open(t)
	project := func(records ...*record.Record) {
		t.Helper()
		must(t, s.Project(t.Context(), readmodel.Batch{Records: records}))
	}
	project(request("pri_1", 2, record.Paused), request("pri_1", 3, record.InProcessing), request("pri_1", 1, record.Pending))
	if got := status(t, s, "pri_1"); got != record.InProcessing {
		t.Errorf("of one batch: %s", got)
	}
	project(request("pri_1", 2, record.Paused))
	if got := status(t, s, "pri_1"); got != record.InProcessing {
		t.Errorf("after a late one: %s", got)
	}
	project(request("pri_1", 4, record.Complete))
	if got := status(t, s, "pri_1"); got != record.Complete {
		t.Errorf("after a newer one: %s", got)
	}
	must(t, s.Distrust(t.Context()))
	project(request("pri_1", 3, record.InProcessing))
	if got := status(t, s, "pri_1"); got != record.InProcessing {
		t.Errorf("while rebuilding: %s", got)
	}
}

func TestBeforeTheSchemaIsThereNothingCanBeRead(t *testing.T) {
	t.Parallel()
	s, err := readmodel.Open(t.Context(), testbed.Postgres(t), unseal)
	must(t, err)
	defer s.Close()
	if _, err := s.Record(t.Context(), "pri_1"); !errors.Is(err, readmodel.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	if err := s.Project(t.Context(), readmodel.Batch{}); !errors.Is(err, readmodel.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

func TestMigrationsOfReplicasDoNotCollide(t *testing.T) {
	t.Parallel()
	url := testbed.Postgres(t)
	failures := make(chan error)
	for range 3 {
		go func() {
			s, err := readmodel.Open(context.WithoutCancel(t.Context()), url, unseal)
			if err == nil {
				defer s.Close()
				err = s.Migrate(context.WithoutCancel(t.Context()))
			}
			failures <- err
		}()
	}
	for range 3 {
		must(t, <-failures)
	}
}

func TestAbsentDatabaseCostsATransitionLittle(t *testing.T) {
	t.Parallel()
	s, err := readmodel.Open(t.Context(), testbed.Postgres(t), unseal)
	must(t, err)
	must(t, s.Migrate(t.Context()))
	s.Close() // every use fails from now on
	inline := readmodel.NewInline(s)
	for range 5 {
		if err := inline.Apply(t.Context(), request("pri_1", 1, record.Pending), nil); !errors.Is(err, readmodel.ErrUnavailable) {
			t.Fatalf("%v", err)
		}
	}
}

func TestCallersShareTransactions(t *testing.T) {
	t.Parallel()
	s := open(t)
	inline := readmodel.NewInline(s)
	const callers = 100
	failures := make(chan error)
	for i := range callers {
		go func() {
			failures <- inline.Apply(context.WithoutCancel(t.Context()), request(fmt.Sprintf("pri_%d", i), 1, record.Pending), nil)
		}()
	}
	late := 0
	for range callers {
		switch err := <-failures; {
		case errors.Is(err, readmodel.ErrUnavailable):
			late++ // the machine was busy: the durable feed would do it
		default:
			must(t, err)
		}
	}
	_, total, err := s.Search(t.Context(), readmodel.Filter{}, readmodel.Order{}, 1, 50)
	must(t, err)
	if total < callers-late {
		t.Errorf("%d requests, %d were late", total, late)
	}
}

// fed is a store with its feeds running over a NATS of its own.
type fed struct {
	store  *readmodel.Store
	js     jetstream.JetStream
	bucket *topology.Bucket
	events *readmodel.Feed
}

func feed(t *testing.T) fed {
	t.Helper()
	_, js := testbed.NATS(t)
	must(t, topology.EnsureOrchestrator(t.Context(), js, topology.Options{}))
	bucket, err := topology.AwaitBucket(t.Context(), js, topology.BucketRequests, nil)
	must(t, err)
	f := fed{store: open(t), js: js, bucket: bucket}
	logger := slog.New(slog.DiscardHandler)
	lag := func() prometheus.Gauge { return prometheus.NewGauge(prometheus.GaugeOpts{Name: "lag"}) }
	f.events = readmodel.NewEventsFeed(f.store, js, logger, lag())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- f.events.Run(ctx) }()
	go func() { ended <- readmodel.NewRecordsFeed(f.store, js, bucket, logger, lag()).Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("a feed ended with %v", err)
			}
		}
	})
	return f
}

func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(time.Minute)
	for !so() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not in time: %s", what)
		}
	}
}

func (f fed) put(t *testing.T, rec *record.Record, ttl time.Duration) {
	t.Helper()
	value, err := json.Marshal(rec)
	must(t, err)
	_, err = f.bucket.Put(t.Context(), rec.ID, value, ttl)
	must(t, err)
}

func TestRecordsAreFed(t *testing.T) {
	t.Parallel()
	f := feed(t)
	bad := request("pri_bad", 1, record.Pending)
	bad.Submission.SealedExternalID = "a\x00b" // what the edge would have refused
	f.put(t, bad, 0)
	for i := range 600 {
		f.put(t, request(fmt.Sprintf("pri_%d", i), 1, record.Pending), 0)
	}
	f.put(t, request("pri_gone", 1, record.Complete), time.Second)
	eventually(t, "all but the bad one are projected, and the expired one is gone", func() bool {
		_, total, err := f.store.Search(t.Context(), readmodel.Filter{}, readmodel.Order{}, 1, 50)
		must(t, err)
		_, err = f.store.Record(t.Context(), "pri_gone")
		return total == 600 && errors.Is(err, readmodel.ErrNotFound)
	})
}

func TestFactsAreFedOnce(t *testing.T) {
	t.Parallel()
	f := feed(t)
	publish := func(eventType, id string, data any) {
		t.Helper()
		e, err := events.New(events.SourceDispatcher, eventType, id, "pri_1", time.Now(), data)
		must(t, err)
		must(t, events.Publish(t.Context(), f.js, e))
	}
	hook := events.Webhook{ID: "pol_1", Key: "k", Name: "n", Direction: "one_way"}
	publish(events.WebhookAttempted, "a1", events.WebhookData{
		CallID: "c", Phase: "pre", Webhook: hook, Attempt: 1, Outcome: events.OutcomeTimeout, Error: "no answer in 30s",
	})
	publish(events.WebhookUndelivered, "a2", events.WebhookData{
		CallID: "c", Phase: "pre", Webhook: hook, Attempt: 2, Outcome: events.OutcomeStatus, HTTPStatus: 503,
	})
	publish(events.RequestCompleted, "r1", events.RequestData{Sequence: 3, Status: "complete"})
	seen := func() int {
		log, err := f.store.Log(t.Context(), []string{"pri_1"})
		must(t, err)
		return len(log["pri_1"])
	}
	eventually(t, "three entries", func() bool { return seen() == 3 })
	must(t, f.events.Restart(t.Context(), time.Time{}))
	publish(events.RequestResumed, "r2", events.RequestData{Sequence: 4})
	eventually(t, "the fourth, after a replay of the three", func() bool { return seen() == 4 })
	calls, err := f.store.CallFacts(t.Context(), "pri_1")
	must(t, err)
	if len(calls) != 2 || calls[0].Verb != "attempted" || calls[1].HttpStatus == nil || *calls[1].HttpStatus != 503 {
		t.Errorf("calls: %+v", calls)
	}
	entries, total, err := f.store.ExecutionLog(t.Context(), "pri_1", 1, 50)
	must(t, err)
	if total != 2 || *entries[0].Message != "Webhook 'k' will be called again: no answer in 30s" || entries[1].Status != "error" {
		t.Errorf("execution log: %+v", entries)
	}
	for _, far := range [][2]int{{2, 50}, {85899346, 50}, {67108865, 64}, {math.MaxInt, 50}} {
		entries, total, err := f.store.ExecutionLog(t.Context(), "pri_1", far[0], far[1])
		must(t, err)
		if total != 2 || len(entries) != 0 {
			t.Errorf("page %d of the execution log: %+v of %d", far[0], entries, total)
		}
	}
	position, seenAt, err := f.store.FeedSeen(t.Context(), readmodel.FeedEvents)
	must(t, err)
	if position == 0 || seenAt.IsZero() {
		t.Errorf("the feed's place: %d %v", position, seenAt)
	}
}
