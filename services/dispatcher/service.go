// Package dispatcher calls the receivers of webhooks.
//
// It takes calls from the work stream, makes them, and tells by facts what came
// of each: the orchestrator decides what follows. Replicas share the work; a
// receiver that is slow or gone holds up the calls to itself alone. The
// dispatcher keeps nothing: what it needs to know it reads when a call's turn
// comes, so that a canceled request is not called and a rotated secret is used
// at once, and what it has to remember (retries, identities that were derived)
// it puts into NATS before it lets go of the call.
//
// It waits for its streams and buckets, in any order of start, and never
// creates them. When it is stopped, calls in flight are given time to end.
package dispatcher

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/tracing"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/dispatcher/internal/ask"
	"github.com/parley-dsr/parley/services/dispatcher/internal/authorization"
	"github.com/parley-dsr/parley/services/dispatcher/internal/call"
	"github.com/parley-dsr/parley/services/dispatcher/internal/egress"
	"github.com/parley-dsr/parley/services/dispatcher/internal/lane"
	"github.com/parley-dsr/parley/services/dispatcher/internal/probe"
	"github.com/parley-dsr/parley/services/dispatcher/internal/retry"
)

const (
	maxBackoff = time.Hour
	jitter     = 0.2
	// ackSlack is how much longer than a call an acknowledgement may take.
	ackSlack = 30 * time.Second
)

// Run runs the dispatcher until ctx ends and the calls in flight have ended.
func Run(ctx context.Context, s Settings, d process.Deps) error {
	health := process.NewHealth()
	group := process.NewGroup(ctx, d.Logger)
	connected, work := health.Gate("nats"), health.Gate("work")
	group.Go("nats", func(ctx context.Context) error { return process.FollowNATS(ctx, d.NATS, connected) })
	group.Go("http", func(ctx context.Context) error {
		return d.Front.Serve(ctx, "dispatcher", process.Handler(nil, health, d.Registry))
	})
	group.Go("lanes", func(ctx context.Context) error { return keepLanes(ctx, s, d, work) })
	return group.Wait()
}

// keepLanes waits for what the orchestrator and config own, then takes work.
func keepLanes(ctx context.Context, s Settings, d process.Deps, gate *process.Gate) error {
	js, err := jetstream.New(d.NATS)
	if err != nil {
		return err
	}
	n, err := await(ctx, js, gate)
	if err != nil {
		return err
	}
	receivers, err := newReceivers(s)
	if err != nil {
		return err
	}
	defer receivers.Close()
	tokens := authorization.NewOAuth(receivers.HTTP(), d.Clock)
	defer tokens.Close()
	caller, err := newCaller(s, d, js, n, receivers, tokens)
	if err != nil {
		return err
	}
	keeper := lane.NewKeeper(js, n.work, lane.Config{
		Concurrency: s.LaneConcurrency,
		AckWait:     s.DeliveryTimeout + ackSlack,
		Sweep:       or(s.sweep, defaultSweep),
		Linger:      or(s.linger, defaultLinger),
		Drain:       or(s.drain, defaultDrain),
		CoolDown:    s.coolDown,
		Overdue:     s.overdue,
		Date:        s.date,
		Done:        caller.Done,
		Again:       caller.Again,
		Logger:      d.Logger,
		Registry:    d.Registry,
	}, caller.Handle)
	answerer := ask.Answerer{
		NATS:        d.NATS,
		Prober:      probe.Prober{Connections: caller.Connections, Opener: caller.Opener, Receivers: receivers, Tokens: tokens},
		Lanes:       keeper,
		Connections: caller.Connections,
		Replica:     replica(),
		Clock:       d.Clock,
		Logger:      d.Logger,
	}
	gate.Ready()
	group := process.NewGroup(ctx, d.Logger)
	group.Go("calls", keeper.Run)
	group.Go("questions", answerer.Run)
	err = group.Wait()
	// What was acknowledged last should not be on its way when the process ends.
	flushing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if d.NATS.IsConnected() {
		_ = d.NATS.FlushWithContext(flushing)
	}
	return err
}

// replica names this process among its like.
func replica() string {
	host, err := os.Hostname()
	if err != nil {
		host = "dispatcher"
	}
	return fmt.Sprintf("%s-%d", host, os.Getpid())
}

// needs are the streams and buckets of others.
type needs struct {
	work       jetstream.Stream
	requests   *topology.Bucket
	identities *topology.Bucket
	config     *topology.Bucket
}

func await(ctx context.Context, js jetstream.JetStream, gate *process.Gate) (n needs, err error) {
	if n.work, err = topology.AwaitStream(ctx, js, events.StreamWork, gate.Waiting); err != nil {
		return n, err
	}
	if _, err = topology.AwaitStream(ctx, js, events.StreamEvents, gate.Waiting); err != nil {
		return n, err
	}
	for name, bucket := range map[string]**topology.Bucket{
		topology.BucketRequests:   &n.requests,
		topology.BucketIdentities: &n.identities,
		topology.BucketConfig:     &n.config,
	} {
		if *bucket, err = topology.AwaitBucket(ctx, js, name, gate.Waiting); err != nil {
			return n, err
		}
	}
	return n, nil
}

func newReceivers(s Settings) (*egress.Client, error) {
	roots, err := s.roots()
	if err != nil {
		return nil, err
	}
	return egress.New(egress.Rules{
		AllowNetworks: s.EgressAllowCIDRs,
		AllowHTTP:     s.EgressAllowHTTP,
		Roots:         roots,
		Timeout:       s.DeliveryTimeout,
		Resolver:      s.resolver,
	}), nil
}

func newCaller(s Settings, d process.Deps, js jetstream.JetStream, n needs, receivers *egress.Client, tokens *authorization.OAuth) (*call.Caller, error) {
	ring, err := s.ring()
	if err != nil {
		return nil, err
	}
	process.ShowKeys(d.Registry, ring)
	return call.New(call.Config{
		JetStream:    js,
		Records:      n.requests,
		Connections:  catalog.NewStore(n.config),
		Vault:        vault.Open(n.identities, ring),
		Ring:         ring,
		Opener:       authorization.NewOpener(ring),
		Receivers:    receivers,
		Headers:      authorization.Headers{Tokens: tokens},
		Timeout:      s.DeliveryTimeout,
		Retry:        retry.Policy{MaxAttempts: s.DeliveryMaxAttempts, Backoff: s.DeliveryBackoff, MaxBackoff: maxBackoff, Jitter: jitter},
		Jitter:       func() float64 { return 2*rand.Float64() - 1 }, //nolint:gosec // spreads load, keeps no secret
		MaxAge:       s.DeliveryMaxAge,
		DelayTimeout: s.DelayTimeout,
		IdentityTTL:  s.IdentityTTL,
		PublicURL:    s.PublicURL,
		Version:      d.Version,
		Clock:        d.Clock,
		Logger:       d.Logger,
		Registry:     d.Registry,
		Tracer:       tracing.New(d.Traces),
	}), nil
}
