package allinone

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/process"
)

// origin puts the edges of several services under one address. Each service
// gets it as its Front; requests go to the service that owns their path.
type origin struct {
	mu       sync.RWMutex
	services map[string]http.Handler
	expected []string
	admin    http.Handler
}

func newOrigin(registries map[string]*prometheus.Registry, services ...string) *origin {
	o := &origin{services: map[string]http.Handler{}, expected: services}
	o.admin = process.Handler(nil, process.NewHealth(), labeled(registries))
	return o
}

// Serve implements process.Front.
func (o *origin) Serve(ctx context.Context, service string, h http.Handler) error {
	o.mu.Lock()
	o.services[service] = h
	o.mu.Unlock()
	<-ctx.Done()
	return nil
}

// ServeHTTP implements http.Handler.
func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/ready":
		o.ready(w)
		return
	case "/health", "/metrics":
		o.admin.ServeHTTP(w, r)
		return
	}
	o.mu.RLock()
	h := o.services[edge.ServiceFor(r.URL.Path)]
	o.mu.RUnlock()
	if h == nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, `{"detail":"The service is starting."}`, http.StatusServiceUnavailable)
		return
	}
	h.ServeHTTP(w, r)
}

func (o *origin) ready(w http.ResponseWriter) {
	waiting := o.missing()
	w.Header().Set("Content-Type", "application/json")
	body := map[string]any{"ready": len(waiting) == 0}
	if len(waiting) > 0 {
		body["waiting_for"] = waiting
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}

// missing is what the services say they wait for, by their own /ready.
func (o *origin) missing() []string {
	o.mu.RLock()
	defer o.mu.RUnlock()
	waiting := []string{}
	for _, service := range o.expected {
		h := o.services[service]
		if h == nil {
			waiting = append(waiting, service+": starting")
			continue
		}
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/ready", nil))
		var said struct {
			WaitingFor []string `json:"waiting_for"`
		}
		if answer.Code == http.StatusOK || json.Unmarshal(answer.Body.Bytes(), &said) != nil {
			continue
		}
		for _, what := range said.WaitingFor {
			waiting = append(waiting, service+": "+what)
		}
	}
	return waiting
}

// labeled gathers several registries as one; the label component says from
// which service a series is.
func labeled(registries map[string]*prometheus.Registry) prometheus.Gatherer {
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		families := map[string]*dto.MetricFamily{}
		for service, registry := range registries {
			gathered, err := registry.Gather()
			if err != nil {
				return nil, err
			}
			for _, family := range gathered {
				for _, m := range family.GetMetric() {
					m.Label = append(m.Label, &dto.LabelPair{Name: proto.String("component"), Value: proto.String(service)})
				}
				if have := families[family.GetName()]; have != nil {
					have.Metric = append(have.Metric, family.GetMetric()...)
					continue
				}
				families[family.GetName()] = family
			}
		}
		all := make([]*dto.MetricFamily, 0, len(families))
		for _, family := range families {
			all = append(all, family)
		}
		slices.SortFunc(all, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
		return all, nil
	})
}
