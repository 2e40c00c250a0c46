// Package disclosure answers executors that ask for the person of a request
// (events.IdentitySubject). Executors hold no keys, so the orchestrator opens
// the vault for them, and only while the request waits for the very execution
// that the question names.
package disclosure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/pkg/events"
)

const (
	queue         = "orchestrator"
	answerTimeout = 5 * time.Second
	atOnce        = 16
)

// Service answers.
type Service struct {
	nc       *nats.Conn
	requests *topology.Bucket
	vault    *vault.Vault
	logger   *slog.Logger
}

// New returns a service that does not answer yet.
func New(nc *nats.Conn, requests *topology.Bucket, v *vault.Vault, logger *slog.Logger) *Service {
	return &Service{nc: nc, requests: requests, vault: v, logger: logger}
}

// Run answers until ctx ends. Many executors may ask at the same time, so the
// questions that wait are as many as a subscription holds.
func (s *Service) Run(ctx context.Context) error {
	sub, err := s.nc.QueueSubscribeSync(events.IdentitySubject("*"), queue)
	if err != nil {
		return fmt.Errorf("disclosure: subscribe: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	slots := make(chan struct{}, atOnce)
	for {
		msg, err := sub.NextMsgWithContext(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, nats.ErrSlowConsumer): // some were dropped; executors ask again
			continue
		case err != nil: // the connection was closed
			<-ctx.Done()
			return context.Cause(ctx)
		}
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			s.respond(ctx, msg)
		}()
	}
}

func (s *Service) respond(ctx context.Context, msg *nats.Msg) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	id := strings.TrimPrefix(msg.Subject, events.IdentitySubject(""))
	answer := events.IdentityAnswer{Code: events.IdentityNotAwaited}
	var question events.IdentityQuestion
	if err := json.Unmarshal(msg.Data, &question); err == nil {
		answer = s.answer(ctx, id, question.ExecutionID)
	}
	data, err := json.Marshal(answer)
	if err == nil {
		err = msg.Respond(data)
	}
	if err != nil {
		s.logger.Warn("an executor could not be answered", "request_id", id, "error", err)
	}
}

func (s *Service) answer(ctx context.Context, id, executionID string) events.IdentityAnswer {
	rec, err := s.record(ctx, id)
	switch {
	case errors.Is(err, topology.ErrNotFound), errors.Is(err, topology.ErrKey):
		return events.IdentityAnswer{Code: events.IdentityNotAwaited}
	case err != nil:
		return s.unavailable(id, err)
	case !awaits(rec, executionID):
		return events.IdentityAnswer{Code: events.IdentityNotAwaited}
	}
	person, err := s.vault.Read(ctx, id, rec.Staged)
	if errors.Is(err, vault.ErrExpired) {
		return events.IdentityAnswer{Code: events.IdentityExpired}
	}
	if err != nil {
		return s.unavailable(id, err)
	}
	shown, err := show(person)
	if err != nil {
		return s.unavailable(id, err)
	}
	return events.IdentityAnswer{Person: &shown}
}

func (s *Service) unavailable(id string, err error) events.IdentityAnswer {
	s.logger.Warn("an identity could not be read", "request_id", id, "error", err)
	return events.IdentityAnswer{Code: events.IdentityUnavailable}
}

func (s *Service) record(ctx context.Context, id string) (*record.Record, error) {
	entry, err := s.requests.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	rec, err := record.Decode(entry.Value)
	if err != nil {
		return nil, fmt.Errorf("disclosure: %w", err)
	}
	return rec, nil
}

// awaits says whether the request waits for the execution.
func awaits(rec *record.Record, executionID string) bool {
	return executionID != "" && rec.Wait != nil && rec.Wait.Kind == record.WaitExecution && rec.Wait.CallID == executionID
}

func show(p vault.Person) (events.Person, error) {
	out := events.Person{ConsentPreferences: p.ConsentPreferences, EncryptionKey: p.EncryptionKey}
	data, err := json.Marshal(p.Identity)
	if err == nil {
		err = json.Unmarshal(data, &out.Identity)
	}
	if err != nil {
		return out, fmt.Errorf("disclosure: show identity: %w", err)
	}
	if len(p.CustomFields) > 0 {
		out.CustomFields = make(map[string]any, len(p.CustomFields))
		for name, field := range p.CustomFields {
			out.CustomFields[name] = field
		}
	}
	return out, nil
}
