package readmodel_test

import (
	"context"
	"errors"
	"testing"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
)

func TestAwaitEndsWhenTheRevisionIsThere(t *testing.T) {
	t.Parallel()
	s := open(t)
	must(t, s.Project(t.Context(), readmodel.Batch{Records: []*record.Record{request("pri_1", 1, record.Pending)}}))
	must(t, s.Await(t.Context(), "pri_1", 1))
	waited := make(chan error, 1)
	go func() { waited <- s.Await(t.Context(), "pri_1", 2) }()
	must(t, s.Project(t.Context(), readmodel.Batch{Records: []*record.Record{request("pri_1", 3, record.Canceled)}}))
	must(t, <-waited)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Await(ctx, "pri_none", 1); !errors.Is(err, readmodel.ErrUnavailable) {
		t.Errorf("after the end of its patience: %v", err)
	}
}
