package halt

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	kept, removed, expired prometheus.Counter
	late                   prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "parley", Subsystem: "callback", Name: name, Help: help})
	}
	m := &metrics{
		kept:    counter("halts_kept_total", "Halts that were taken into the account."),
		removed: counter("halts_removed_total", "Halts that ended before their time was over."),
		expired: counter("halts_expired_total", "Halts whose time was over."),
	}
	m.late = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: "parley", Subsystem: "callback", Name: "expiry_lag_seconds",
		Help:    "Time from the end of a halt to the fact that says so.",
		Buckets: []float64{.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600},
	})
	r.MustRegister(m.kept, m.removed, m.expired, m.late)
	return m
}
