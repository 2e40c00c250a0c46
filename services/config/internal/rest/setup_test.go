package rest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/schema"
	"github.com/parley-dsr/parley/internal/token"
	"github.com/parley-dsr/parley/internal/topology"
	document "github.com/parley-dsr/parley/services/config/api"
	"github.com/parley-dsr/parley/services/config/internal/api"
	"github.com/parley-dsr/parley/services/config/internal/egress"
	"github.com/parley-dsr/parley/services/config/internal/publish"
	"github.com/parley-dsr/parley/services/config/internal/rest"
	"github.com/parley-dsr/parley/services/config/internal/store"
)

func TestMain(m *testing.M) { testbed.Main(m) }

// statements counts what is asked of the database; begin and commit apart.
type statements struct{ data, control atomic.Int64 }

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if q.SQL == schema.KeepConfirmed {
		return ctx // a connection begins with it
	}
	switch strings.Fields(strings.ToLower(q.SQL))[0] {
	case "begin", "commit", "rollback":
		s.control.Add(1)
	default:
		s.data.Add(1)
	}
	return ctx
}

func (s *statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// bundle is the REST edge over a database and a NATS server of its own. What
// works in the background is not there, so that it asks nothing.
type bundle struct {
	tb      testing.TB
	handler http.Handler
	token   string
	asked   statements
}

const root = "root"

func setup(tb testing.TB) *bundle {
	tb.Helper()
	b := &bundle{tb: tb}
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	keys, err := keyring.Generate()
	must(err)
	ring, err := keyring.Parse(keys)
	must(err)
	approval := false
	kept, err := store.Open(testbed.Postgres(tb), store.Options{RequireManualApproval: &approval, Clock: time.Now, Tracer: &b.asked})
	must(err)
	tb.Cleanup(kept.Close)
	_, js := testbed.NATS(tb)
	publisher, err := publish.New(kept, js, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	must(err)
	must(kept.Migrate(tb.Context()))
	must(topology.EnsureConfig(tb.Context(), js, topology.Options{}))
	bucket, err := topology.AwaitBucket(tb.Context(), js, topology.BucketConfig, nil)
	must(err)
	must(publisher.Open(tb.Context(), bucket))
	server := &rest.API{
		Store: kept, Publisher: publisher, Ring: ring, Egress: egress.New(nil, false), RootClientID: root, Clock: time.Now,
	}
	front, err := edge.New(edge.Config{
		Service: "config", Spec: document.OpenAPI, Clients: server.CatalogClient, Ring: ring, RootClientID: root, Checks: rest.Checks(),
	})
	must(err)
	strict := api.NewStrictHandlerWithOptions(server, nil, api.StrictHTTPServerOptions{
		RequestErrorHandlerFunc: edge.RequestError, ResponseErrorHandlerFunc: edge.ResponseError,
	})
	b.handler = front.Handler(api.HandlerWithOptions(strict, api.ChiServerOptions{BaseRouter: chi.NewRouter(), ErrorHandlerFunc: edge.RequestError}))
	b.token, err = token.IssueAccess(ring, token.Access{
		ClientID: root, Scopes: edge.AllScopes(), IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
	})
	must(err)
	return b
}

// call asks and wants a 200.
func (b *bundle) call(method, path string, body []byte) []byte {
	b.tb.Helper()
	r := httptest.NewRequestWithContext(b.tb.Context(), method, "/api/v1"+path, bytes.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+b.token)
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		b.tb.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	return w.Body.Bytes()
}

func (b *bundle) json(v any) []byte {
	b.tb.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		b.tb.Fatal(err)
	}
	return text
}

type object = map[string]any
