package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/bench/internal/child"
	"github.com/parley-dsr/parley/bench/internal/parts"
	"github.com/parley-dsr/parley/internal/embedded"
	"github.com/parley-dsr/parley/internal/keyring"
)

// house is the whole installation: four services, NATS, Postgres and a called
// system, each in processes of its own.
type house struct {
	dir      string
	sync     string
	lanes    int // calls in flight to one connection
	keys     string
	ring     *keyring.Ring
	postgres *embedded.Postgres
	parts    map[string]*child.Child

	nc       *nats.Conn
	js       jetstream.JetStream
	client   *http.Client // of the REST edges
	receiver *http.Client // of the called system
	seen     *watcher
	persons  persons
	// unconfirmed is how often a submission was stored and not confirmed.
	unconfirmed atomic.Int64
}

const rootClient, rootSecret = "bench", "bench-secret"

// build starts a house, to be closed, whose NATS flushes as sync says.
func build(ctx context.Context, sync string, lanes int) (*house, error) {
	h := &house{sync: sync, lanes: lanes, parts: map[string]*child.Child{}}
	if err := h.build(ctx); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

func (h *house) build(ctx context.Context) (err error) {
	if h.dir, err = os.MkdirTemp("", "parley-bench-"); err != nil {
		return err
	}
	if h.keys, err = keyring.Generate(); err != nil {
		return err
	}
	if h.ring, err = keyring.Parse(h.keys); err != nil {
		return err
	}
	if h.parts[partReceiver], err = child.Start(partReceiver, "BENCH_ROOT="+h.root()); err != nil {
		return err
	}
	if h.receiver, err = parts.Trusting(h.root()); err != nil {
		return err
	}
	h.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1024}, Timeout: time.Minute}
	if h.postgres, err = embedded.StartPostgres(ctx, embedded.PostgresOptions{Dir: h.dir, Databases: []string{"config", "orchestrator"}}); err != nil {
		return err
	}
	if err := h.startNATS("127.0.0.1:0"); err != nil {
		return err
	}
	if h.nc, err = nats.Connect(h.parts[partNATS].URL, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond)); err != nil {
		return err
	}
	if h.js, err = jetstream.New(h.nc); err != nil {
		return err
	}
	if h.seen, err = watch(h.nc); err != nil {
		return err
	}
	return h.startServices(ctx)
}

func (h *house) startNATS(addr string) (err error) {
	h.parts[partNATS], err = child.Start(partNATS, "BENCH_DIR="+filepath.Join(h.dir, "nats"), "BENCH_ADDR="+addr, "BENCH_SYNC="+h.sync)
	return err
}

// startServices starts the four services and waits until they are ready.
func (h *house) startServices(ctx context.Context) (err error) {
	for _, name := range services {
		if h.parts[name], err = child.Start(name, h.settings(name)...); err != nil {
			return err
		}
	}
	for _, name := range services {
		if err := h.awaitReady(ctx, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (h *house) stopServices() {
	for _, name := range services {
		h.parts[name].Stop()
		h.parts[name] = nil
	}
}

// settings are the environment of a service: the defaults, but for what a
// machine on which everything runs needs.
func (h *house) settings(name string) []string {
	all := []string{
		"PARLEY_NATS_URL=" + h.parts[partNATS].URL,
		"PARLEY_ENCRYPTION_KEYS=" + h.keys,
		"PARLEY_ROOT_CLIENT_ID=" + rootClient,
		"PARLEY_ROOT_CLIENT_SECRET=" + rootSecret,
		"PARLEY_EXECUTION=immediate",
		"PARLEY_EGRESS_ALLOW_CIDRS=127.0.0.0/8",
		"PARLEY_EGRESS_CA_FILE=" + h.root(),
		"PARLEY_LOG_LEVEL=error",
		"PARLEY_SUBMISSIONS_PER_MINUTE=0",
		"PARLEY_LANE_CONCURRENCY=" + strconv.Itoa(h.lanes),
	}
	if name == "config" || name == "orchestrator" {
		all = append(all, "PARLEY_DATABASE_URL="+h.postgres.URL(name))
	}
	return all
}

func (h *house) awaitReady(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		status, err := h.get(ctx, h.parts[name].URL+"/ready")
		if err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-look.C:
		}
	}
}

func (h *house) get(ctx context.Context, url string) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	answer, err := h.client.Do(request)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}

// fetch reads JSON.
func (h *house) fetch(ctx context.Context, client *http.Client, url string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	return json.NewDecoder(answer.Body).Decode(into)
}

func (h *house) root() string { return filepath.Join(h.dir, "roots.pem") }

// used tells what every part has used, and this process, which plays the
// clients.
func (h *house) used() map[string]child.Use {
	all := map[string]child.Use{"clients": child.Used(os.Getpid()), partPostgres: child.UsedByFamily(h.postgresPID())}
	for name, part := range h.parts {
		if part != nil {
			all[name] = child.Used(part.PID())
		}
	}
	return all
}

func (h *house) postgresPID() int {
	files, _ := filepath.Glob(filepath.Join(h.dir, "postgres", "*", "postmaster.pid")) // the pattern is right
	for _, file := range files {
		if data, err := os.ReadFile(file); err == nil {
			first, _, _ := strings.Cut(string(data), "\n")
			if pid, err := strconv.Atoi(first); err == nil {
				return pid
			}
		}
	}
	return 0
}

func (h *house) close() {
	for _, name := range services {
		h.parts[name].Stop()
	}
	if h.nc != nil {
		h.nc.Close()
	}
	h.parts[partNATS].Stop()
	if h.postgres != nil {
		_ = h.postgres.Close()
	}
	h.parts[partReceiver].Stop()
	_ = os.RemoveAll(h.dir)
}
