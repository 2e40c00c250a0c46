package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/services/callback"
)

// house is NATS with what the callback service needs, and the service itself
// once it is started.
type house struct {
	dir    string
	server *server
	nc     *nats.Conn
	js     jetstream.JetStream
	keys   string
	ring   *keyring.Ring

	requests *topology.Bucket
	halted   *topology.Bucket

	url   string // of the callback service
	stop  context.CancelFunc
	ended chan error
}

// rootClient is the API client that asks.
const rootClient = "bench"

// fill is how NATS flushes while it is filled.
const fill = "2m"

// build starts NATS with empty streams and buckets; the house is to be closed.
func build(ctx context.Context) (*house, error) {
	h := &house{}
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
	if h.server, err = startServer(filepath.Join(h.dir, "nats"), "127.0.0.1:0", fill); err != nil {
		return err
	}
	if h.nc, err = nats.Connect(h.server.url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond)); err != nil {
		return err
	}
	if h.js, err = jetstream.New(h.nc); err != nil {
		return err
	}
	if h.keys, err = keyring.Generate(); err != nil {
		return err
	}
	if h.ring, err = keyring.Parse(h.keys); err != nil {
		return err
	}
	err = errors.Join(topology.EnsureOrchestrator(ctx, h.js, topology.Options{}), topology.EnsureCallback(ctx, h.js, topology.Options{}))
	if err != nil {
		return err
	}
	for name, bucket := range map[string]**topology.Bucket{topology.BucketRequests: &h.requests, topology.BucketHalted: &h.halted} {
		if *bucket, err = topology.AwaitBucket(ctx, h.js, name, nil); err != nil {
			return err
		}
	}
	return nil
}

// restart stops NATS and starts it over its store, on its address. It returns
// how long that took, up to the moment at which the callback service is ready.
func (h *house) restart(ctx context.Context, sync string) (time.Duration, error) {
	began := time.Now()
	h.server.stop()
	addr := strings.TrimPrefix(h.server.url, "nats://")
	var err error
	if h.server, err = startServer(filepath.Join(h.dir, "nats"), addr, sync); err != nil {
		return 0, err
	}
	if err := h.nc.ForceReconnect(); err != nil {
		return 0, err
	}
	err = topology.Await(ctx, nil, func(ctx context.Context) error {
		_, err := h.js.AccountInfo(ctx)
		return err
	})
	if err != nil {
		return 0, err
	}
	return time.Since(began), h.ready(ctx)
}

// serve starts the callback service.
func (h *house) serve(ctx context.Context) error {
	socket, err := process.Socket(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	h.url = "http://" + socket.Addr().String()
	logger := slog.New(slog.DiscardHandler)
	settings := callback.Settings{
		EncryptionKeys: h.keys, RootClientID: rootClient, DelayTimeout: 60 * time.Hour, IdentityTTL: 168 * time.Hour, RefusedRepliesPerMinute: 120,
	}
	deps := process.Deps{
		NATS: h.nc, Logger: logger, Registry: prometheus.NewRegistry(), Clock: time.Now, Front: process.On(socket, logger), Version: "bench",
	}
	serving, stop := context.WithCancel(ctx)
	h.stop, h.ended = stop, make(chan error, 1)
	go func() { h.ended <- callback.Run(serving, settings, deps) }()
	return h.ready(ctx)
}

// ready waits until the callback service is ready.
func (h *house) ready(ctx context.Context) error {
	return topology.Await(ctx, nil, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url+"/ready", nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer func() { _ = answer.Body.Close() }()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("not ready: %s", answer.Status)
		}
		return nil
	})
}

// use is what NATS needs.
type use struct{ live, resident, disk int64 }

// use reads the memory after a while in which the server drops its caches.
func (h *house) use(ctx context.Context, settle time.Duration) (u use, err error) {
	if err := pause(ctx, settle); err != nil {
		return u, err
	}
	if u.live, u.resident, err = h.server.memory(); err != nil {
		return u, err
	}
	account, err := h.js.AccountInfo(ctx)
	if err != nil {
		return u, err
	}
	u.disk = int64(account.Store) //nolint:gosec // bytes on a disk
	return u, nil
}

func (h *house) close() {
	if h.stop != nil {
		h.stop()
		if err := <-h.ended; err != nil {
			_, _ = fmt.Fprintln(os.Stderr, "the callback service ended with:", err)
		}
	}
	if h.nc != nil {
		h.nc.Close()
	}
	h.server.stop()
	_ = os.RemoveAll(h.dir)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func encode(v any) []byte {
	encoded, err := json.Marshal(v)
	if err != nil {
		panic(err) // what is encoded here always can be
	}
	return encoded
}
