// Package stage is what a benchmark of the dispatcher plays on: a NATS server
// and an HTTPS receiver, each a process of its own, so that what this process
// allocates is what is measured; and orders, as the orchestrator gives them.
package stage

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/bench/internal/child"
	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/dispatcher"
)

// Options say how the stage is built.
type Options struct {
	// Sync is when NATS flushes: "always" or a duration.
	Sync string
	// Timeout of one attempt.
	Timeout time.Duration
	// Concurrency of a lane.
	Concurrency int
}

// Stage is ready for calls.
type Stage struct {
	Settings dispatcher.Settings
	NATS     *nats.Conn
	Receiver *http.Client

	options  Options
	dir      string
	nats     *child.Child
	receiver *child.Child
	js       jetstream.JetStream
	ring     *keyring.Ring
	requests *topology.Bucket
	vault    *vault.Vault
	catalog  *catalog.Store
	orders   int
}

// Build builds a stage, to be closed.
func Build(ctx context.Context, o Options) (*Stage, error) {
	s := &Stage{options: o}
	if err := s.start(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Stage) start(ctx context.Context) (err error) {
	if s.dir, err = os.MkdirTemp("", "parley-bench-"); err != nil {
		return err
	}
	if s.receiver, err = child.Start(roleReceiver, "BENCH_ROOT="+s.root()); err != nil {
		return err
	}
	if err = s.StartNATS("127.0.0.1:0"); err != nil {
		return err
	}
	if s.NATS, err = nats.Connect(s.nats.URL, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond)); err != nil {
		return err
	}
	if s.js, err = jetstream.New(s.NATS, jetstream.WithPublishAsyncMaxPending(1024)); err != nil {
		return err
	}
	if err = errors.Join(topology.EnsureOrchestrator(ctx, s.js, topology.Options{}), topology.EnsureConfig(ctx, s.js, topology.Options{})); err != nil {
		return err
	}
	if err = s.trust(); err != nil {
		return err
	}
	return s.open(ctx)
}

// open finds the buckets and makes keys.
func (s *Stage) open(ctx context.Context) error {
	keys, err := keyring.Generate()
	if err != nil {
		return err
	}
	if s.ring, err = keyring.Parse(keys); err != nil {
		return err
	}
	var identities, config *topology.Bucket
	for name, bucket := range map[string]**topology.Bucket{
		topology.BucketRequests: &s.requests, topology.BucketIdentities: &identities, topology.BucketConfig: &config,
	} {
		if *bucket, err = topology.AwaitBucket(ctx, s.js, name, nil); err != nil {
			return err
		}
	}
	s.vault, s.catalog = vault.Open(identities, s.ring), catalog.NewStore(config)
	s.Settings = dispatcher.Settings{
		EncryptionKeys:      keys,
		DeliveryTimeout:     s.options.Timeout,
		DeliveryMaxAttempts: 6,
		DeliveryBackoff:     5 * time.Second,
		DeliveryMaxAge:      24 * time.Hour,
		LaneConcurrency:     s.options.Concurrency,
		EgressAllowCIDRs:    []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		EgressCAFile:        s.root(),
		DelayTimeout:        60 * time.Hour,
		IdentityTTL:         168 * time.Hour,
	}
	return nil
}

func (s *Stage) root() string { return filepath.Join(s.dir, "roots.pem") }

// trust makes a client of the receiver, the bare one.
func (s *Stage) trust() error {
	data, err := os.ReadFile(s.root())
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(data)
	s.Receiver = &http.Client{Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		MaxIdleConnsPerHost: 1024,
	}}
	return nil
}

// StartNATS starts the server over its store, on the address.
func (s *Stage) StartNATS(addr string) (err error) {
	s.nats, err = child.Start(roleNATS, "BENCH_DIR="+filepath.Join(s.dir, "nats"), "BENCH_ADDR="+addr, "BENCH_SYNC="+s.options.Sync)
	return err
}

// RestartNATS stops the server and starts it again on its address.
func (s *Stage) RestartNATS() error {
	addr := strings.TrimPrefix(s.nats.URL, "nats://")
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return err
	}
	s.nats.Stop()
	return s.StartNATS(addr)
}

// Dispatcher starts a dispatcher in a process of its own.
func (s *Stage) Dispatcher() (*child.Child, error) {
	return child.Run(roleDispatcher,
		"PARLEY_HTTP_ADDR=127.0.0.1:0", "PARLEY_NATS_URL="+s.nats.URL, "PARLEY_LOG_LEVEL=error",
		"PARLEY_ENCRYPTION_KEYS="+s.Settings.EncryptionKeys,
		"PARLEY_DELIVERY_TIMEOUT="+s.options.Timeout.String(),
		fmt.Sprintf("PARLEY_LANE_CONCURRENCY=%d", s.options.Concurrency),
		"PARLEY_EGRESS_ALLOW_CIDRS=127.0.0.0/8", "PARLEY_EGRESS_CA_FILE="+s.root())
}

// Count asks the receiver what it has got.
func (s *Stage) Count(ctx context.Context) (c Count, err error) {
	response, err := s.ask(ctx, pathCount)
	if err != nil {
		return c, err
	}
	defer func() { _ = response.Body.Close() }()
	return c, json.NewDecoder(response.Body).Decode(&c)
}

// Reset makes the receiver forget what it has got.
func (s *Stage) Reset(ctx context.Context) error {
	response, err := s.ask(ctx, pathReset)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

func (s *Stage) ask(ctx context.Context, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.receiver.URL+path, nil)
	if err != nil {
		return nil, err
	}
	return s.Receiver.Do(request)
}

// URL is where the receiver answers at a path.
func (s *Stage) URL(path string) string { return s.receiver.URL + path }

// Await waits until the receiver has got what is wanted.
func (s *Stage) Await(ctx context.Context, every time.Duration, reached func(Count) bool) (Count, error) {
	look := time.NewTicker(every)
	defer look.Stop()
	for {
		count, err := s.Count(ctx)
		if err != nil || reached(count) {
			return count, err
		}
		select {
		case <-ctx.Done():
			return count, ctx.Err()
		case <-look.C:
		}
	}
}

// Waiting counts the messages of the work stream that a filter matches.
func (s *Stage) Waiting(ctx context.Context, filter string) (uint64, error) {
	stream, err := s.js.Stream(ctx, events.StreamWork)
	if err != nil {
		return 0, err
	}
	if filter == "" {
		return stream.CachedInfo().State.Msgs, nil
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return 0, err
	}
	n := uint64(0)
	for _, messages := range info.State.Subjects {
		n += messages
	}
	return n, nil
}

// AwaitWaiting waits until so many messages wait.
func (s *Stage) AwaitWaiting(ctx context.Context, filter string, every time.Duration, reached func(uint64) bool) error {
	look := time.NewTicker(every)
	defer look.Stop()
	for {
		n, err := s.Waiting(ctx, filter)
		if err == nil && reached(n) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d messages wait: %w", n, ctx.Err())
		case <-look.C:
		}
	}
}

// Close ends everything.
func (s *Stage) Close() {
	if s.NATS != nil {
		s.NATS.Close()
	}
	s.nats.Stop()
	if s.receiver != nil {
		s.receiver.Kill()
	}
	_ = os.RemoveAll(s.dir)
}

// NATSMemory is how much memory the server has, in bytes.
func (s *Stage) NATSMemory() int64 { return child.Used(s.nats.PID()).Resident }
