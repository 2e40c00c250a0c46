//go:build faults

package rounds

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/keyring"
)

var serviceNames = []string{"config", "orchestrator", "dispatcher", "callback"}

const rootID, rootSecret = "rounds-root", "rounds-root-secret"

// house is a whole installation: four processes, each with a way to NATS that
// can be cut, NATS, two databases, a receiver, and a proxy that puts the edges
// under one origin. It is new with every round.
type house struct {
	t        *testing.T
	dir      string
	keys     string
	postgres *cluster
	database map[string]string
	nats     *process
	services map[string]*process
	ways     map[string]*way
	receiver *receiver.Receiver
	origin   string
	nc       *nats.Conn
	js       jetstream.JetStream
}

// natsLimit is what NATS may store, in bytes: some times what a round stores.
const natsLimit = 64 << 20

// Processes are killed here, and no machines: what was written is there.
const natsConfig = `
server_name: rounds
jetstream { store_dir: %q, max_file_store: %d, sync_interval: 2m }
`

func newHouse(ctx context.Context, t *testing.T, postgres *cluster, settings map[string]string) (*house, error) {
	keys, err := keyring.Generate()
	if err != nil {
		return nil, err
	}
	h := &house{
		t: t, dir: t.TempDir(), keys: keys, postgres: postgres,
		services: map[string]*process{}, ways: map[string]*way{},
	}
	if h.database, err = postgres.databases(ctx, "config", "orchestrator"); err != nil {
		return nil, err
	}
	if err := h.startNATS(); err != nil {
		return nil, err
	}
	h.startProxy()
	h.receiver, err = receiver.Start(receiver.Options{Dir: filepath.Join(h.dir, "receiver"), Origin: h.origin})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = h.receiver.Close() })
	for _, name := range serviceNames {
		if err := h.startService(name, settings); err != nil {
			return nil, err
		}
	}
	return h, h.awaitAll(ctx)
}

func (h *house) startNATS() error {
	addr, file := testbed.FreeAddr(h.t), filepath.Join(h.dir, "nats.conf")
	config := fmt.Sprintf(natsConfig, filepath.Join(h.dir, "nats"), natsLimit)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return err
	}
	h.nats = &process{
		name: "nats", path: os.Args[0], addr: addr,
		env: testbed.Environ(map[string]string{natsConfigVariable: file, natsAddrVariable: addr}),
	}
	h.t.Cleanup(h.nats.kill)
	if err := h.nats.start(); err != nil {
		return err
	}
	var err error
	h.nc, err = nats.Connect("nats://"+addr, nats.MaxReconnects(-1), nats.ReconnectWait(reconnect), nats.RetryOnFailedConnect(true))
	if err != nil {
		return err
	}
	h.t.Cleanup(h.nc.Close)
	h.js, err = jetstream.New(h.nc)
	return err
}

// startProxy puts the edges under one origin, by the one table of paths.
func (h *house) startProxy() {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := h.services[edge.ServiceFor(r.URL.Path)]
		if p == nil {
			http.NotFound(w, r)
			return
		}
		to := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: p.addr})
		to.ErrorLog = log.New(io.Discard, "", 0) // what it leads to is broken on purpose
		to.ServeHTTP(w, r)
	}))
	h.t.Cleanup(proxy.Close)
	h.origin = proxy.URL
}

func (h *house) startService(name string, settings map[string]string) error {
	dir, err := binaries()
	if err != nil {
		return fmt.Errorf("build: %w", err)
	}
	to, err := openWay(h.t, h.nats.addr)
	if err != nil {
		return err
	}
	addr := testbed.FreeAddr(h.t)
	all := map[string]string{
		"PARLEY_HTTP_ADDR":          addr,
		"PARLEY_NATS_URL":           "nats://" + to.addr,
		"PARLEY_ENCRYPTION_KEYS":    h.keys,
		"PARLEY_ROOT_CLIENT_ID":     rootID,
		"PARLEY_ROOT_CLIENT_SECRET": rootSecret,
		"PARLEY_EGRESS_ALLOW_CIDRS": "127.0.0.0/8",
		"PARLEY_EGRESS_CA_FILE":     h.receiver.CAFile(),
		"PARLEY_LOG_LEVEL":          "debug",
		// everybody here has the same address
		"PARLEY_SUBMISSIONS_PER_MINUTE":     "0",
		"PARLEY_REFUSED_REPLIES_PER_MINUTE": "1000000",
	}
	if db := h.database[name]; db != "" {
		all["PARLEY_DATABASE_URL"] = db
	}
	for key, value := range settings {
		all[key] = value
	}
	p := &process{name: name, path: filepath.Join(dir, "parley-"+name), addr: addr, env: testbed.Environ(all)}
	h.services[name], h.ways[name] = p, to
	h.t.Cleanup(p.kill)
	return p.start()
}

// awaitAll waits until all services are ready.
func (h *house) awaitAll(ctx context.Context) error {
	for _, name := range serviceNames {
		if err := h.services[name].awaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}
