// Package recount lets requests that wait for pre-approval webhooks be looked at
// again when these webhooks were changed: one that was deleted before it replied
// no longer counts, so those that are left may have decided, or none may be left
// (beyond the contract, §2).
//
// It is prompt, not sure: a change that nobody hears, or that comes while the
// read model is away, is noticed with the next reply, or at the deadline of the
// wait. Each request gets a command and the transition loop decides, so a command
// too many changes nothing.
package recount

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
)

const (
	subject = "dsr.event.config.preapproval.changed.*"
	queue   = "orchestrator-recount"
	// waitAtMost is how many changes are kept: more say nothing new.
	waitAtMost = 16
	// atMost is how many requests are looked at for one change; the rest wait
	// for their replies or their deadlines.
	atMost = 10_000
)

// Requests finds requests.
type Requests interface {
	SelectIDs(ctx context.Context, f readmodel.Filter, atMost int) ([]string, int, error)
}

// Service hears of changes.
type Service struct {
	nc       *nats.Conn
	js       jetstream.JetStream
	requests Requests
	clock    func() time.Time
	logger   *slog.Logger
}

// New returns a service that does not listen yet.
func New(nc *nats.Conn, js jetstream.JetStream, requests Requests, clock func() time.Time, logger *slog.Logger) *Service {
	return &Service{nc: nc, js: js, requests: requests, clock: clock, logger: logger}
}

// Run listens until ctx ends. One of several replicas hears of a change.
func (s *Service) Run(ctx context.Context) error {
	changes := make(chan *nats.Msg, waitAtMost)
	sub, err := s.nc.ChanQueueSubscribe(subject, queue, changes)
	if err != nil {
		return fmt.Errorf("recount: subscribe: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case msg := <-changes:
			change := msg.Header.Get(nats.MsgIdHdr)
			if err := s.all(ctx, change); err != nil && ctx.Err() == nil {
				s.logger.Warn("requests wait on, although pre-approval webhooks were changed", "error", err)
			}
		}
	}
}

// all sends the command for every request that waits for replies.
func (s *Service) all(ctx context.Context, change string) error {
	waiting := readmodel.Filter{Statuses: []string{string(record.AwaitingPreApproval)}, ConsentWebhooks: true}
	ids, _, err := s.requests.SelectIDs(ctx, waiting, atMost)
	if err != nil {
		return fmt.Errorf("recount: %w", err)
	}
	for _, id := range ids {
		if err := s.send(ctx, id, change); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) send(ctx context.Context, requestID, change string) error {
	id := requestID + ".recount." + change
	data, err := json.Marshal(work.Command{ID: id, Name: work.Recount, RequestID: requestID, At: s.clock().UTC()})
	if err != nil {
		return fmt.Errorf("recount: encode command: %w", err)
	}
	msg := &nats.Msg{Subject: events.CommandSubject(requestID), Data: data}
	if _, err := s.js.PublishMsg(ctx, msg, jetstream.WithMsgID(id)); err != nil {
		return fmt.Errorf("recount: publish: %w", err)
	}
	return nil
}
