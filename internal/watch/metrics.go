package watch

import (
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/process"
)

type metrics struct {
	pending, unacknowledged, redelivered, delivered *prometheus.GaugeVec
	restarts, resets                                *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	labels := []string{"stream", "consumer"}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return process.Register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "parley_consumer_" + name, Help: help}, labels))
	}
	counter := func(name, help string) *prometheus.CounterVec {
		return process.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_consumer_" + name, Help: help}, labels))
	}
	return &metrics{
		pending:        gauge("pending", "Messages that wait to be delivered: the lag; the same on every replica."),
		unacknowledged: gauge("unacknowledged", "Messages that are delivered and not acknowledged; the same on every replica."),
		redelivered:    gauge("redelivered", "Messages that were delivered more than once and are not acknowledged; the same on every replica."),
		delivered:      gauge("last_delivered_timestamp_seconds", "When the last message was delivered, 0 for never; the same on every replica."),
		restarts:       counter("restarts_total", "Times that a consumer had work, delivered nothing and was read anew."),
		resets:         counter("resets_total", "Times that a consumer which had been read anew in vain was reset to what it had acknowledged."),
	}
}

func (m *metrics) show(i *jetstream.ConsumerInfo) {
	m.pending.WithLabelValues(i.Stream, i.Name).Set(float64(i.NumPending))
	m.unacknowledged.WithLabelValues(i.Stream, i.Name).Set(float64(i.NumAckPending))
	m.redelivered.WithLabelValues(i.Stream, i.Name).Set(float64(i.NumRedelivered))
	last := 0.0
	if i.Delivered.Last != nil {
		last = float64(i.Delivered.Last.UnixMilli()) / 1000
	}
	m.delivered.WithLabelValues(i.Stream, i.Name).Set(last)
	m.restarts.WithLabelValues(i.Stream, i.Name).Add(0)
	m.resets.WithLabelValues(i.Stream, i.Name).Add(0)
}

// forget takes away what nobody measures any more.
func (m *metrics) forget(i *jetstream.ConsumerInfo) {
	for _, g := range []*prometheus.GaugeVec{m.pending, m.unacknowledged, m.redelivered, m.delivered} {
		g.DeleteLabelValues(i.Stream, i.Name)
	}
}
