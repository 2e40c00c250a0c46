// Package process is what every binary of Parley does the same way, from the
// first line of main to the last: it reads the settings, writes the log,
// connects to NATS, listens, says whether it is healthy and ready, and stops.
//
// It promises four things. Bad settings end the process with one line that
// names the variable and what it takes, and no line ever repeats the value.
// A missing neighbour ends nothing: the connection to NATS is tried for ever,
// and what a service waits for stands in /ready. A signal ends the process
// within twenty seconds, whatever the service does. And nothing is global: the
// logger, the registry, the clock and the connection are handed down in Deps,
// since four services share one process in parley serve.
//
// It tolerates a NATS server that is absent, restarts or refuses the login for
// a while. It does not tolerate one that is older than the features that the
// services need; that is an error, told in one line.
package process

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/parley-dsr/parley/internal/tracing"
)

// Deps is what a service is given beside its settings. A service uses these
// and makes none of its own.
type Deps struct {
	NATS     *nats.Conn
	Logger   *slog.Logger
	Registry *prometheus.Registry
	Clock    func() time.Time
	Front    Front
	Version  string
	// Traces takes the spans of the service; nil makes none.
	Traces trace.TracerProvider
}

// Front is where a service shows its HTTP handler: its own address (Listen),
// or one origin that several services share. Serve returns when ctx has ended
// and the requests in flight are answered, or with the error that kept it from
// listening.
type Front interface {
	Serve(ctx context.Context, service string, h http.Handler) error
}

// NewDeps makes the dependencies of one service in a process of its own: a log
// on standard error, a fresh registry, a connection that is still being made,
// a listener on PARLEY_HTTP_ADDR, and an exporter of spans where the variables
// OTEL_… ask for one. The returned function exports what is left and closes the
// connection after what was published has been flushed; call it when the service
// has ended.
func NewDeps(ctx context.Context, service string, s Settings) (Deps, func(), error) {
	logger := NewLogger(os.Stderr, s, service)
	version := Version()
	traces, flush, err := tracing.FromEnvironment(ctx, Environ(), tracing.Service{Name: service, Version: version}, logger)
	if err != nil {
		return Deps{}, nil, err
	}
	nc, err := Connect(ctx, s, service, logger)
	if err != nil {
		return Deps{}, nil, err
	}
	deps := Deps{
		NATS:     nc,
		Logger:   logger,
		Registry: NewRegistry(version),
		Clock:    time.Now,
		Front:    Listen(s.HTTPAddr, logger),
		Version:  version,
		Traces:   traces,
	}
	return deps, func() {
		closeNATS(nc)
		FlushTraces(flush, logger)
	}, nil
}

// flushWithin is how long the last spans may take to leave: a collector that is
// away holds up no end.
const flushWithin = 2 * time.Second

// FlushTraces exports the spans that are left.
func FlushTraces(flush func(context.Context) error, logger *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), flushWithin)
	defer cancel()
	if err := flush(ctx); err != nil {
		logger.Warn("the last spans were not exported", "error", err)
	}
}
