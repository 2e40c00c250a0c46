package process

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestHealthSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	health := NewHealth()
	if diff := cmp.Diff([]string{}, health.Missing()); diff != "" {
		t.Error(diff)
	}
	nats, database := health.Gate("nats"), health.Gate("database")
	database.Waiting("not connected")
	if diff := cmp.Diff([]string{"nats: starting", "database: not connected"}, health.Missing()); diff != "" {
		t.Error(diff)
	}
	nats.Ready()
	database.Ready()
	if len(health.Missing()) != 0 {
		t.Errorf("missing %v", health.Missing())
	}
	nats.Waiting("")
	if diff := cmp.Diff([]string{"nats: waiting"}, health.Missing()); diff != "" {
		t.Error(diff)
	}
	var none *Gate
	none.Waiting("nobody asks")
	none.Ready()
}

func get(t *testing.T, h http.Handler, method, target string) (int, string) {
	t.Helper()
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), method, target, nil))
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Code, strings.TrimSpace(string(body))
}

func TestHandler(t *testing.T) {
	t.Parallel()
	health := NewHealth()
	gate := health.Gate("nats")
	gate.Waiting("not connected")
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "api "+r.URL.Path) })
	h := Handler(api, health, NewRegistry("v1.2.3"))

	for _, test := range []struct {
		method, target string
		status         int
		body           string // prefix
	}{
		{"GET", "/health", 200, `{"status":"healthy"}`},
		{"GET", "/ready", 503, `{"ready":false,"waiting_for":["nats: not connected"]}`},
		{"HEAD", "/health", 200, ``},
		{"POST", "/ready", 405, `Method Not Allowed`},
		{"GET", "/api/v1//x/../y", 200, `api /api/v1//x/../y`},
		{"GET", "/healthy", 200, `api /healthy`},
		{"GET", "/metrics", 200, `# HELP go_`},
	} {
		if status, body := get(t, h, test.method, test.target); status != test.status || !strings.HasPrefix(body, test.body) {
			t.Errorf("%s %s: %d %s, want %d %s", test.method, test.target, status, body, test.status, test.body)
		}
	}
	gate.Ready()
	if status, body := get(t, h, "GET", "/ready"); status != 200 || body != `{"ready":true}` {
		t.Errorf("ready: %d %s", status, body)
	}
	if _, body := get(t, h, "GET", "/metrics"); !strings.Contains(body, `parley_build_info{version="v1.2.3"} 1`) {
		t.Error("no parley_build_info")
	}
	if status, _ := get(t, Handler(nil, health, NewRegistry("")), "GET", "/anything"); status != 404 {
		t.Errorf("without an API: %d, want 404", status)
	}
}

func TestInstrumentCountsByRoute(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	route := func(r *http.Request) string { return r.Pattern }
	mux := http.NewServeMux()
	mux.HandleFunc("GET /thing/{id}", func(w http.ResponseWriter, r *http.Request) {
		switch r.PathValue("id") {
		case "created":
			w.WriteHeader(http.StatusCreated)
		case "boom":
			panic("boom")
		case "flush":
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
		}
	})
	one := Instrument(registry, "one", route)(mux)
	two := Instrument(registry, "two", route)(mux) // shares the registry, as in parley serve

	get(t, one, "GET", "/thing/1")
	get(t, one, "GET", "/thing/2")
	get(t, one, "GET", "/thing/flush")
	get(t, one, "GET", "/thing/created")
	get(t, one, "BREW", "/nothing")
	get(t, two, "GET", "/thing/1")
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		get(t, one, "GET", "/thing/boom")
	}()

	want := `
# HELP parley_http_requests_total Requests answered, by service, method, route and status.
# TYPE parley_http_requests_total counter
parley_http_requests_total{method="GET",route="GET /thing/{id}",service="one",status="200"} 3
parley_http_requests_total{method="GET",route="GET /thing/{id}",service="one",status="201"} 1
parley_http_requests_total{method="GET",route="GET /thing/{id}",service="one",status="500"} 1
parley_http_requests_total{method="GET",route="GET /thing/{id}",service="two",status="200"} 1
parley_http_requests_total{method="other",route="unmatched",service="one",status="404"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "parley_http_requests_total"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(registry, "parley_http_request_duration_seconds"); err != nil || n != 3 {
		t.Errorf("%d series of durations, %v, want 3", n, err)
	}
}

func TestRegisterPanicsForTwoMetricsOfOneName(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	Register(registry, prometheus.NewCounter(prometheus.CounterOpts{Name: "x", Help: "one"}))
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	Register(registry, prometheus.NewCounter(prometheus.CounterOpts{Name: "x", Help: "another"}))
}
