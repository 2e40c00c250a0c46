package reconcile_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
	"github.com/parley-dsr/parley/services/orchestrator/internal/reconcile"
)

func TestMain(m *testing.M) { testbed.Main(m) }

// places are the two that remember, with what was done to the bucket.
type places struct {
	js     jetstream.JetStream
	config reconcile.Config
	mu     sync.Mutex
	// published are the revisions whose outbox was published, by request.
	published map[string]uint64
	// failing is returned by Restore after it has committed.
	failing error
	// unwritable is a request that Restore refuses.
	unwritable string
	// database is where the read model is.
	database string
}

func setup(t *testing.T) *places {
	t.Helper()
	_, js := testbed.NATS(t)
	must(t, topology.EnsureOrchestrator(t.Context(), js, topology.Options{}))
	bucket, err := topology.AwaitBucket(t.Context(), js, topology.BucketRequests, nil)
	must(t, err)
	p := &places{js: js, published: map[string]uint64{}}
	p.config = reconcile.Config{
		Requests: bucket, Restore: p.restore, Republish: p.republish,
		Life: func(rec *record.Record) time.Duration {
			if rec.Status == record.Failed {
				return 2 * time.Hour // it may be tried again
			}
			return time.Hour
		},
		MaxAge: time.Hour, Epoch: "new", Clock: time.Now, Logger: slog.New(slog.DiscardHandler),
	}
	p.emptyDatabase(t)
	return p
}

// emptyDatabase puts another database, with nothing in it, in the place of the
// one that there is.
func (p *places) emptyDatabase(t *testing.T) {
	t.Helper()
	p.database = testbed.Postgres(t)
	store, err := readmodel.Open(t.Context(), p.database, func(string) *string { return nil })
	must(t, err)
	t.Cleanup(store.Close)
	must(t, store.Migrate(t.Context()))
	lag := func() prometheus.Gauge { return prometheus.NewGauge(prometheus.GaugeOpts{Name: "lag"}) }
	p.config.Store = store
	p.config.Records = readmodel.NewRecordsFeed(store, p.js, p.config.Requests, p.config.Logger, lag())
	p.config.Events = readmodel.NewEventsFeed(store, p.js, p.config.Logger, lag())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (p *places) restore(ctx context.Context, rec *record.Record, revision uint64) error {
	if rec.ID == p.unwritable {
		return errors.New("it is too large")
	}
	value, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	if revision == 0 {
		_, err = p.config.Requests.Create(ctx, rec.ID, value, 0)
	} else {
		_, err = p.config.Requests.Update(ctx, rec.ID, value, revision, 0)
	}
	if err != nil || p.failing != nil {
		return errors.Join(err, p.failing)
	}
	p.note(rec)
	return nil
}

func (p *places) republish(_ context.Context, rec *record.Record, _ uint64) error {
	p.note(rec)
	return nil
}

func (p *places) note(rec *record.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.published[rec.ID] = rec.Revision
}

func (p *places) inBucket(t *testing.T, rec *record.Record) {
	t.Helper()
	value, err := json.Marshal(rec)
	must(t, err)
	_, err = p.config.Requests.Put(t.Context(), rec.ID, value, 0)
	must(t, err)
}

func (p *places) inDatabase(t *testing.T, rec *record.Record) {
	t.Helper()
	must(t, p.config.Store.Project(t.Context(), readmodel.Batch{Records: []*record.Record{rec}}))
}

// damage makes what the database remembers of a request unreadable.
func (p *places) damage(t *testing.T, id string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.database)
	must(t, err)
	defer func() { must(t, conn.Close(context.WithoutCancel(t.Context()))) }()
	_, err = conn.Exec(t.Context(), `UPDATE requests SET record = '{"revision": "two"}' WHERE id = $1`, id)
	must(t, err)
}

