package e2e

import (
	"context"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
	"github.com/parley-dsr/parley/cmd/parley/internal/story"
	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/keyring"
)

var serviceNames = []string{"config", "orchestrator", "dispatcher", "callback"}

const (
	rootID     = "e2e-root"
	rootSecret = "e2e-root-secret"
)

// house is a whole installation: four processes, NATS, two databases, a
// receiver, and a proxy that puts the edges under one origin.
type house struct {
	t        *testing.T
	dir      string
	keys     string
	secret   string
	nats     *child
	natsURL  string
	natsDir  string
	database map[string]string
	services map[string]*child
	receiver *receiver.Receiver
	origin   string
	// transport is the proxy's way to the edges; nil is the usual one.
	transport http.RoundTripper
}

// setup builds the house around the four services, which are not started.
// settings are laid over what every service gets.
func setup(t *testing.T, settings map[string]string) *house {
	t.Helper()
	return setupOver(t, map[string]string{"config": testbed.Postgres(t), "orchestrator": testbed.Postgres(t)}, settings)
}

// setupOver builds a house over the given databases, and over a NATS server of
// its own where the settings name none.
func setupOver(t *testing.T, databases, settings map[string]string) *house {
	t.Helper()
	keys, err := keyring.Generate()
	if err != nil {
		t.Fatal(err)
	}
	h := &house{
		t: t, dir: t.TempDir(), keys: keys, secret: rootSecret, services: map[string]*child{}, database: databases,
	}
	if h.natsURL = settings["PARLEY_NATS_URL"]; h.natsURL == "" {
		h.startNATS()
	}
	h.startProxy()
	h.receiver, err = receiver.Start(receiver.Options{Dir: filepath.Join(h.dir, "receiver"), Origin: h.origin})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.receiver.Close() })
	for _, name := range serviceNames {
		h.services[name] = h.service(name, settings)
	}
	return h
}

func (h *house) startNATS() {
	addr := testbed.FreeAddr(h.t)
	h.natsURL, h.natsDir = "nats://"+addr, filepath.Join(h.dir, "nats")
	h.nats = &child{
		t: h.t, name: "nats", path: os.Args[0], log: newLog(h.t, h.dir, "nats"),
		env: testbed.Environ(map[string]string{natsDirVariable: h.natsDir, natsAddrVariable: addr}),
	}
	h.nats.start()
}

// startProxy puts the three edges under one origin, by the one table of paths.
func (h *house) startProxy() {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := h.services[edge.ServiceFor(r.URL.Path)]
		if c == nil {
			http.NotFound(w, r)
			return
		}
		way := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: c.addr})
		way.Transport = h.transport
		way.ErrorLog = log.New(io.Discard, "", 0) // some tests kill what it leads to
		way.ServeHTTP(w, r)
	}))
	h.t.Cleanup(proxy.Close)
	h.origin = proxy.URL
}

func (h *house) service(name string, settings map[string]string) *child {
	addr := testbed.FreeAddr(h.t)
	all := map[string]string{
		"PARLEY_HTTP_ADDR":          addr,
		"PARLEY_NATS_URL":           h.natsURL,
		"PARLEY_ENCRYPTION_KEYS":    h.keys,
		"PARLEY_ROOT_CLIENT_ID":     rootID,
		"PARLEY_ROOT_CLIENT_SECRET": h.secret,
		"PARLEY_EXECUTION":          "immediate",
		"PARLEY_EGRESS_ALLOW_CIDRS": "127.0.0.0/8",
		"PARLEY_EGRESS_CA_FILE":     filepath.Join(h.dir, "receiver", "ca.pem"),
		"PARLEY_LOG_LEVEL":          "debug",
		// all persons of these tests have the same address
		"PARLEY_SUBMISSIONS_PER_MINUTE": "0",
	}
	if db := h.database[name]; db != "" {
		all["PARLEY_DATABASE_URL"] = db
	}
	maps.Copy(all, settings)
	return &child{
		t: h.t, name: name, path: binary(h.t, "parley-"+name), addr: addr,
		env: testbed.Environ(all), log: newLog(h.t, h.dir, name),
	}
}

// startAll starts the services in order; each is up before the next starts.
func (h *house) startAll(order ...string) {
	h.t.Helper()
	for _, name := range order {
		h.services[name].start()
		h.services[name].awaitUp()
	}
	for _, name := range order {
		h.services[name].awaitReady()
	}
}

// play tells the story through the proxy.
func (h *house) play(s *story.Story) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	s.Receiver = h.receiver
	if err := s.Open(ctx, h.origin, rootID, h.secret); err != nil {
		h.t.Fatal(err)
	}
	if err := s.Play(ctx); err != nil {
		h.t.Fatal(err)
	}
}
