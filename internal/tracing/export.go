package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// ErrSettings is the error of a variable that takes something else.
var ErrSettings = errors.New("tracing: settings")

// Service names who makes the spans.
type Service struct{ Name, Version string }

// FromEnvironment gives the provider for which the standard variables of
// OpenTelemetry ask, and what to call at the end; nil, where they ask for none.
// Spans are exported by OTLP once OTEL_EXPORTER_OTLP_ENDPOINT, the same for
// traces, or OTEL_TRACES_EXPORTER=otlp is set. The exporter reads its own
// variables (headers, certificates, time-outs) from the process.
//
// A collector that is away costs spans and nothing else; the log says so.
func FromEnvironment(ctx context.Context, environ map[string]string, s Service, logger *slog.Logger) (trace.TracerProvider, func(context.Context) error, error) {
	client, err := client(environ)
	if err != nil || client == nil {
		return nil, func(context.Context) error { return nil }, err
	}
	exporter, err := otlptrace.New(ctx, client)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: OTEL_EXPORTER_OTLP_…: %w", ErrSettings, err)
	}
	about, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.namespace", "parley"),
		attribute.String("service.name", "parley-"+s.Name),
		attribute.String("service.version", s.Version),
	), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, nil, fmt.Errorf("%w: OTEL_RESOURCE_ATTRIBUTES: %w", ErrSettings, err)
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(&told{SpanExporter: exporter, logger: logger}), sdk.WithResource(about))
	return provider, provider.Shutdown, nil
}

// client is how spans leave, nil where they do not.
func client(environ map[string]string) (otlptrace.Client, error) {
	if strings.EqualFold(environ["OTEL_SDK_DISABLED"], "true") {
		return nil, nil //nolint:nilnil // none is an answer
	}
	set := environ["OTEL_EXPORTER_OTLP_ENDPOINT"] != "" || environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] != ""
	switch environ["OTEL_TRACES_EXPORTER"] {
	case "none":
		return nil, nil //nolint:nilnil // none is an answer
	case "otlp":
	case "":
		if !set {
			return nil, nil //nolint:nilnil // none is an answer
		}
	default:
		return nil, fmt.Errorf("%w: OTEL_TRACES_EXPORTER takes otlp or none", ErrSettings)
	}
	protocol := environ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"]
	if protocol == "" {
		protocol = environ["OTEL_EXPORTER_OTLP_PROTOCOL"]
	}
	switch protocol {
	case "", "http/protobuf":
		return otlptracehttp.NewClient(), nil
	case "grpc":
		return otlptracegrpc.NewClient(), nil
	}
	return nil, fmt.Errorf("%w: OTEL_EXPORTER_OTLP_PROTOCOL takes http/protobuf or grpc", ErrSettings)
}

// told writes into our log what the exporter would tell a global handler: the
// first failure, and that it is over.
type told struct {
	sdk.SpanExporter
	logger *slog.Logger

	mu      sync.Mutex
	failing bool
}

// ExportSpans implements sdk.SpanExporter.
func (t *told) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := t.SpanExporter.ExportSpans(ctx, spans)
	t.mu.Lock()
	defer t.mu.Unlock()
	if failing := err != nil; failing != t.failing {
		t.failing = failing
		if failing {
			t.logger.Warn("spans cannot be exported and are dropped", "error", err)
		} else {
			t.logger.Info("spans are exported again")
		}
	}
	return nil
}
