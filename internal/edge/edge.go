package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/klauspost/compress/gzhttp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/tracing"
)

const (
	// defaultMaxBody holds a list of 25 000 request ids.
	defaultMaxBody = 1 << 20
	// compressFrom is the size from which answers are compressed.
	compressFrom = 1000
	// pathDocument is where the OpenAPI document is served.
	pathDocument = "/openapi.json"
	// pathReference is where config shows the documents of all services.
	pathReference = "/docs"
)

// Config is what an edge needs.
type Config struct {
	// Service is the name under which metrics are kept.
	Service string
	// Spec is the OpenAPI document, YAML or JSON. Its paths begin with
	// /api/v1, or its first server does.
	Spec []byte
	// Clients finds an API client; catalog.ErrNotFound where there is none.
	// The root client is never asked for. Without it there are no others.
	Clients func(ctx context.Context, id string) (catalog.Client, error)
	// Ring opens tokens.
	Ring *keyring.Ring
	// RootClientID is the client of the settings, which has every scope.
	RootClientID string
	// Logger may be nil.
	Logger *slog.Logger
	// Registry may be nil.
	Registry *prometheus.Registry
	// Tracer may be nil.
	Tracer *tracing.Tracer
	// TrustedProxies are believed when they name the caller's address.
	TrustedProxies []netip.Prefix
	// MaxBody is the greatest size of a body in bytes, 1 MiB where it is 0.
	MaxBody int64
	// Clock may be nil.
	Clock func() time.Time

	// Checks are rules over a whole body, by operation id. They see the body
	// as decoded JSON, numbers as json.Number, and only if it fits its schema.
	Checks map[string]func(body any) []Problem
	// ReplyToken judges the bearer token of an operation with replyToken
	// security, before the schemas are looked at. Without it, all are refused.
	ReplyToken func(r *http.Request, operation, bearer string) error
	// Admit, where it is set, is asked about every request that matched an
	// operation, before anything of it is read: the place of rate limits. A
	// refusal is an error (TooMany). Done, if not nil, is told how the request
	// ended.
	Admit func(r *http.Request, operation string) (done func(status int), err error)
}

// Edge is the REST edge of one service.
type Edge struct {
	config    Config
	trusted   []netip.Prefix
	logger    *slog.Logger
	clock     func() time.Time
	maxBody   int64
	durations *prometheus.HistogramVec
	routes    *router
	document  []byte
	implied   map[string][]string // scopes by role
	compress  func(http.Handler) http.HandlerFunc
}

// New reads the document. An error says what of it cannot be used.
func New(c Config) (*Edge, error) {
	doc, err := load(c.Spec)
	if err != nil {
		return nil, err
	}
	routes, err := compileRoutes(doc)
	if err != nil {
		return nil, err
	}
	for id := range c.Checks {
		if !routes.operations[id] {
			return nil, fmt.Errorf("edge: a check for %q, which the document does not have", id)
		}
	}
	document, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("edge: write the document: %w", err)
	}
	compress, err := gzhttp.NewWrapper(gzhttp.MinSize(compressFrom), gzhttp.EnableZstd(false))
	if err != nil {
		return nil, fmt.Errorf("edge: compression: %w", err)
	}
	durations, err := newDurations(c.Service, c.Registry)
	if err != nil {
		return nil, fmt.Errorf("edge: metrics: %w", err)
	}
	e := &Edge{
		config: c, trusted: c.TrustedProxies, logger: c.Logger, clock: c.Clock, maxBody: c.MaxBody,
		durations: durations, routes: routes, document: document, implied: RoleScopes(), compress: compress,
	}
	if e.config.Clients == nil {
		e.config.Clients = func(context.Context, string) (catalog.Client, error) { return catalog.Client{}, catalog.ErrNotFound }
	}
	if e.logger == nil {
		e.logger = slog.New(slog.DiscardHandler)
	}
	if e.clock == nil {
		e.clock = time.Now
	}
	if e.maxBody == 0 {
		e.maxBody = defaultMaxBody
	}
	return e, nil
}

