package call

import (
	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	attempts *prometheus.CounterVec
	duration prometheus.Histogram
	dropped  prometheus.Counter
	retries  prometheus.Counter
}

func newMetrics(registry prometheus.Registerer) metrics {
	m := metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_dispatcher_attempts_total", Help: "Attempts of calls, by how they ended.",
		}, []string{"outcome"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "parley_dispatcher_attempt_duration_seconds", Help: "Time from the start of an attempt to the end of its answer.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "parley_dispatcher_calls_dropped_total", Help: "Calls that were no longer wanted when their turn came.",
		}),
	}
	m.retries = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "parley_dispatcher_retries_total", Help: "Further attempts that were scheduled.",
	})
	registry.MustRegister(m.attempts, m.duration, m.dropped, m.retries)
	return m
}

func (m metrics) observe(made result) {
	m.attempts.WithLabelValues(made.outcome).Inc()
	m.duration.Observe(made.took.Seconds())
}
