package orchestrator

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
)

const (
	pingEvery  = 2 * time.Second
	pingWithin = 2 * time.Second
)

// followDatabase migrates the database as soon as it is there, closes migrated,
// and tells its gate from then on whether it answers.
func (v *service) followDatabase(migrated chan<- struct{}) {
	gate := v.health.Gate("postgres")
	v.group.Go("database", func(ctx context.Context) error {
		err := topology.Await(ctx, func(string) { gate.Waiting("the database does not answer") }, v.store.Migrate)
		if err != nil {
			return err
		}
		close(migrated)
		ticker := time.NewTicker(pingEvery)
		defer ticker.Stop()
		for {
			v.ping(ctx, gate)
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-ticker.C:
			}
		}
	})
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

// project runs the feeds of the read model once its schema is there.
func (v *service) project(b buckets, migrated <-chan struct{}) {
	lag := process.Register(v.deps.Registry, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "parley_orchestrator_readmodel_lag", Help: "Messages that the read model has not projected yet, by feed.",
	}, []string{"feed"}))
	feeds := map[string]*readmodel.Feed{
		"records": readmodel.NewRecordsFeed(v.store, v.js, b.requests, v.deps.Logger, lag.WithLabelValues("records")),
		"events":  readmodel.NewEventsFeed(v.store, v.js, v.deps.Logger, lag.WithLabelValues("events")),
	}
	for name, feed := range feeds {
		v.group.Go("feed "+name, func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-migrated:
			}
			return feed.Run(ctx)
		})
	}
}
