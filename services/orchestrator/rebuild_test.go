package orchestrator_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/services/orchestrator"
)

// The database is emptied and falsified, and made whole again from NATS while
// requests go on.
func TestTheReadModelIsRebuilt(t *testing.T) {
	t.Parallel()
	url := testbed.Postgres(t)
	s := setup(t, func(o *orchestrator.Settings) { o.DatabaseURL = url })
	s.ready()
	s.policy(nil, nil)
	first := s.submitMany(50)
	s.awaitTotal("complete", 50)
	db, err := pgx.Connect(t.Context(), url)
	must(t, err)
	defer func() { _ = db.Close(t.Context()) }()
	for _, falsify := range []string{
		"TRUNCATE log_entries, call_facts",
		"UPDATE requests SET id = 'pri_of-nobody' WHERE id = (SELECT min(id) FROM requests)",
		"DELETE FROM requests WHERE id IN (SELECT id FROM requests WHERE id <> 'pri_of-nobody' ORDER BY id LIMIT 20)",
		"UPDATE requests SET status = 'error', revision = revision + 1000 WHERE id <> 'pri_of-nobody'",
	} {
		_, err := db.Exec(t.Context(), falsify)
		must(t, err)
	}
	told := []orchestrator.Rebuilt{}
	ended := make(chan error, 1)
	var report orchestrator.Rebuilt
	go func() {
		var err error
		report, err = orchestrator.RebuildReadModel(t.Context(), s.settings, process.Deps{
			NATS: s.nc, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Registry: prometheus.NewRegistry(), Clock: time.Now,
		}, func(r orchestrator.Rebuilt) { told = append(told, r) })
		ended <- err
	}()
	running := true
	more := 0
	for running {
		s.submitMany(10)
		more += 10
		select {
		case err := <-ended:
			must(t, err)
			running = false
		default:
		}
	}
	s.awaitTotal("complete", 50+more+1) // and the one of nobody
	s.awaitTotal("error", 0)
	if len(told) == 0 || told[len(told)-1].Records.Done != told[len(told)-1].Records.Total || report.Records.Total < 50 || report.Alone != 1 {
		t.Errorf("told %+v, in the end %+v", told, report)
	}
	for _, id := range first {
		results := s.get(id)["results"].(object)
		for _, group := range []string{"Request approved", "Request finished"} {
			if entries, _ := results[group].([]any); len(entries) != 1 {
				t.Errorf("%s: %s: %v", id, group, entries)
			}
		}
	}
}

// submitMany submits a list and gives the ids.
func (s *service) submitMany(n int) []string {
	s.t.Helper()
	items := make([]object, n)
	for i := range items {
		items[i] = object{"policy_key": "access", "identity": object{"email": "a@example.com"}}
	}
	var created bulk
	s.expect(200, "POST", "/api/v1/privacy-request", items, &created)
	ids := []string{}
	for _, r := range created.Succeeded {
		ids = append(ids, r["id"].(string))
	}
	if len(ids) != n {
		s.t.Fatalf("%d of %d created: %v", len(ids), n, created.Failed)
	}
	return ids
}

// awaitTotal waits until that many requests are listed in a status.
func (s *service) awaitTotal(status string, want int) {
	s.t.Helper()
	var page struct{ Total int }
	s.eventually(status, func() bool {
		s.expect(200, "POST", "/api/v1/privacy-request/search?size=1", object{"status": status}, &page)
		return page.Total == want
	})
}
