// Package sweep ends waits that nobody else ends. Every wait of a request has a
// deadline, and the read model an index of them; every few seconds what is
// overdue gets a timeout command, which names the step. The transition loop
// decides by the record whether the step is still waited for, so a command too
// many changes nothing, and replicas that sweep at the same time send the same
// command under the same id.
//
// The read model may be wrong: a row that a database lost in a failover stays
// overdue although the request went on long ago. Such rows must not stand in the
// way of the others, however old they are. So what was told is passed over for a
// while, and then told again under another id: the first may have come to a
// process whose clock is behind.
package sweep

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
)

const (
	every  = 2 * time.Second
	atMost = 500
	// again is the pause before what is still overdue is told once more.
	again = time.Minute
	// toldAtMost bounds the memory; beyond it all are told again early.
	toldAtMost = 50_000
)

// Waits is where overdue waits are found.
type Waits interface {
	OverdueAt(ctx context.Context, now time.Time, atMost int) ([]readmodel.Overdue, error)
}

// Sweeper publishes the timeouts.
type Sweeper struct {
	waits  Waits
	js     jetstream.JetStream
	clock  func() time.Time
	logger *slog.Logger
	sent   prometheus.Counter
	late   prometheus.Gauge
	told   map[readmodel.Overdue]time.Time
}

// New returns a sweeper that has not started.
func New(waits Waits, js jetstream.JetStream, clock func() time.Time, logger *slog.Logger, r prometheus.Registerer) *Sweeper {
	return &Sweeper{
		waits: waits, js: js, clock: clock, logger: logger, told: map[readmodel.Overdue]time.Time{},
		sent: process.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "parley_orchestrator_timeouts_total", Help: "Timeout commands sent for waits that are overdue.",
		})),
		late: process.Register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "parley_orchestrator_overdue_seconds", Help: "How long the wait that is overdue for longest should have ended; 0 for none.",
		})),
	}
}

// Run sweeps until ctx ends. While the database is away nothing is swept; the
// deadlines wait with it.
func (s *Sweeper) Run(ctx context.Context) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.logger.Debug("nothing swept", "error", err)
		}
	}
}

// Sweep sends a timeout for what is overdue now and was not told of lately. It
// is not safe for concurrent use.
func (s *Sweeper) Sweep(ctx context.Context) error {
	now := s.clock().UTC()
	s.forget(now)
	waits, err := s.waits.OverdueAt(ctx, now, atMost+len(s.told))
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	s.late.Set(0)
	if len(waits) > 0 {
		s.late.Set(now.Sub(waits[0].Deadline).Seconds())
	}
	for _, w := range waits {
		w.Deadline = w.Deadline.UTC() // it is compared
		if _, told := s.told[w]; told {
			continue
		}
		if err := s.send(ctx, w, now); err != nil {
			return err
		}
		s.told[w] = now
	}
	return nil
}

// forget lets what is still overdue be told again.
func (s *Sweeper) forget(now time.Time) {
	if len(s.told) > toldAtMost {
		clear(s.told)
	}
	maps.DeleteFunc(s.told, func(_ readmodel.Overdue, at time.Time) bool { return now.Sub(at) >= again })
}

func (s *Sweeper) send(ctx context.Context, w readmodel.Overdue, now time.Time) error {
	id := fmt.Sprintf("%s.timeout.%d.%d", w.CallID, w.Deadline.UnixMilli(), now.Truncate(again).Unix())
	data, err := json.Marshal(work.Command{ID: id, Name: work.Timeout, RequestID: w.RequestID, At: now, CallID: w.CallID})
	if err != nil {
		return fmt.Errorf("sweep: encode command: %w", err)
	}
	ack, err := s.js.PublishMsg(ctx, &nats.Msg{Subject: events.CommandSubject(w.RequestID), Data: data}, jetstream.WithMsgID(id))
	if err != nil {
		return fmt.Errorf("sweep: publish: %w", err)
	}
	if !ack.Duplicate {
		s.sent.Inc()
	}
	return nil
}
