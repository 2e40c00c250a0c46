// Package allinone runs the four services of Parley in one process: for a
// laptop, for the demo and for tests. It starts what they need, an embedded
// NATS server and a private Postgres, unless the settings name others; it makes
// up the credentials that are not set; and it shows the three REST edges under
// one address.
//
// The services are the same as in processes of their own and know nothing of
// each other here either: all they share is NATS. They are stopped before what
// they need.
package allinone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/parley-dsr/parley/internal/embedded"
	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/tracing"
	"github.com/parley-dsr/parley/services/callback"
	"github.com/parley-dsr/parley/services/config"
	"github.com/parley-dsr/parley/services/dispatcher"
	"github.com/parley-dsr/parley/services/orchestrator"
)

// Options say how the all-in-one runs.
type Options struct {
	// Environ has the settings.
	Environ map[string]string
	// Log gets the log.
	Log io.Writer
	// Listener is where to serve; nil listens on PARLEY_HTTP_ADDR.
	Listener net.Listener
	// Ready is told when everything answers.
	Ready func(Info)
	// Traces gives who takes the spans of a service; nil leaves it to the
	// variables OTEL_….
	Traces func(service string) trace.TracerProvider
	// Registry gives where a service keeps its metrics; nil makes one.
	Registry func(service string) *prometheus.Registry
}

// Info is what one needs to know of a running all-in-one.
type Info struct {
	Origin           string
	NATSURL          string
	DataDir          string
	RootClientID     string
	RootClientSecret string
	CredentialsFile  string
	// Generated says that the secret of the root client was made just now.
	Generated bool
	// Given says that the settings have the secret, and not the file.
	Given bool
	Took  time.Duration
}

var names = []string{"config", "orchestrator", "dispatcher", "callback"}

// Run runs until ctx ends.
func Run(ctx context.Context, o Options) error {
	started := time.Now()
	s, err := process.Load[Settings](o.Environ, Defaults())
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.DataDir, 0o750); err != nil {
		return fmt.Errorf("PARLEY_DATA_DIR: %w", err)
	}
	creds, generated, err := resolve(s, s.DataDir)
	if err != nil {
		return err
	}
	if err := check(o.Environ, creds); err != nil {
		return err
	}
	logger := process.NewLogger(o.Log, s.Shared(), "parley")
	if o.Listener == nil {
		if o.Listener, err = process.Socket(ctx, s.HTTPAddr); err != nil {
			return err
		}
	}
	defer func() { _ = o.Listener.Close() }() // closed by the server, if it came so far
	b, err := startBackends(ctx, s, logger)
	if errors.Is(err, embedded.ErrDirInUse) {
		return fmt.Errorf("%w; another parley serve, or what is left of it, runs there, and PARLEY_DATA_DIR names another folder", err)
	}
	if err != nil {
		return err
	}
	defer b.close()
	run := &running{options: o, settings: s, credentials: creds, backends: b, logger: logger}
	defer logger.Info("stopped")
	return run.serve(ctx, func(origin string) {
		if o.Ready != nil {
			o.Ready(Info{
				Origin: origin, NATSURL: b.natsURL, DataDir: s.DataDir,
				RootClientID: creds.RootClientID, RootClientSecret: creds.RootClientSecret,
				CredentialsFile: filepath.Join(s.DataDir, credentialsFile),
				Generated:       generated, Given: s.RootClientSecret != "", Took: time.Since(started),
			})
		}
	})
}

// running are the services over what they need.
type running struct {
	options     Options
	settings    Settings
	credentials credentials
	backends    *backends
	logger      *slog.Logger
	origin      *origin
	registries  map[string]*prometheus.Registry
}

func (r *running) serve(ctx context.Context, ready func(origin string)) error {
	r.registries = map[string]*prometheus.Registry{}
	for _, name := range names {
		if r.options.Registry != nil {
			r.registries[name] = r.options.Registry(name)
			continue
		}
		r.registries[name] = process.NewRegistry(process.Version())
	}
	r.origin = newOrigin(r.registries, names...)
	group := process.NewGroup(ctx, r.logger)
	services := map[string]func(context.Context) error{
		"config":       service(r, "config", config.Run),
		"orchestrator": service(r, "orchestrator", orchestrator.Run),
		"dispatcher":   service(r, "dispatcher", dispatcher.Run),
		"callback":     service(r, "callback", callback.Run),
	}
	for name, run := range services {
		group.Go(name, run)
	}
	group.Go("http", func(ctx context.Context) error {
		return process.On(r.options.Listener, r.logger).Serve(ctx, "parley", r.origin)
	})
	group.Go("postgres", r.backends.watch)
	group.Go("ready", func(ctx context.Context) error {
		if err := r.awaitReady(ctx); err != nil {
			return nil // it ends before it was ready; the cause is told elsewhere
		}
		ready("http://" + r.options.Listener.Addr().String())
		return nil
	})
	return group.Wait()
}

// service is one service with its settings and dependencies.
func service[T interface{ Shared() process.Settings }](r *running, name string, run func(context.Context, T, process.Deps) error) func(context.Context) error {
	return func(ctx context.Context) error {
		settings, err := process.Load[T](r.environ(name), Defaults())
		if err != nil {
			return err
		}
		logger := process.NewLogger(r.options.Log, settings.Shared(), name)
		nc, err := process.Connect(ctx, settings.Shared(), name, logger)
		if err != nil {
			return err
		}
		defer nc.Close()
		traces, flush, err := r.traces(ctx, name, logger)
		if err != nil {
			return err
		}
		defer process.FlushTraces(flush, logger)
		return run(ctx, settings, process.Deps{
			NATS: nc, Logger: logger, Registry: r.registries[name],
			Clock: time.Now, Front: r.origin, Version: process.Version(), Traces: traces,
		})
	}
}

func (r *running) traces(ctx context.Context, name string, logger *slog.Logger) (trace.TracerProvider, func(context.Context) error, error) {
	if r.options.Traces != nil {
		return r.options.Traces(name), func(context.Context) error { return nil }, nil
	}
	return tracing.FromEnvironment(ctx, r.options.Environ, tracing.Service{Name: name, Version: process.Version()}, logger)
}

func (r *running) environ(name string) map[string]string {
	return environFor(r.options.Environ, r.credentials, r.backends.natsURL, r.backends.databases[name])
}

const lookEvery = 20 * time.Millisecond

// awaitReady waits until every service says that it is ready.
func (r *running) awaitReady(ctx context.Context) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for len(r.origin.missing()) > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
	}
	return nil
}
