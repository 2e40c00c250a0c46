// Package lane brings calls from the work stream to their handler, a lane a
// connection, so that a slow or dead receiver holds up its own calls and no
// others.
//
// A lane is a durable pull consumer on the calls of one connection. Its limit
// of unacknowledged messages is the number of calls in flight to that
// connection, over all replicas. Lanes exist while they have work: the server
// slows down with every consumer, idle ones included, so a lane that has had
// none for a while is no longer pulled, and the server then removes its
// consumer. A lane opens by a hint, which is sent with new work and may be
// lost, or by the sweep, which looks every few seconds for what the stream
// holds: work that a crash left behind, and retries whose time has come.
//
// A message stays in the stream until its handler has returned without error:
// a handler that fails gets it again after a growing pause, a replica that
// dies leaves it to the others once the acknowledgement is overdue. While a
// handler works it reports progress, so that a long call is not taken for a
// dead one.
package lane

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/pkg/events"
)

// Handler does the work of one message. Its error decides what becomes of the
// message: nil takes it out of the stream, ErrUnreadable too, with any other it
// is delivered again. The context ends when the process may not wait longer.
type Handler func(ctx context.Context, msg jetstream.Msg) error

// Config says how lanes are kept.
type Config struct {
	// Concurrency is the number of calls in flight to one connection.
	Concurrency int
	// AckWait is how long a call may be silent before another replica gets it.
	AckWait time.Duration
	// Sweep is the pause between two looks for work that no hint told of.
	Sweep time.Duration
	// Linger is how long a lane without work is still pulled.
	Linger time.Duration
	// Drain is how long calls in flight may take when the keeper ends.
	Drain    time.Duration
	Logger   *slog.Logger
	Registry prometheus.Registerer
}

// Keeper opens and closes the lanes.
type Keeper struct {
	config  Config
	js      jetstream.JetStream
	stream  jetstream.Stream
	handler Handler

	busy     prometheus.Gauge
	inFlight prometheus.Gauge

	mu      sync.Mutex
	lanes   map[string]*lane
	closed  bool
	running sync.WaitGroup // lanes
	calls   sync.WaitGroup // handlers
}

// NewKeeper makes a keeper of the lanes of the work stream.
func NewKeeper(js jetstream.JetStream, stream jetstream.Stream, config Config, handler Handler) *Keeper {
	k := &Keeper{
		config: config, js: js, stream: stream, handler: handler, lanes: map[string]*lane{},
		busy: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "parley_dispatcher_lanes", Help: "Lanes that are being pulled.",
		}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "parley_dispatcher_calls_in_flight", Help: "Calls that are being worked on.",
		}),
	}
	config.Registry.MustRegister(k.busy, k.inFlight)
	return k
}

// Run keeps lanes until ctx ends. It returns when all calls in flight have
// ended, at the latest, and then interrupted, after the time to drain.
func (k *Keeper) Run(ctx context.Context) error {
	handling, interrupt := context.WithCancel(context.WithoutCancel(ctx))
	defer interrupt()
	hints, err := k.js.Conn().Subscribe(events.LaneHintSubject("*"), func(msg *nats.Msg) {
		k.open(ctx, handling, connectionOf(msg.Subject, 3))
	})
	if err != nil {
		return err
	}
	defer func() { _ = hints.Unsubscribe() }()

	k.sweepUntil(ctx, handling)
	k.drain(interrupt)
	return nil
}

// drain lets the lanes end, then the calls.
func (k *Keeper) drain(interrupt context.CancelFunc) {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	limit := time.AfterFunc(k.config.Drain, interrupt)
	defer limit.Stop()
	k.running.Wait()
	k.calls.Wait()
}

// sweepUntil looks for work until ctx ends. A look at a stream with very many
// calls takes long; the pause grows with it, so that looking never takes more
// than a tenth of the time.
func (k *Keeper) sweepUntil(ctx, handling context.Context) {
	for ctx.Err() == nil {
		began := time.Now()
		k.sweep(ctx, handling)
		pause := time.NewTimer(max(k.config.Sweep, 10*time.Since(began)))
		select {
		case <-ctx.Done():
			pause.Stop()
		case <-pause.C:
		}
	}
}

func (k *Keeper) sweep(ctx, handling context.Context) {
	looking, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	info, err := k.stream.Info(looking, jetstream.WithSubjectFilter(events.CallFilter))
	if err != nil {
		if ctx.Err() == nil {
			k.config.Logger.Warn("cannot look for calls", "error", err)
		}
		return
	}
	found := map[string]bool{}
	for subject := range info.State.Subjects {
		found[connectionOf(subject, 3)] = true
	}
	for connectionID := range found {
		k.open(ctx, handling, connectionID)
	}
}

// open opens the lane of a connection, or keeps it open if it is.
func (k *Keeper) open(ctx, handling context.Context, connectionID string) {
	if !events.ValidToken(connectionID) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || ctx.Err() != nil {
		return
	}
	if l, ok := k.lanes[connectionID]; ok {
		l.touch()
		return
	}
	l := &lane{keeper: k, connectionID: connectionID}
	l.touch()
	k.lanes[connectionID] = l
	k.busy.Inc()
	k.running.Go(func() { l.run(ctx, handling) })
}

// retire takes the lane off the list, unless it has got work in the meantime.
func (k *Keeper) retire(l *lane) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !l.idle() {
		return false
	}
	k.remove(l)
	return true
}

func (k *Keeper) remove(l *lane) {
	delete(k.lanes, l.connectionID)
	k.busy.Dec()
}

// connectionOf gives a token of a subject, "" where there is none.
func connectionOf(subject string, position int) string {
	tokens := strings.Split(subject, ".")
	if position >= len(tokens) {
		return ""
	}
	return tokens[position]
}
