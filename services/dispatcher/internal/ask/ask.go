// Package ask answers what others ask the dispatcher, by NATS requests: whether
// a connection can be reached, and how the lanes are. An answer that cannot be
// given is not given; who asks waits a while and then says so.
package ask

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/dispatcher/internal/lane"
)

const (
	// atOnce is how many probes are worked on at a time.
	atOnce = 8
	// waiting is how many more questions of a kind may wait for their turn.
	waiting = 256
	// lanesWithin is how long looking at the lanes may take.
	lanesWithin = 10 * time.Second
	// group lets one dispatcher answer where one answer is enough.
	group = "dispatcher"
)

// Prober probes connections.
type Prober interface {
	Probe(ctx context.Context, connectionID string) (work.ProbeAnswer, error)
}

// Lanes shows lanes.
type Lanes interface {
	Lanes(ctx context.Context) ([]lane.Status, error)
}

// Connections reads connections.
type Connections interface {
	Connection(ctx context.Context, id string) (catalog.Connection, error)
}

// Answerer answers.
type Answerer struct {
	NATS        *nats.Conn
	Prober      Prober
	Lanes       Lanes
	Connections Connections
	// Replica names this process.
	Replica string
	Clock   func() time.Time
	Logger  *slog.Logger
}

// Run answers until ctx ends. Probes of receivers that hang are not in the way of
// who wants to see the lanes because they do.
func (a Answerer) Run(ctx context.Context) error {
	probes, lanes := make(chan *nats.Msg, waiting), make(chan *nats.Msg, waiting)
	probing, err := a.NATS.ChanQueueSubscribe(events.ProbeSubject("*"), group, probes)
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	defer func() { _ = probing.Unsubscribe() }()
	looking, err := a.NATS.ChanSubscribe(events.LanesSubject, lanes)
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	defer func() { _ = looking.Unsubscribe() }()
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() { a.work(ctx, probes) })
	}
	workers.Go(func() { a.work(ctx, lanes) })
	workers.Wait()
	return nil
}

func (a Answerer) work(ctx context.Context, questions <-chan *nats.Msg) {
	for {
		select {
		case <-ctx.Done():
			return
		case msg := <-questions:
			if err := a.answer(ctx, msg); err != nil && ctx.Err() == nil {
				a.Logger.Warn("a question was not answered", "error", err)
			}
		}
	}
}

func (a Answerer) answer(ctx context.Context, msg *nats.Msg) error {
	var value any
	var err error
	if msg.Subject == events.LanesSubject {
		value, err = a.lanes(ctx)
	} else {
		value, err = a.probe(ctx, strings.TrimPrefix(msg.Subject, events.ProbeSubject("")))
	}
	if err != nil {
		return err
	}
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	return msg.Respond(data)
}

func (a Answerer) probe(ctx context.Context, connectionID string) (work.ProbeAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, work.ProbeWithin)
	defer cancel()
	return a.Prober.Probe(ctx, connectionID)
}

func (a Answerer) lanes(ctx context.Context) (work.Lanes, error) {
	ctx, cancel := context.WithTimeout(ctx, lanesWithin)
	defer cancel()
	statuses, err := a.Lanes.Lanes(ctx)
	if err != nil {
		return work.Lanes{}, err
	}
	answer := work.Lanes{Replica: a.Replica, Lanes: make([]work.Lane, 0, len(statuses))}
	for _, s := range statuses {
		answer.Lanes = append(answer.Lanes, a.show(ctx, s))
	}
	return answer, nil
}

func (a Answerer) show(ctx context.Context, s lane.Status) work.Lane {
	shown := work.Lane{ConnectionID: s.ConnectionID, Pending: s.Pending, InFlight: s.InFlight, Breaker: s.Breaker}
	if s.CoolDown > 0 {
		at := a.Clock().Add(s.CoolDown).UTC()
		shown.TryAt = &at
	}
	if !s.Oldest.IsZero() {
		oldest := s.Oldest.UTC()
		shown.Oldest = &oldest
	}
	// A connection that is gone, or cannot be read now, has its id.
	if connection, err := a.Connections.Connection(ctx, s.ConnectionID); err == nil {
		shown.ConnectionKey = connection.Key
	}
	return shown
}
