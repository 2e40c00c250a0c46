package readmodel_test

import (
	"testing"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
)

// TestReadsSurviveARestart: connections that the database has ended are found out
// by who reads next, and no caller is told of them.
func TestReadsSurviveARestart(t *testing.T) {
	t.Parallel()
	s := open(t)
	must(t, s.Project(t.Context(), readmodel.Batch{Records: []*record.Record{request("pri_1", 1, record.Pending)}}))
	must(t, s.EndConnections(t.Context()))
	if got := status(t, s, "pri_1"); got != record.Pending {
		t.Errorf("one read: %s", got)
	}
	must(t, s.EndConnections(t.Context()))
	_, total, err := s.Search(t.Context(), readmodel.Filter{}, readmodel.Order{Field: "id"}, 1, 10)
	if err != nil || total != 1 {
		t.Errorf("the list shows %d requests: %v", total, err)
	}
}

// TestWhatIsConfirmedOutlastsACrash: a feed acknowledges what the database has
// confirmed, and is not given it again. That the owner of the database does not
// mind losing some of it, as in tests, changes nothing.
func TestWhatIsConfirmedOutlastsACrash(t *testing.T) {
	t.Parallel()
	s := open(t)
	if got, err := s.Setting(t.Context(), "synchronous_commit"); err != nil || got != "on" {
		t.Errorf("synchronous_commit is %q, %v", got, err)
	}
}
