package reply

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/inbox"
	"github.com/parley-dsr/parley/internal/work"
)

type metrics struct {
	replies *prometheus.CounterVec
	seconds prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		replies: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "parley", Subsystem: "callback", Name: "replies_total",
			Help: "Replies that were handed to the orchestrator, by what it said.",
		}, []string{"reply", "outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "parley", Subsystem: "callback", Name: "reply_seconds",
			Help:    "Time from a reply to the orchestrator's word on it.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
	}
	r.MustRegister(m.replies, m.seconds)
	return m
}

func (m *metrics) observe(verb string, a work.Answer, err error, took time.Duration) {
	outcome := a.Code
	switch {
	case errors.Is(err, inbox.ErrNoAnswer), errors.Is(err, inbox.ErrUnconfirmed):
		outcome = "unconfirmed"
	case err != nil:
		outcome = "not_stored"
	case a.Accepted:
		outcome = "accepted"
	}
	m.replies.WithLabelValues(verb, outcome).Inc()
	m.seconds.Observe(took.Seconds())
}