// revisions are those of a request in the bucket and in the database.
func (p *places) revisions(t *testing.T, id string) [2]uint64 {
	t.Helper()
	entry, err := p.config.Requests.Get(t.Context(), id)
	must(t, err)
	var present record.Record
	must(t, json.Unmarshal(entry.Value, &present))
	stored, err := p.config.Store.Record(t.Context(), id)
	must(t, err)
	return [2]uint64{present.Revision, stored.Revision}
}

func at(id string, revision uint64, outbox ...record.Recipe) *record.Record {
	now := time.Now().UTC()
	return &record.Record{
		ID: id, Revision: revision, Epoch: "old", Status: record.Pending, Run: record.Run{Number: 1},
		CreatedAt: now, UpdatedAt: now, Outbox: outbox,
	}
}

func TestEachPlaceMakesTheOtherGood(t *testing.T) {
	t.Parallel()
	p := setup(t)
	same := at("pri_same", 3)
	p.inBucket(t, same)
	p.inDatabase(t, same)
	p.inBucket(t, at("pri_back", 3))
	p.inDatabase(t, at("pri_back", 5))
	p.inDatabase(t, at("pri_lost", 2))
	p.inBucket(t, at("pri_ahead", 7))
	p.inDatabase(t, at("pri_ahead", 6))

	report, err := reconcile.Run(t.Context(), p.config)
	must(t, err)
	if diff := cmp.Diff(reconcile.Report{Compared: 4, Restored: 2, Projected: 1}, report); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	want := map[string][2]uint64{"pri_same": {3, 3}, "pri_back": {6, 6}, "pri_lost": {3, 3}, "pri_ahead": {7, 7}}
	got := map[string][2]uint64{}
	for id := range want {
		got[id] = p.revisions(t, id)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("revisions in bucket and database (-want +got):\n%s", diff)
	}
	report, err = reconcile.Run(t.Context(), p.config)
	must(t, err)
	if diff := cmp.Diff(reconcile.Report{Compared: 4}, report); diff != "" {
		t.Errorf("the second report (-want +got):\n%s", diff)
	}
}

// Who put a record back and died before its outbox was published has left
// nothing behind that would publish it; the next comparison does.
func TestWhatWasPutBackIsPublishedAfterACrash(t *testing.T) {
	t.Parallel()
	p := setup(t)
	call := record.Recipe{ID: "pri_1.4.old.0", Kind: record.RecipeCall, CallID: "pri_1_1_pre_pol_1_1"}
	p.inBucket(t, at("pri_1", 2))
	p.inDatabase(t, at("pri_1", 4, call))
	p.failing = nats.ErrTimeout
	if _, err := reconcile.Run(t.Context(), p.config); !errors.Is(err, p.failing) {
		t.Fatalf("ended with %v", err)
	}
	p.failing = nil
	report, err := reconcile.Run(t.Context(), p.config)
	must(t, err)
	if report.Restored != 0 || p.published["pri_1"] != 5 || p.revisions(t, "pri_1") != [2]uint64{5, 5} {
		t.Errorf("%+v, published %v, revisions %v", report, p.published, p.revisions(t, "pri_1"))
	}
}

// One record that cannot be read, in either place, or that cannot be written,
// keeps no other from coming back.
func TestABadRecordIsPassedOver(t *testing.T) {
	t.Parallel()
	p := setup(t)
	for _, id := range []string{"pri_a", "pri_b", "pri_unwritable", "pri_z"} {
		p.inDatabase(t, at(id, 2))
	}
	_, err := p.config.Requests.Put(t.Context(), "pri_a", []byte("{"), 0)
	must(t, err)
	p.damage(t, "pri_b")
	p.unwritable = "pri_unwritable"
	report, err := reconcile.Run(t.Context(), p.config)
	must(t, err)
	if diff := cmp.Diff(reconcile.Report{Compared: 4, Restored: 1, Failed: 3}, report); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if p.revisions(t, "pri_z") != [2]uint64{3, 3} {
		t.Errorf("revisions %v", p.revisions(t, "pri_z"))
	}
}

