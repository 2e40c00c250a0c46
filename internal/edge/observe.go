package edge

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/parley-dsr/parley/internal/tracing"
)

// headerRequestID carries the id of a request in and out.
const headerRequestID = "X-Request-Id"

var requestIDPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// requestIDOf takes the caller's id where it can stand in a log, and makes one
// otherwise.
func requestIDOf(r *http.Request) string {
	if id := r.Header.Get(headerRequestID); requestIDPattern.MatchString(id) {
		return id
	}
	return rand.Text()
}

// observe gives a request its state, its id and its span, and writes down how it
// ended: the template of its path, never the path itself or its query, since
// both may hold what is personal.
func (e *Edge) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := &state{requestID: requestIDOf(r), client: clientAddr(r, e.trusted), logger: e.logger}
		w.Header().Set(headerRequestID, s.requestID)
		seen := &recorder{ResponseWriter: w}
		start := e.clock()
		method := methodLabel(r.Method)
		ctx, span := e.config.Tracer.Continue(context.WithValue(r.Context(), stateKey{}, s), r.Header.Get("Traceparent"), method,
			trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attribute.String("http.request.method", method)))
		defer span.End()
		r = r.WithContext(ctx)
		next.ServeHTTP(seen, r)
		e.record(r, s, seen, e.clock().Sub(start))
	})
}

func (e *Edge) record(r *http.Request, s *state, seen *recorder, took time.Duration) {
	route := s.route
	if route == "" {
		route = "unmatched"
	}
	status := seen.statusOr200()
	if span := trace.SpanFromContext(r.Context()); span.IsRecording() {
		span.SetName(methodLabel(r.Method) + " " + route)
		span.SetAttributes(attribute.String("http.route", route), attribute.Int("http.response.status_code", status))
		if status >= http.StatusInternalServerError {
			tracing.Fail(span, http.StatusText(status))
		}
	}
	e.durations.WithLabelValues(methodLabel(r.Method), route, strconv.Itoa(status)).Observe(took.Seconds())
	attributes := []slog.Attr{
		slog.String("request_id", s.requestID),
		slog.String("method", methodLabel(r.Method)),
		slog.String("route", route),
		slog.Int("status", status),
		slog.Int64("bytes", seen.bytes),
		slog.Duration("took", took),
	}
	if s.principal.ClientID != "" {
		attributes = append(attributes, slog.String("client_id", s.principal.ClientID))
	}
	e.logger.LogAttrs(r.Context(), slog.LevelInfo, "served", attributes...)
}

// methodLabel keeps invented methods out of labels.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

func newDurations(service string, registry *prometheus.Registry) (*prometheus.HistogramVec, error) {
	durations := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:        "parley_http_request_duration_seconds",
		Help:        "Time to answer a request of the REST edge.",
		ConstLabels: prometheus.Labels{"service": service},
		Buckets:     prometheus.ExponentialBuckets(0.0005, 2.5, 12),
	}, []string{"method", "route", "status"})
	if registry == nil {
		return durations, nil
	}
	err := registry.Register(durations)
	var again prometheus.AlreadyRegisteredError
	if errors.As(err, &again) { // the service runs a second time in this process
		if known, ok := again.ExistingCollector.(*prometheus.HistogramVec); ok {
			return known, nil
		}
	}
	return durations, err
}

// recoverer turns a panic into a 500. The value of the panic is not logged
// unless it is the runtime's own, since it may hold anything.
func recoverer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &recorder{ResponseWriter: w}
		defer func() {
			value := recover()
			if value == nil {
				return
			}
			if value == http.ErrAbortHandler { //nolint:errorlint // the value itself, as net/http compares it
				panic(value)
			}
			logPanic(r, value)
			if seen.status != 0 {
				panic(http.ErrAbortHandler) // the answer has begun: cut it
			}
			writeInternal(seen)
		}()
		next.ServeHTTP(seen, r)
	})
}

func logPanic(r *http.Request, value any) {
	s := stateFrom(r.Context())
	if s.logger == nil {
		return
	}
	text := "a value that is not shown"
	if err, ok := value.(error); ok {
		text = redact(err)
	}
	s.logger.ErrorContext(r.Context(), "panic", append(s.attributes(),
		slog.String("error", text), slog.String("stack", string(debug.Stack())))...)
}

// recorder sees the status and the size of an answer.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *recorder) statusOr200() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}

// WriteHeader notes the final status.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write counts.
func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach what is below.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush passes on what is written so far.
func (w *recorder) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }
