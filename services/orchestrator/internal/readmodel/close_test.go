package readmodel_test

import (
	"context"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
)

// TestADatabaseThatHangsHoldsUpNoEnd: a process that is told to end has to, also
// while the database does not answer what it was asked before.
func TestADatabaseThatHangsHoldsUpNoEnd(t *testing.T) {
	t.Parallel()
	s := open(t)
	release, err := s.Lock(t.Context(), "requests")
	must(t, err)
	asked := make(chan error, 1)
	go func() {
		asked <- s.Project(context.WithoutCancel(t.Context()), readmodel.Batch{Records: []*record.Record{request("pri_1", 1, record.Pending)}})
	}()
	eventually(t, "the database hangs", func() bool {
		waiting, err := s.Waiting(t.Context())
		must(t, err)
		return waiting > 0
	})
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.Close()
	}()
	select {
	case <-closed:
	case <-time.After(time.Minute):
		t.Error("still open")
	}
	select {
	case err := <-asked:
		t.Errorf("it did not hang: %v", err)
	default:
	}
	release()
	must(t, <-asked)
}
