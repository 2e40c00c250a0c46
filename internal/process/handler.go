package process

import (
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Handler adds to a service's API, which may be nil, what every service
// answers: GET /health is 200 while the process lives; GET /ready is 200
// {"ready":true}, or 503 {"ready":false,"waiting_for":[…]} with what is
// missing; GET /metrics is the gatherer's.
func Handler(api http.Handler, health *Health, gatherer prometheus.Gatherer) http.Handler {
	if api == nil {
		api = http.NotFoundHandler()
	}
	if registry, ok := gatherer.(prometheus.Registerer); ok {
		Register(registry, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "parley_ready", Help: "1 while the service has all that it needs; /ready says what is missing.",
		}, func() float64 {
			if len(health.Missing()) > 0 {
				return 0
			}
			return 1
		}))
	}
	metrics := promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"status": "healthy"})
	})
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		if missing := health.Missing(); len(missing) > 0 {
			answer(w, http.StatusServiceUnavailable, map[string]any{"ready": false, "waiting_for": missing})
			return
		}
		answer(w, http.StatusOK, map[string]any{"ready": true})
	})
	mux.Handle("GET /metrics", metrics)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/health", "/ready", "/metrics":
			mux.ServeHTTP(w, r)
		default: // the API sees its paths as they came, the mux would clean them
			api.ServeHTTP(w, r)
		}
	})
}

func answer(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}
