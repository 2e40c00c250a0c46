package census

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
)

type counts struct {
	rows []readmodel.Unfinished
	err  error
}

func (c *counts) CountUnfinished(context.Context) ([]readmodel.Unfinished, error) {
	return c.rows, c.err
}

// TestTheCensusForgetsWhoHasEnded: a status that nobody is in any more is 0 and
// has no oldest; a database that is away leaves the numbers as they were.
func TestTheCensusForgetsWhoHasEnded(t *testing.T) {
	t.Parallel()
	c := &counts{rows: []readmodel.Unfinished{{Status: record.Paused, Requests: 3, Oldest: time.Unix(1000, 0)}}}
	n := New(c, prometheus.NewRegistry())
	n.Take(t.Context())
	paused := func() float64 { return testutil.ToFloat64(n.requests.WithLabelValues("paused")) }
	if paused() != 3 || testutil.ToFloat64(n.oldest) != 1000 || testutil.ToFloat64(n.taken) == 0 {
		t.Errorf("%v paused", paused())
	}
	c.err = errors.New("away")
	n.Take(t.Context())
	if paused() != 3 {
		t.Errorf("%v paused while the database is away", paused())
	}
	c.rows, c.err = nil, nil
	n.Take(t.Context())
	if paused() != 0 || testutil.CollectAndCount(n.oldest) != 0 {
		t.Errorf("%v paused when none is", paused())
	}
}
