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
// Every lane has a breaker. After some failures of the receiver in a row the
// lane is not pulled for a cool-down: its calls wait in the stream, where they
// use up no attempts, while the receiver is left alone. Then one call is let
// through, and its end decides whether the lane is pulled again or cools down
// for longer. Replicas do not share their breakers: each learns from the calls
// that it makes itself. That costs some attempts for each replica, and saves a
// state that would have to be agreed upon while a network fails; and a replica
// that alone cannot reach a receiver stops alone, and leaves its calls to the
// others.
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

	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/watch"
	"github.com/parley-dsr/parley/pkg/events"
)

// Handler does the work of one message. Its error decides what becomes of the
// message: nil takes it out of the stream, ErrUnreadable too, with any other it
// is delivered again. The health is for the breaker, whatever the error. The
// context ends when the process may not wait longer.
type Handler func(ctx context.Context, msg jetstream.Msg) (Health, error)

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
	Drain time.Duration
	// CoolDown is how long a lane is left alone whose receiver fails, the
	// first time; zero is the default.
	CoolDown time.Duration
	// Overdue is how long after its time an attempt is ordered again; zero is
	// the default.
	Overdue time.Duration
	// Date is the pause between two looks at the oldest calls, and for those that
	// are left over or overdue; zero is the default.
	Date time.Duration
	// Done says whether what a message orders was done, for one that its lane
	// has passed.
	Done func(ctx context.Context, msg *jetstream.RawStreamMsg) (bool, error)
	// Again puts such a message into the stream anew.
	Again    func(ctx context.Context, msg *jetstream.RawStreamMsg) error
	Logger   *slog.Logger
	Registry prometheus.Registerer
}

const (
	// forgetBreaker is how long a breaker is kept for a lane without work.
	forgetBreaker = time.Hour
	dateEvery     = 10 * time.Second
	// longestSweep is the longest pause between two looks for work.
	longestSweep = 30 * time.Second
)

// Keeper opens and closes the lanes.
type Keeper struct {
	config  Config
	js      jetstream.JetStream
	stream  jetstream.Stream
	handler Handler
	watch   *watch.Watch

	busy     prometheus.Gauge
	inFlight prometheus.Gauge
	dated    time.Time                     // of the sweep alone, as is
	timer    uint64                        // the sequence of the last timer that was looked at
	passed   map[string]topology.Candidate // by connection, calls that lanes seem to have passed

	mu    sync.Mutex
	lanes map[string]*lane
	// breakers that are not closed outlive their lane.
	breakers map[string]*breaker
	waiting  map[string]backlog // replaced, never changed
	closed   bool
	running  sync.WaitGroup // lanes
	calls    sync.WaitGroup // handlers
}

// NewKeeper makes a keeper of the lanes of the work stream.
func NewKeeper(js jetstream.JetStream, stream jetstream.Stream, config Config, handler Handler) *Keeper {
	k := &Keeper{
		config: config, js: js, stream: stream, handler: handler, watch: watch.New(js, config.Logger, config.Registry), lanes: map[string]*lane{}, breakers: map[string]*breaker{},
		passed: map[string]topology.Candidate{},
		busy: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "parley_dispatcher_lanes", Help: "Lanes that are being pulled.",
		}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "parley_dispatcher_calls_in_flight", Help: "Calls that are being worked on.",
		}),
	}
	config.Registry.MustRegister(k.busy, k.inFlight, newCollector(k))
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

// sweepUntil looks for work until ctx ends.
func (k *Keeper) sweepUntil(ctx, handling context.Context) {
	for ctx.Err() == nil {
		began := time.Now()
		looked := k.sweep(ctx, handling)
		pause := time.NewTimer(pauseAfter(k.config.Sweep, time.Since(began), looked))
		select {
		case <-ctx.Done():
			pause.Stop()
		case <-pause.C:
		}
	}
}

// pauseAfter is the pause between two looks. One at a stream with very many
// calls takes long; the pause grows with it, so that looking takes no more than a
// twentieth of the time. But a look may also have waited for NATS, and work that
// nobody told of waits for the next: so the pause does not grow for ever, and not
// at all where nothing was seen.
func pauseAfter(shortest, took time.Duration, looked bool) time.Duration {
	if !looked {
		return shortest
	}
	return max(shortest, min(20*took, longestSweep))
}

// sweep says whether the stream has told what it holds.
func (k *Keeper) sweep(ctx, handling context.Context) bool {
	looking, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	waiting, err := k.pending(looking)
	if err != nil {
		if ctx.Err() == nil {
			k.config.Logger.Warn("cannot look for calls", "error", err)
		}
		return false
	}
	for connectionID := range waiting {
		k.open(ctx, handling, connectionID)
	}
	k.note(looking, waiting)
	return true
}

// note keeps what the sweep has seen, for the metrics. Since when calls wait
// takes a request a lane; so it is asked when a lane appears, and then less
// often.
func (k *Keeper) note(ctx context.Context, waiting map[string]backlog) {
	before := k.lastLook()
	if time.Since(k.dated) >= or(k.config.Date, dateEvery) {
		before, k.dated = nil, time.Now()
		k.clean(ctx, waiting)
		k.wake(ctx)
	}
	for id, now := range waiting {
		now.oldest = before[id].oldest
		waiting[id] = now
	}
	if err := k.date(ctx, waiting); err != nil && ctx.Err() == nil {
		k.config.Logger.Warn("cannot look at the oldest calls", "error", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiting = waiting
}

// lastLook is what the last sweep has seen. It is not changed.
func (k *Keeper) lastLook() map[string]backlog {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.waiting
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
	l := &lane{keeper: k, connectionID: connectionID, breaker: k.breakerOf(connectionID)}
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

// breakerOf gives the breaker that the last lane of the connection has left, or
// a new one. Those that nobody has come back for are forgotten here.
func (k *Keeper) breakerOf(connectionID string) *breaker {
	for id, b := range k.breakers {
		if b.unchangedFor() > forgetBreaker {
			delete(k.breakers, id)
		}
	}
	if b, ok := k.breakers[connectionID]; ok {
		delete(k.breakers, connectionID)
		return b
	}
	first := k.config.CoolDown
	if first <= 0 {
		first = firstCoolDown
	}
	return newBreaker(first, max(longestCoolDown, first))
}

func (k *Keeper) remove(l *lane) {
	delete(k.lanes, l.connectionID)
	if !l.breaker.closed() {
		k.breakers[l.connectionID] = l.breaker
	}
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