// A bucket that went back and moved on has given revisions a second time. What
// was decided last counts, and an end counts always.
func TestRecordsOfOneRevisionAreTold(t *testing.T) {
	t.Parallel()
	p := setup(t)
	pairs := map[string][2]*record.Record{}
	for _, id := range []string{"pri_later", "pri_earlier", "pri_ended"} {
		bucket, database := at(id, 4), at(id, 4)
		bucket.Epoch = "other"
		bucket.UpdatedAt = database.UpdatedAt.Add(time.Second)
		pairs[id] = [2]*record.Record{bucket, database}
	}
	pairs["pri_earlier"][0].UpdatedAt = pairs["pri_earlier"][1].UpdatedAt.Add(-time.Second)
	pairs["pri_ended"][0].Revision = 6
	pairs["pri_ended"][1].Status = record.Canceled
	for _, pair := range pairs {
		p.inBucket(t, pair[0])
		p.inDatabase(t, pair[1])
	}
	report, err := reconcile.Run(t.Context(), p.config)
	must(t, err)
	if diff := cmp.Diff(reconcile.Report{Compared: 3, Restored: 2, Projected: 1}, report); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	want := map[string][2]uint64{"pri_later": {5, 5}, "pri_earlier": {5, 5}, "pri_ended": {7, 7}}
	got := map[string][2]uint64{}
	for id := range want {
		got[id] = p.revisions(t, id)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("revisions in bucket and database (-want +got):\n%s", diff)
	}
	report, err = reconcile.Run(t.Context(), p.config)
	must(t, err)
	if diff := cmp.Diff(reconcile.Report{Compared: 3}, report); diff != "" {
		t.Errorf("the second report (-want +got):\n%s", diff)
	}
}

// A record that the bucket has lost before its time is put back; one whose time
// is over leaves the database, too.
func TestWhatIsMissingIsPutBackUntilItsTimeIsOver(t *testing.T) {
	t.Parallel()
	p := setup(t)
	for id, status := range map[string]record.Status{"pri_failed": record.Failed, "pri_done": record.Complete} {
		rec := at(id, 2)
		rec.Status, rec.UpdatedAt = status, time.Now().Add(-90*time.Minute)
		p.inDatabase(t, rec)
	}
	report, err := reconcile.Run(t.Context(), p.config)
	must(t, err)
	if report.Restored != 1 || p.revisions(t, "pri_failed") != [2]uint64{3, 3} {
		t.Errorf("%+v", report)
	}
	if _, err := p.config.Store.Record(t.Context(), "pri_done"); !errors.Is(err, readmodel.ErrNotFound) {
		t.Errorf("the one whose time is over: %v", err)
	}
}

// One feed may have projected what the other has not come to: a database that
// is put back at that moment has lost it all the same.
func TestALostDatabaseIsNoticedByEitherFeed(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.inBucket(t, at("pri_1", 3))
	p.feedRecords(t, func() bool {
		acknowledged, err := p.config.Records.Acknowledged(t.Context())
		must(t, err)
		return acknowledged > 0
	})
	report, err := reconcile.Run(t.Context(), p.config)
	must(t, err)
	if report.Replayed {
		t.Error("the feeds began again although nothing was lost")
	}
	p.emptyDatabase(t)
	report, err = reconcile.Run(t.Context(), p.config)
	must(t, err)
	if !report.Replayed {
		t.Error("nobody noticed that the database was lost")
	}
	p.feedRecords(t, func() bool {
		_, err := p.config.Store.Record(t.Context(), "pri_1")
		return err == nil
	})
}

// feedRecords runs the feed of the records until it has come far enough.
func (p *places) feedRecords(t *testing.T, enough func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.config.Records.Run(ctx) }()
	defer func() {
		cancel()
		<-ended
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for !enough() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("the feed does not come far enough")
		}
	}
}
