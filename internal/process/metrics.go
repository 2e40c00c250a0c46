package process

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// NewRegistry returns a registry with the collectors of the Go runtime and of
// the process, and parley_build_info. The default registry is never used.
func NewRegistry(version string) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "parley_build_info",
		Help:        "1, labelled with the version of this build.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		build,
	)
	return registry
}

// Register registers a collector, or returns the equal one that is registered
// already: services in one process share a registry, and so the metrics that
// differ only by the label "service".
func Register[C prometheus.Collector](registry prometheus.Registerer, collector C) C {
	err := registry.Register(collector)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing
		}
	}
	if err != nil {
		panic(err) // two different metrics under one name: a mistake in the program
	}
	return collector
}

// Instrument counts and times the requests of a service:
//
//	parley_http_requests_total{service,method,route,status}
//	parley_http_request_duration_seconds{service,method,route}
//
// routeOf returns the pattern that matched, never the path, which has ids in
// it; it is asked after the request was handled. An empty one is "unmatched".
func Instrument(registry prometheus.Registerer, service string, routeOf func(*http.Request) string) func(http.Handler) http.Handler {
	requests := Register(registry, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "parley_http_requests_total",
		Help: "Requests answered, by service, method, route and status.",
	}, []string{"service", "method", "route", "status"}))
	seconds := Register(registry, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "parley_http_request_duration_seconds",
		Help:    "Time from the request's headers to the end of its answer.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"service", "method", "route"}))

	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			start := time.Now()
			seen := &statusWriter{ResponseWriter: w}
			handled := false
			defer func() {
				if !handled && seen.status == 0 { // a panic on its way up
					seen.status = http.StatusInternalServerError
				}
				route, method := routeOf(r), methodLabel(r.Method)
				if route == "" {
					route = "unmatched"
				}
				requests.WithLabelValues(service, method, route, strconv.Itoa(seen.code())).Inc()
				seconds.WithLabelValues(service, method, route).Observe(time.Since(start).Seconds())
			}()
			next.ServeHTTP(seen, r)
			handled = true
		})
	}
}

// methodLabel keeps invented methods from becoming label values.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	default:
		return "other"
	}
}

// statusWriter remembers the status that was written.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the writer below.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *statusWriter) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}

// Keys is what ShowKeys shows of a ring: ids and fingerprints.
type Keys interface {
	KIDs() []string
	Fingerprint(kid string) string
}

// ShowKeys puts the ids and the fingerprints of the keys that a service has into
// its registry, so that they can be compared between services. Of the keys
// themselves they tell nothing.
func ShowKeys(registry prometheus.Registerer, keys Keys) {
	info := Register(registry, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "parley_key_info", Help: "The encryption keys of the service: 1 for the one that seals, 0 for those that only open.",
	}, []string{"kid", "fingerprint"}))
	for i, kid := range keys.KIDs() {
		seals := 0.0
		if i == 0 {
			seals = 1
		}
		info.WithLabelValues(kid, keys.Fingerprint(kid)).Set(seals)
	}
}
