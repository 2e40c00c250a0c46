package halt

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	kept, removed, expired prometheus.Counter
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
	r.MustRegister(m.kept, m.removed, m.expired)
	return m
}
