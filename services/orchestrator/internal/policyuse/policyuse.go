// Package policyuse answers the config service, which asks before it deletes a
// policy whether a privacy request refers to it (events.PolicyUseSubject).
//
// The answer is that of the read model. While that cannot be asked the answer
// says so, and the policy stays. A request that is submitted after the answer
// has the policy in its record and does not need the stored one.
package policyuse

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

const (
	queue        = "orchestrator"
	answerWithin = 3 * time.Second
	waitAtMost   = 64
)

// ReadModel knows which policies requests refer to.
type ReadModel interface {
	PolicyReferenced(ctx context.Context, policyKey string) (bool, error)
}

// Service answers.
type Service struct {
	nc     *nats.Conn
	model  ReadModel
	logger *slog.Logger
}

// New returns a service that does not answer yet.
func New(nc *nats.Conn, model ReadModel, logger *slog.Logger) *Service {
	return &Service{nc: nc, model: model, logger: logger}
}

// Run answers, one after the other, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	questions := make(chan *nats.Msg, waitAtMost)
	sub, err := s.nc.ChanQueueSubscribe(events.PolicyUseFilter, queue, questions)
	if err != nil {
		return fmt.Errorf("policyuse: subscribe: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case msg := <-questions:
			s.respond(ctx, msg)
		}
	}
}

func (s *Service) respond(ctx context.Context, msg *nats.Msg) {
	data, err := json.Marshal(s.answer(ctx, msg.Subject))
	if err == nil {
		err = msg.Respond(data)
	}
	if err != nil {
		s.logger.Warn("a question about a policy could not be answered", "error", err)
	}
}

func (s *Service) answer(ctx context.Context, subject string) work.PolicyUse {
	key, ok := events.PolicyOfSubject(subject)
	if !ok {
		return work.PolicyUse{}
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	referenced, err := s.model.PolicyReferenced(ctx, key)
	if err != nil {
		s.logger.Warn("the read model cannot say whether a policy is in use", "error", err)
	}
	return work.PolicyUse{Known: err == nil, Referenced: referenced}
}
