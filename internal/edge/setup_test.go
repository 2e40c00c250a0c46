package edge_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/token"
)

const root = "root"

var now = time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC)

// bundle is an edge over testdata/openapi.yaml with a handler that shows what
// it was given.
type bundle struct {
	t        testing.TB
	ring     *keyring.Ring
	clients  map[string]catalog.Client
	failing  bool // clients cannot be looked up
	log      *bytes.Buffer
	registry *prometheus.Registry
	handler  http.Handler
}

// seen is what reached the handler.
type seen struct {
	Method, Path, Query, Body string
	Principal                 edge.Principal
	Bearer                    string
}

func setup(t testing.TB, change ...func(*edge.Config)) *bundle {
	t.Helper()
	return setupWith(t, http.HandlerFunc(show), change...)
}

func setupWith(t testing.TB, api http.Handler, change ...func(*edge.Config)) *bundle {
	t.Helper()
	spec, err := os.ReadFile("testdata/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	key, err := keyring.Generate()
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Parse(key)
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{t: t, ring: ring, clients: map[string]catalog.Client{}, log: &bytes.Buffer{}, registry: prometheus.NewRegistry()}
	config := edge.Config{
		Service: "test", Spec: spec, Clients: b.client, Ring: ring, RootClientID: root,
		Logger: slog.New(slog.NewJSONHandler(b.log, nil)), Registry: b.registry, MaxBody: 4096,
		Clock: func() time.Time { return now },
	}
	for _, c := range change {
		c(&config)
	}
	e, err := edge.New(config)
	if err != nil {
		t.Fatal(err)
	}
	b.handler = e.Handler(api)
	return b
}

func (b *bundle) client(_ context.Context, id string) (catalog.Client, error) {
	if b.failing {
		return catalog.Client{}, errors.New(`looked up "` + id + `"`)
	}
	client, ok := b.clients[id]
	if !ok {
		return catalog.Client{}, catalog.ErrNotFound
	}
	return client, nil
}

func show(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		edge.WriteError(w, r, err)
		return
	}
	s := seen{
		Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Body: string(body),
		Principal: edge.PrincipalFrom(r.Context()), Bearer: edge.Bearer(r.Context()),
	}
	_ = json.NewEncoder(w).Encode(s)
}

// send sends one request; headers come in pairs.
func (b *bundle) send(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	b.t.Helper()
	r := httptest.NewRequestWithContext(context.Background(), method, target, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return w
}

// reached sends a request that must reach the handler.
func (b *bundle) reached(method, target, body string, headers ...string) seen {
	b.t.Helper()
	w := b.send(method, target, body, headers...)
	var s seen
	if w.Code != http.StatusOK || json.Unmarshal(w.Body.Bytes(), &s) != nil {
		b.t.Fatalf("%s %s %s: %d %s", method, target, body, w.Code, w.Body)
	}
	return s
}

// access gives an Authorization header for a client.
func (b *bundle) access(id string, scopes, roles []string) string {
	b.t.Helper()
	s, err := token.IssueAccess(b.ring, token.Access{
		ClientID: id, Scopes: scopes, Roles: roles, IssuedAt: now, ExpiresAt: now.Add(time.Hour),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return "Bearer " + s
}

func (b *bundle) reply(scope string, expires time.Time) string {
	b.t.Helper()
	s, err := token.IssueReply(b.ring, token.Reply{
		WebhookID: "pre_1", RequestID: "pri_1", CallID: "call", ID: "nonce",
		Scopes: []string{scope}, IssuedAt: now, ExpiresAt: expires,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// wantRefusal compares a whole answer.
func wantRefusal(t *testing.T, w *httptest.ResponseRecorder, status int, body string) {
	t.Helper()
	if got := strings.TrimSpace(w.Body.String()); w.Code != status || got != body {
		t.Errorf("got  %d %s\nwant %d %s", w.Code, got, status, body)
	}
}
