package readmodel_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
)

// TestARowThatTheDatabaseNeverTakesIsNotWaitedFor: a feed that took it for an
// absent database would stand still for ever.
func TestARowThatTheDatabaseNeverTakesIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	s := open(t)
	early := request("pri_2", 1, record.Pending)
	early.StartedAt = new(time.Time)
	*early.StartedAt = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
	err := s.Project(t.Context(), readmodel.Batch{Records: []*record.Record{early}})
	if !errors.Is(err, readmodel.ErrRefused) {
		t.Error(err)
	}
}

// TestALongExternalIDIsFoundByItsBegin: whole, it would not fit into an index.
func TestALongExternalIDIsFoundByItsBegin(t *testing.T) {
	t.Parallel()
	s := open(t)
	var dense strings.Builder // more than an index holds, also compressed
	dense.WriteString("ÄΣꭰ𐐀") // letters whose small forms not every locale knows
	for range 1024 {
		dense.WriteRune(rune(0x10000 + rand.IntN(0xF0000))) //nolint:gosec // no secret
	}
	long := request("pri_1", 1, record.Pending)
	long.Submission.SealedExternalID = dense.String()
	must(t, s.Project(t.Context(), readmodel.Batch{Records: []*record.Record{long}}))
	for _, part := range []string{dense.String(), string([]rune(dense.String())[:10])} {
		found, total, err := s.Search(t.Context(), readmodel.Filter{ExternalID: part}, readmodel.Order{}, 1, 50)
		must(t, err)
		if total != 1 || len(found) != 1 || found[0].Submission.SealedExternalID != dense.String() {
			t.Errorf("by %d bytes: %d, %v", len(part), total, found)
		}
	}
}
