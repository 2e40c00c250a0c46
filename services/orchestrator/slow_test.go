package orchestrator_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/services/orchestrator"
)

// TestASlowDatabaseStillShowsWhatWasAnswered keeps the database from being
// written for longer than the transition loop waits for it: the caller is
// answered when the change is shown, not before.
func TestASlowDatabaseStillShowsWhatWasAnswered(t *testing.T) {
	t.Parallel()
	var url string
	s := setup(t, func(o *orchestrator.Settings) {
		url = testbed.Postgres(t)
		o.DatabaseURL = url
	})
	s.ready()
	s.policy(nil, nil)
	s.manual(true)
	for range 3 {
		release := lock(t, url)
		time.AfterFunc(500*time.Millisecond, release)
		id := s.submit()
		if shown := s.get(id); shown["status"] != "pending" {
			t.Errorf("%s is shown as %v", id, shown["status"])
		}
	}
}

// lock lets the requests be read and not be written, until it is released.
func lock(t *testing.T, url string) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	_, err = conn.Exec(t.Context(), "BEGIN; LOCK TABLE requests IN EXCLUSIVE MODE")
	must(t, err)
	return func() { _ = conn.Close(t.Context()) } // the transaction ends with it
}
