package transition

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/process"
)

// Metrics of the loop.
type Metrics struct {
	transitions *prometheus.CounterVec
	inputs      *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	conflicts   prometheus.Counter
	lateApplies prometheus.Counter
	outboxes    prometheus.Gauge
	// oldestOutbox is an age in seconds.
	oldestOutbox prometheus.Gauge
}

// NewMetrics registers the metrics of the loop.
func NewMetrics(r prometheus.Registerer) *Metrics {
	return &Metrics{
		transitions: process.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_orchestrator_facts_total", Help: "Facts published by transitions, by type.",
		}, []string{"type"})),
		inputs: process.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_orchestrator_inputs_total", Help: "Inputs handled, by kind and result.",
		}, []string{"kind", "result"})),
		seconds: process.Register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "parley_orchestrator_input_duration_seconds", Help: "Time from taking an input to its end, by kind.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5, 15},
		}, []string{"kind"})),
		conflicts: process.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "parley_orchestrator_conflicts_total", Help: "Transitions that lost a compare-and-set and started over.",
		})),
		lateApplies: process.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "parley_orchestrator_late_applies_total", Help: "Answers given before the read model had the change.",
		})),
		outboxes: process.Register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "parley_orchestrator_unpublished_outboxes",
			Help: "Records of this process whose facts and work are not published yet.",
		})),
		oldestOutbox: process.Register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "parley_orchestrator_unpublished_oldest_seconds",
			Help: "Age of the oldest of these; 0 where there is none.",
		})),
	}
}

func (m *Metrics) handled(d Delivery, err error, took time.Duration) {
	kind := kindOf(d)
	m.inputs.WithLabelValues(kind, resultOf(err)).Inc()
	m.seconds.WithLabelValues(kind).Observe(took.Seconds())
}

func kindOf(d Delivery) string {
	switch in := d.Input; {
	case in.Command != nil:
		return "command"
	case in.Webhook != nil:
		return "webhook"
	case in.Callback != nil:
		return "callback"
	case in.Execution != nil:
		return "execution"
	}
	return "unreadable"
}

func resultOf(err error) string {
	switch judge(err) {
	case verdictAck:
		return "done"
	case verdictDrop:
		return "unreadable"
	}
	return "retry"
}