// Handler puts the edge before the service's handler, which sees canonical
// paths only.
func (e *Edge) Handler(api http.Handler) http.Handler {
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { e.serve(api, w, r) })
	return e.observe(e.compress(recoverer(serve)))
}

func (e *Edge) serve(api http.Handler, w http.ResponseWriter, r *http.Request) {
	path := Canonical(r.Method, r.URL.EscapedPath())
	if path == pathDocument && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(e.document)
		return
	}
	r, err := withPath(r, path)
	if err != nil {
		WriteError(w, r, err)
		return
	}
	found, err := e.routes.match(r.Method, path)
	if errors.Is(err, errOptions) {
		w.Header().Set("Allow", found.allow)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if err != nil {
		WriteError(w, r, err)
		return
	}
	if r.Method == http.MethodHead {
		r.Method = http.MethodGet // a copy, made by withPath
		w = headWriter{w}
	}
	e.operate(api, w, r, found)
}

// operate does what comes after the path is known.
func (e *Edge) operate(api http.Handler, w http.ResponseWriter, r *http.Request, found match) {
	s := stateFrom(r.Context())
	s.route, s.operation = found.operation.route, found.operation.id
	if e.config.Admit != nil {
		done, err := e.config.Admit(r, s.operation)
		if err != nil {
			WriteError(w, r, err)
			return
		}
		if done != nil {
			seen := &recorder{ResponseWriter: w}
			defer func() { done(seen.statusOr200()) }()
			w = seen
		}
	}
	if err := e.check(w, r, found); err != nil {
		WriteError(w, r, err)
		return
	}
	api.ServeHTTP(w, r)
}

// check is steps 3 to 5 of the order.
func (e *Edge) check(w http.ResponseWriter, r *http.Request, found match) error {
	body, err := found.operation.body.read(w, r, e.maxBody)
	if err != nil {
		return err
	}
	if err := e.authorize(r, found.operation); err != nil {
		return err
	}
	problems := found.operation.params.check(r, found.values)
	fromBody := found.operation.body.check(&body)
	if extra := e.config.Checks[found.operation.id]; extra != nil && len(fromBody) == 0 && body.present {
		fromBody = extra(body.value)
	}
	if problems = append(problems, fromBody...); len(problems) > 0 {
		return Unprocessable(problems)
	}
	return body.restore(r)
}

// withPath gives the request its canonical path. The escaped form is kept
// wherever there is an escape, so that routers behind decode it once.
func withPath(r *http.Request, escaped string) (*http.Request, error) {
	plain, err := url.PathUnescape(escaped)
	if err != nil {
		return r, NotFound(textNotFound)
	}
	address := *r.URL
	address.Path, address.RawPath = plain, ""
	if strings.Contains(escaped, "%") {
		address.RawPath = escaped
	}
	changed := r.WithContext(r.Context())
	changed.URL = &address
	return changed, nil
}

var errHeadersOnly = errors.New("edge: the headers are all that is asked for")

// headWriter answers HEAD from what answers GET.
type headWriter struct{ http.ResponseWriter }

// Write says that all is written.
func (w headWriter) Write(p []byte) (int, error) { return len(p), nil }

// FlushError ends an answer that comes piece by piece: its headers are all that
// HEAD asks for.
func (w headWriter) FlushError() error { return errHeadersOnly }

// Unwrap lets http.ResponseController reach what is below.
func (w headWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// setBody puts bytes back to be read again.
func setBody(r *http.Request, body []byte) {
	r.Body = readCloser{bytes.NewReader(body)}
	r.ContentLength = int64(len(body))
}

type readCloser struct{ *bytes.Reader }

// Close does nothing: the bytes are in memory.
func (readCloser) Close() error { return nil }
