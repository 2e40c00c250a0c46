package orchestrator

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/watch"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
	"github.com/parley-dsr/parley/services/orchestrator/internal/reconcile"
	"github.com/parley-dsr/parley/services/orchestrator/internal/transition"
)

const (
	pingEvery  = 2 * time.Second
	pingWithin = 2 * time.Second
)

// followDatabase migrates the database as soon as it is there, closes the
// channel that it returns, and tells its gate from then on whether the database
// answers.
func (v *service) followDatabase() <-chan struct{} {
	migrated := make(chan struct{})
	gate := v.health.Gate("postgres")
	v.group.Go("database", func(ctx context.Context) error {
		err := v.insist(ctx, "the database cannot be prepared", gate, v.store.Migrate)
		if err != nil {
			return err
		}
		close(migrated)
		for {
			v.ping(ctx, gate)
			if err := sleep(ctx, pingEvery); err != nil {
				return err
			}
		}
	})
	return migrated
}

func (v *service) ping(ctx context.Context, gate *process.Gate) {
	ctx, cancel := context.WithTimeout(ctx, pingWithin)
	defer cancel()
	if err := v.store.Ping(ctx); err != nil {
		gate.Waiting("the database does not answer")
		return
	}
	gate.Ready()
}

// remember compares the two places that remember as soon as the schema is
// there, closes the channel that it returns, and then runs the feeds of the
// read model.
func (v *service) remember(b buckets, loop *transition.Loop, migrated <-chan struct{}) <-chan struct{} {
	compared := make(chan struct{})
	c := v.comparison(b, loop)
	v.group.Go("read model", func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-migrated:
		}
		if err := v.compare(ctx, c); err != nil {
			return err
		}
		close(compared)
		v.group.Go("feed of records", c.Records.Run)
		v.group.Go("feed of facts", c.Events.Run)
		return nil
	})
	return compared
}

// compare tries until requests were compared.
func (v *service) compare(ctx context.Context, c reconcile.Config) error {
	return v.insist(ctx, "requests cannot be compared with the database", nil, func(ctx context.Context) error {
		report, err := reconcile.Run(ctx, c)
		v.countCompared(report, err)
		v.deps.Logger.Info("compared requests with the database", "compared", report.Compared,
			"put_back", report.Restored, "projected", report.Projected, "failed", report.Failed, "replayed", report.Replayed)
		return err
	})
}

// countCompared keeps count of comparisons and of what they found.
func (v *service) countCompared(report reconcile.Report, err error) {
	runs := process.Register(v.deps.Registry, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "parley_orchestrator_reconciliations_total", Help: "Comparisons of requests with the database, by how they ended.",
	}, []string{"result"}))
	requests := process.Register(v.deps.Registry, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "parley_orchestrator_reconciled_requests_total", Help: "Requests that were compared with the database, by what was done.",
	}, []string{"result"}))
	ended := "done"
	if err != nil {
		ended = "interrupted"
	}
	runs.WithLabelValues(ended).Inc()
	for result, n := range map[string]int{
		"compared": report.Compared, "put_back": report.Restored, "projected": report.Projected, "failed": report.Failed,
	} {
		requests.WithLabelValues(result).Add(float64(n))
	}
}

// comparison is what the two places that remember are compared with.
func (v *service) comparison(b buckets, loop *transition.Loop) reconcile.Config {
	records, facts := v.feeds(b)
	return reconcile.Config{
		Store: v.store, Requests: b.requests, Records: records, Events: facts, Restore: loop.Restore, Republish: loop.Republish,
		Life: loop.Life, MaxAge: v.settings.DeliveryMaxAge, Epoch: newEpoch(),
		Clock: v.deps.Clock, Logger: v.deps.Logger,
	}
}

// feeds are the feeds of the read model, not yet running.
func (v *service) feeds(b buckets) (records, facts *readmodel.Feed) {
	lag := process.Register(v.deps.Registry, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "parley_orchestrator_readmodel_lag", Help: "Messages that the read model has not projected yet, by feed.",
	}, []string{"feed"}))
	w := watch.New(v.js, v.deps.Logger, v.deps.Registry)
	return readmodel.NewRecordsFeed(v.store, v.js, b.requests, v.deps.Logger, lag.WithLabelValues("records")).Watched(w),
		readmodel.NewEventsFeed(v.store, v.js, v.deps.Logger, lag.WithLabelValues("events")).Watched(w)
}

// insist tries until it succeeds or ctx ends, and says once for each new reason
// why it did not.
func (v *service) insist(ctx context.Context, failure string, gate *process.Gate, try func(context.Context) error) error {
	last := ""
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := try(ctx)
		if err == nil || ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if reason := err.Error(); reason != last {
			v.deps.Logger.Warn(failure, "error", reason)
			last = reason
		}
		gate.Waiting(failure)
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// sleep ends early, with an error, when ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
