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
	var dense strings.Builder // more than an index holds, also compressed
	for range 1024 {
		dense.WriteRune(rune(0x10000 + rand.IntN(0xF0000))) //nolint:gosec // no secret
	}
	long, early := request("pri_1", 1, record.Pending), request("pri_2", 1, record.Pending)
	long.Submission.SealedExternalID = dense.String()
	early.StartedAt = new(time.Time)
	*early.StartedAt = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, rec := range []*record.Record{long, early} {
		err := s.Project(t.Context(), readmodel.Batch{Records: []*record.Record{rec}})
		if !errors.Is(err, readmodel.ErrRefused) {
			t.Errorf("%s: %v", rec.ID, err)
		}
	}
}
