// Package census counts the privacy requests that have not ended, and says how
// old the oldest of each status is: an operator sees by it what waits, and for
// whom. The numbers are those of the database, the same on every replica; while
// it is away they are the last ones, and the time at which they were taken says
// so.
package census

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
)

const every = 15 * time.Second

// Counter counts; the read model does.
type Counter interface {
	CountUnfinished(ctx context.Context) ([]readmodel.Unfinished, error)
}

// Census keeps the numbers.
type Census struct {
	counter          Counter
	requests, oldest *prometheus.GaugeVec
	taken            prometheus.Gauge
}

// New gives a census that is not taken yet.
func New(c Counter, r prometheus.Registerer) *Census {
	n := &Census{
		counter: c,
		requests: process.Register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "parley_orchestrator_unfinished_requests", Help: "Requests that have not ended, by status.",
		}, []string{"status"})),
		oldest: process.Register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "parley_orchestrator_oldest_unfinished_timestamp_seconds",
			Help: "When the oldest request of the status was created; no series where there is none.",
		}, []string{"status"})),
		taken: process.Register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "parley_orchestrator_census_timestamp_seconds", Help: "When the requests were last counted.",
		})),
	}
	for _, status := range statuses() {
		n.requests.WithLabelValues(string(status)).Set(0)
	}
	return n
}

// statuses are those in which a request has not ended.
func statuses() []record.Status {
	return []record.Status{
		record.Pending, record.AwaitingPreApproval, record.PreApprovalNotEligible, record.Approved, record.InProcessing, record.Paused,
	}
}

// Run takes the census again and again until ctx ends.
func (n *Census) Run(ctx context.Context) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		n.Take(ctx)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

// Take counts once; while the database is away the numbers stay.
func (n *Census) Take(ctx context.Context) {
	counted, err := n.counter.CountUnfinished(ctx)
	if err != nil {
		return
	}
	there := map[record.Status]bool{}
	for _, c := range counted {
		there[c.Status] = true
		n.requests.WithLabelValues(string(c.Status)).Set(float64(c.Requests))
		n.oldest.WithLabelValues(string(c.Status)).Set(float64(c.Oldest.Unix()))
	}
	for _, status := range statuses() {
		if !there[status] {
			n.requests.WithLabelValues(string(status)).Set(0)
			n.oldest.DeleteLabelValues(string(status))
		}
	}
	n.taken.SetToCurrentTime()
}
