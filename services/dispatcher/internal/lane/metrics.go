package lane

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// collector shows each lane. There are as many series as connections have, or
// had a moment ago, calls; those of a lane go with it. What waits in the stream
// is as old as the last look.
type collector struct {
	keeper                             *Keeper
	pending, inFlight, breaker, oldest *prometheus.Desc
}

func newCollector(k *Keeper) *collector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("parley_dispatcher_lane_"+name, help, []string{"connection_id"}, nil)
	}
	return &collector{
		keeper:   k,
		pending:  desc("pending", "Calls in the stream, those in flight included; the same on every replica."),
		inFlight: desc("in_flight", "Calls that this replica is making."),
		breaker:  desc("breaker", "Breaker of this replica: 0 closed, 1 half-open, 2 open."),
		oldest:   desc("oldest_seconds", "How long the oldest call has been in the lane; the same on every replica."),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.pending, c.inFlight, c.breaker, c.oldest} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, connectionID string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, connectionID)
	}
	for _, s := range c.keeper.status(c.keeper.lastLook()) {
		gauge(c.pending, float64(s.Pending), s.ConnectionID)
		gauge(c.inFlight, float64(s.InFlight), s.ConnectionID)
		if s.Breaker != "" {
			gauge(c.breaker, breakerNumber(s.Breaker), s.ConnectionID)
		}
		if !s.Oldest.IsZero() {
			gauge(c.oldest, time.Since(s.Oldest).Seconds(), s.ConnectionID)
		}
	}
}
