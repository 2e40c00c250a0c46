package process

import (
	"context"
	"io"
	"log/slog"

	"github.com/parley-dsr/parley/internal/tracing"
)

// Keys of log attributes that tell what a line is about. Every service writes
// them the same way.
const (
	LogRequest = "request_id" // of the privacy request
	LogCall    = "call_id"
	LogTrace   = "trace_id"
)

// NewLogger writes JSON, or text, as the settings say; every line names the
// service, and what its context is about: see About.
func NewLogger(w io.Writer, s Settings, service string) *slog.Logger {
	options := &slog.HandlerOptions{Level: s.LogLevel}
	var handler slog.Handler = slog.NewJSONHandler(w, options)
	if s.LogFormat == "text" {
		handler = slog.NewTextHandler(w, options)
	}
	return slog.New(aware{handler}).With("service", service)
}

// About is a context whose log lines name a privacy request and a call; "" is
// none. The trace of a context is named in any case.
func About(ctx context.Context, requestID, callID string) context.Context {
	return context.WithValue(ctx, aboutKey{}, about{requestID, callID})
}

type aboutKey struct{}

type about struct{ requestID, callID string }

// aware adds what the context knows to every line that does not say it itself.
type aware struct{ slog.Handler }

// Handle implements slog.Handler.
func (a aware) Handle(ctx context.Context, r slog.Record) error {
	subject, _ := ctx.Value(aboutKey{}).(about)
	known := map[string]string{LogRequest: subject.requestID, LogCall: subject.callID, LogTrace: tracing.ID(ctx)}
	r.Attrs(func(attr slog.Attr) bool {
		delete(known, attr.Key)
		return true
	})
	for _, key := range []string{LogRequest, LogCall, LogTrace} {
		if known[key] != "" {
			r.AddAttrs(slog.String(key, known[key]))
		}
	}
	return a.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (a aware) WithAttrs(attrs []slog.Attr) slog.Handler { return aware{a.Handler.WithAttrs(attrs)} }

// WithGroup implements slog.Handler.
func (a aware) WithGroup(name string) slog.Handler { return aware{a.Handler.WithGroup(name)} }
