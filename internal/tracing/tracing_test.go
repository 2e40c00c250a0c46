package tracing

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestATraceIsPassedOnWhereNobodyCollects(t *testing.T) {
	t.Parallel()
	var none *Tracer
	ctx, span := none.Continue(t.Context(), parent, "x")
	ctx, inner := none.Start(ctx, "y")
	LinkTo(inner, parent)
	inner.End()
	span.End()
	if got := Parent(ctx); got != parent {
		t.Errorf("passed on %q", got)
	}
	for _, text := range []string{"", "00-", strings.ToUpper(parent), strings.Replace(parent, "00-", "01-", 1), strings.Replace(parent, "b7ad6b7169203331", "0000000000000000", 1), parent + "0"} {
		if ctx, _ := none.Continue(t.Context(), text, "x"); Parent(ctx) != "" {
			t.Errorf("%q is passed on", text)
		}
	}
	if New(nil) != nil {
		t.Error("a tracer without a provider")
	}
}

func TestSpansContinueAndLink(t *testing.T) {
	t.Parallel()
	seen := tracetest.NewSpanRecorder()
	tracer := New(sdk.NewTracerProvider(sdk.WithSpanProcessor(seen)))
	ctx, span := tracer.Continue(t.Context(), parent, "continued")
	LinkTo(span, parent) // its own trace: none
	span.End()
	ctx, span = tracer.Continue(ctx, "", "anew")
	LinkTo(span, parent)
	span.End()
	ended := seen.Ended()
	if got := ended[0]; got.Parent().SpanID().String() != "b7ad6b7169203331" || len(got.Links()) != 0 {
		t.Errorf("parent %s, %d links", got.Parent().SpanID(), len(got.Links()))
	}
	if got := ended[1]; got.Parent().IsValid() || len(got.Links()) != 1 || got.Links()[0].SpanContext.TraceID().String() != parent[3:35] {
		t.Errorf("parent %v, links %v", got.Parent(), got.Links())
	}
	if ID(ctx) != ended[1].SpanContext().TraceID().String() {
		t.Error("another trace")
	}
	if got := FactName("dev.parley.webhook.succeeded.v1"); got != "webhook.succeeded" {
		t.Error(got)
	}
}

func TestTheEnvironmentDecides(t *testing.T) {
	t.Parallel()
	quiet := slog.New(slog.DiscardHandler)
	for name, test := range map[string]struct {
		environ map[string]string
		exports bool
		wrong   string
	}{
		"nothing":        {nil, false, ""},
		"an endpoint":    {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, true, ""},
		"grpc":           {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, true, ""},
		"the exporter":   {map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, true, ""},
		"none":           {map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "x"}, false, ""},
		"disabled":       {map[string]string{"OTEL_SDK_DISABLED": "TRUE", "OTEL_EXPORTER_OTLP_ENDPOINT": "x"}, false, ""},
		"wrong protocol": {map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "carrier pigeon"}, false, "OTEL_EXPORTER_OTLP_PROTOCOL takes"},
		"wrong exporter": {map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, false, "OTEL_TRACES_EXPORTER takes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			provider, stop, err := FromEnvironment(t.Context(), test.environ, Service{"config", "v1"}, quiet)
			if (provider != nil) != test.exports || (err == nil) != (test.wrong == "") {
				t.Fatalf("provider %v, error %v", provider, err)
			}
			if err != nil {
				if !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), test.wrong) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err := stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSpansReachACollector exports to an address that the standard variable
// names. It sets the environment of the process and so does not run beside
// others.
func TestSpansReachACollector(t *testing.T) {
	got := make(chan *http.Request, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r }))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	provider, stop, err := FromEnvironment(t.Context(), map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL}, Service{"config", "v1"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	_, span := New(provider).Start(t.Context(), "x")
	span.End()
	if err := stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := <-got; r.URL.Path != "/v1/traces" {
		t.Errorf("exported to %s", r.URL.Path)
	}
}

type refusing struct {
	sdk.SpanExporter
	err error
}

func (r *refusing) ExportSpans(context.Context, []sdk.ReadOnlySpan) error { return r.err }

func TestACollectorThatIsAwayIsToldOnce(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	away := &refusing{err: errors.New("away")}
	exporter := &told{SpanExporter: away, logger: slog.New(slog.NewTextHandler(&out, nil))}
	for range 3 {
		if err := exporter.ExportSpans(t.Context(), nil); err != nil {
			t.Error(err)
		}
	}
	away.err = nil
	_ = exporter.ExportSpans(t.Context(), nil)
	if lines := strings.Count(out.String(), "\n"); lines != 2 || !strings.Contains(out.String(), "exported again") {
		t.Errorf("log %s", out.String())
	}
}
