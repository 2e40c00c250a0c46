package rest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator/internal/follow"
	"github.com/parley-dsr/parley/services/orchestrator/internal/rest"
)

// A stream outlives the deadlines that a listener has for small answers, and is
// not held back on its way.
func TestAStreamOutlivesTheDeadlinesOfTheListener(t *testing.T) {
	t.Parallel()
	nc, js := testbed.NATS(t)
	must(t, topology.EnsureOrchestrator(t.Context(), js, topology.Options{EventRetention: time.Hour}))
	records, err := topology.AwaitBucket(t.Context(), js, topology.BucketRequests, nil)
	must(t, err)
	value, err := json.Marshal(record.Record{ID: "pri_1", Status: record.Paused})
	must(t, err)
	_, err = records.Create(t.Context(), "pri_1", value, 0)
	must(t, err)
	stopping, stop := context.WithCancel(t.Context())
	api := &rest.Server{
		Facts: follow.New(nc, js, records), Logger: slog.New(slog.DiscardHandler), Clock: time.Now,
		Stopping: stopping, Heartbeat: 20 * time.Millisecond,
	}
	server := httptest.NewUnstartedServer(api.Handler())
	server.Config.ReadTimeout, server.Config.WriteTimeout = 3*time.Second, 3*time.Second
	server.Start()
	defer server.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/api/v1/privacy-request/pri_1/events", http.NoBody)
	must(t, err)
	answer, err := server.Client().Do(request)
	must(t, err)
	defer func() { _ = answer.Body.Close() }()
	lines := bufio.NewScanner(answer.Body)
	await := func(line string) {
		t.Helper()
		for lines.Scan() {
			if lines.Text() == line {
				return
			}
		}
		t.Fatalf("the stream ended (%v) before %q", lines.Err(), line)
	}
	for range 200 { // longer than the deadlines
		await(": heartbeat")
	}
	e, err := events.New(events.SourceOrchestrator, events.RequestPaused, "f1", "pri_1", time.Now(), events.RequestData{Sequence: 1})
	must(t, err)
	must(t, events.Publish(t.Context(), js, e))
	await("event: " + events.RequestPaused)
	stop()
	for lines.Scan() { // until it ends
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the stream was cut: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
