package reconcile

import (
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/record"
)

func TestWhichRecordCounts(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	rec := func(revision uint64, epoch string, status record.Status, after time.Duration) *record.Record {
		return &record.Record{Revision: revision, Epoch: epoch, Sequence: revision, Status: status, UpdatedAt: noon.Add(after)}
	}
	for name, c := range map[string]struct {
		bucket, database *record.Record
		want             verdict
	}{
		"the same":                         {rec(4, "a", record.Paused, 0), rec(4, "a", record.Paused, 0), alike},
		"the database lags":                {rec(5, "a", record.InProcessing, 1), rec(4, "a", record.Paused, 0), project},
		"the bucket went back":             {rec(3, "a", record.InProcessing, 0), rec(4, "a", record.Paused, 1), putBack},
		"... and moved on as far, earlier": {rec(4, "b", record.Paused, 0), rec(4, "a", record.InProcessing, 1), putBack},
		"... and moved on as far, later":   {rec(4, "b", record.Failed, 1), rec(4, "a", record.Paused, 0), raise},
		"... within one epoch":             {rec(4, "a", record.Failed, 1), rec(4, "a", record.Paused, 0), raise},
		"... behind an end":                {rec(9, "b", record.Paused, 1), rec(4, "a", record.Canceled, 0), putBack},
		"... to an end, not so far":        {rec(3, "b", record.Canceled, 1), rec(7, "a", record.InProcessing, 0), raise},
		"... to an end, further":           {rec(9, "b", record.Complete, 1), rec(7, "a", record.InProcessing, 0), project},
		"two ends":                         {rec(4, "b", record.Canceled, 1), rec(5, "a", record.Complete, 0), putBack},
		"an error is no end":               {rec(5, "b", record.InProcessing, 1), rec(4, "a", record.Failed, 0), project},
	} {
		if got := judge(c.bucket, c.database); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// A record that counts keeps what it has still to publish, with the ids that it
// gave, and gets a revision above both.
func TestARaisedRecordIsTakenForLater(t *testing.T) {
	t.Parallel()
	present := &record.Record{
		ID: "pri_1", Revision: 4, Epoch: "b", Outbox: []record.Recipe{{Kind: record.RecipeCall, ID: "pri_1.4.b.1"}},
	}
	got := raised(present, 7, "new")
	if got.Revision != 8 || got.Epoch != "new" || len(got.Outbox) != 1 || got.Outbox[0].ID != "pri_1.4.b.1" || present.Revision != 4 {
		t.Errorf("%+v", got)
	}
}
