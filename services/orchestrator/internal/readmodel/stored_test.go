package readmodel_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
)

// bring projects records as a feed does, and tells which could not be read.
func bring(t *testing.T, s *readmodel.Store, values ...string) (unreadable []string) {
	t.Helper()
	b := readmodel.Batch{
		Feed: readmodel.FeedRecords, Position: 1, SeenAt: time.Now(),
		Unreadable: func(id string, err error) { unreadable = append(unreadable, fmt.Sprint(id, ": ", err)) },
	}
	for _, value := range values {
		must(t, b.AddStored("pri_1", []byte(value)))
	}
	must(t, s.Project(t.Context(), b))
	return unreadable
}

func value(t *testing.T, rec *record.Record) string {
	t.Helper()
	data, err := rec.Encode()
	must(t, err)
	return string(data)
}

// broken is a record that can be passed over, and cannot be decoded.
func broken(revision int) string {
	return fmt.Sprintf(`{"id":"pri_1","revision":%d,"epoch":{}}`, revision)
}

func TestWhatIsShownIsNotEvenDecoded(t *testing.T) {
	t.Parallel()
	s := open(t)
	if got := bring(t, s, broken(1)); len(got) != 1 {
		t.Errorf("of a request that is not there: %q", got)
	}
	must(t, s.Project(t.Context(), readmodel.Batch{Records: []*record.Record{request("pri_1", 2, record.Paused)}}))
	for _, revision := range []int{1, 2} {
		if got := bring(t, s, broken(revision)); len(got) != 0 {
			t.Errorf("of revision %d: %q", revision, got)
		}
	}
	if got := bring(t, s, broken(3)); len(got) != 1 {
		t.Errorf("of a later revision: %q", got)
	}
	if got := status(t, s, "pri_1"); got != record.Paused {
		t.Errorf("in the end: %s", got)
	}
	position, _, err := s.FeedSeen(t.Context(), readmodel.FeedRecords)
	must(t, err)
	if position != 1 {
		t.Errorf("place of the feed: %d", position)
	}
}

// A rebuild sets revisions back and a backup lacks rows: in either case what is
// brought again is projected again, whoever had it before.
func TestWhatIsNotTrustedOrLostIsProjectedAgain(t *testing.T) {
	t.Parallel()
	s := open(t)
	settled := value(t, request("pri_1", 2, record.InProcessing))
	for name, spoil := range map[string]func() error{
		"rebuild": func() error { return s.Distrust(t.Context()) },
		"loss":    func() error { return s.Exec(t.Context(), "DELETE FROM requests") },
	} {
		must(t, s.Exec(t.Context(), "DELETE FROM requests"))
		must(t, s.Project(t.Context(), readmodel.Batch{Records: []*record.Record{request("pri_1", 2, record.Paused)}}))
		bring(t, s, settled)
		if got := status(t, s, "pri_1"); got != record.Paused {
			t.Errorf("%s: before, %s", name, got)
		}
		must(t, spoil())
		bring(t, s, settled)
		if got := status(t, s, "pri_1"); got != record.InProcessing {
			t.Errorf("%s: after, %s", name, got)
		}
		if n, err := s.Distrusted(t.Context()); n != 0 || err != nil {
			t.Errorf("%s: %d are not trusted, %v", name, n, err)
		}
	}
}

// Two records of one revision are told apart by their epoch, which is for the
// comparison at a start: it writes one of them under a later revision.
func TestOnlyTheRevisionSaysWhatIsShown(t *testing.T) {
	t.Parallel()
	s := open(t)
	must(t, s.Project(t.Context(), readmodel.Batch{Records: []*record.Record{request("pri_1", 2, record.Paused)}}))
	other := request("pri_1", 2, record.InProcessing)
	other.Epoch = "another"
	bring(t, s, value(t, other))
	if got := status(t, s, "pri_1"); got != record.Paused {
		t.Errorf("of another epoch: %s", got)
	}
	other.Revision = 3
	waited := make(chan error, 1)
	go func() { waited <- s.Await(context.WithoutCancel(t.Context()), "pri_1", 3) }()
	bring(t, s, value(t, other))
	if got := status(t, s, "pri_1"); got != record.InProcessing {
		t.Errorf("of a later revision: %s", got)
	}
	must(t, <-waited)
}

func TestWhatIsNoRecordIsLeftOut(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"", "{", "[]", "7", `{"id":"pri_1"}`, `{"revision":"1"}`, `{"revision":-1}`, `{"id":`} {
		var b readmodel.Batch
		if err := b.AddStored("pri_1", []byte(value)); err == nil {
			t.Errorf("%q is taken", value)
		}
	}
	var b readmodel.Batch
	must(t, b.AddStored("pri_1", []byte(`{"later":{"revision":[1]},"revision":7}`)))
}

// Two replicas share the consumer, and the records come twice, while one of them
// also writes inline; then everything is projected anew.
func TestReplicasPassOverWhatTheOtherHasProjected(t *testing.T) {
	t.Parallel()
	f := feed(t)
	records := readmodel.NewRecordsFeed(f.store, f.js, f.bucket, slog.New(slog.DiscardHandler),
		prometheus.NewGauge(prometheus.GaugeOpts{Name: "lag"}))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- records.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}()
	inline := readmodel.NewInline(f.store)
	const requests = 100
	for i := range requests {
		rec := request(fmt.Sprintf("pri_%d", i), 1, record.Pending)
		f.put(t, rec, 0)
		_ = inline.Apply(t.Context(), rec, nil) // late, on a busy machine: then a feed does it
		f.put(t, rec, 0)                        // settled
		f.put(t, request(rec.ID, 2, record.Complete), 0)
	}
	complete := func() bool {
		_, total, err := f.store.Search(t.Context(), readmodel.Filter{Statuses: []string{string(record.Complete)}}, readmodel.Order{}, 1, 1)
		must(t, err)
		left, place, err := records.Left(t.Context())
		return err == nil && left == 0 && place > 0 && total == requests
	}
	eventually(t, "all are shown and acknowledged", complete)
	must(t, f.store.Distrust(t.Context()))
	must(t, records.Restart(t.Context(), time.Time{}))
	eventually(t, "all are projected again", func() bool {
		n, err := f.store.Distrusted(t.Context())
		must(t, err)
		return n == 0 && complete()
	})
}
