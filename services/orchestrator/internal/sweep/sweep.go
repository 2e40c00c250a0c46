// Package sweep ends waits that nobody else ends. Every wait of a request has a
// deadline, and the read model an index of them; every few seconds what is
// overdue gets a timeout command, which names the step. The transition loop
// decides by the record whether the step is still waited for, so a command too
// many changes nothing, and replicas that sweep at the same time send the same
// command under the same id.
package sweep

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
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
}

// New returns a sweeper that has not started.
func New(waits Waits, js jetstream.JetStream, clock func() time.Time, logger *slog.Logger, r prometheus.Registerer) *Sweeper {
	return &Sweeper{
		waits: waits, js: js, clock: clock, logger: logger,
		sent: process.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "parley_orchestrator_timeouts_total", Help: "Timeout commands sent for waits that are overdue.",
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

// Sweep sends a timeout for everything that is overdue now.
func (s *Sweeper) Sweep(ctx context.Context) error {
	now := s.clock().UTC()
	waits, err := s.waits.OverdueAt(ctx, now, atMost)
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	for _, w := range waits {
		if err := s.send(ctx, w, now); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sweeper) send(ctx context.Context, w readmodel.Overdue, now time.Time) error {
	id := fmt.Sprintf("%s.timeout.%d", w.CallID, w.Deadline.UnixMilli())
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
