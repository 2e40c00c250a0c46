// Package admission has the consumers of executors and observers made, which
// have accounts of NATS for themselves. What they publish to make a consumer
// arrives here instead of at the server (topology.AdmissionFilter). A consumer
// that is as it should be is made by the server, and its answer is handed on;
// any other is refused in the words of JetStream.
//
// Only this needs an orchestrator: consumers that exist are read without one.
package admission

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/topology"
)

const (
	queue      = "orchestrator"
	makeWithin = 4 * time.Second
	waitAtMost = 64
)

// Service answers.
type Service struct {
	nc     *nats.Conn
	logger *slog.Logger
}

// New returns a service that does not answer yet.
func New(nc *nats.Conn, logger *slog.Logger) *Service {
	return &Service{nc: nc, logger: logger}
}

// Run answers, one after the other, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	requests := make(chan *nats.Msg, waitAtMost)
	sub, err := s.nc.ChanQueueSubscribe(topology.AdmissionFilter, queue, requests)
	if err != nil {
		return fmt.Errorf("admission: subscribe: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case msg := <-requests:
			if err := msg.Respond(s.answer(ctx, msg.Subject, msg.Data)); err != nil {
				s.logger.Warn("who asked for a consumer could not be answered", "subject", msg.Subject, "error", err)
			}
		}
	}
}

// answer is what the server says, or what is wrong.
func (s *Service) answer(ctx context.Context, subject string, request []byte) []byte {
	consumer, ok := topology.AdmissionAt(subject)
	if !ok {
		return refusal(jetstream.JSErrCodeBadRequest, "there is no such consumer")
	}
	admitted, err := consumer.Admit(request)
	if err != nil {
		s.logger.Warn("a consumer was refused", "consumer", consumer.Consumer, "error", err)
		return refusal(jetstream.JSErrCodeBadRequest, err.Error())
	}
	ctx, cancel := context.WithTimeout(ctx, makeWithin)
	defer cancel()
	made, err := s.nc.RequestWithContext(ctx, consumer.Subject(), admitted)
	if err != nil {
		s.logger.Warn("a consumer could not be made now", "consumer", consumer.Consumer, "error", err)
		return refusal(unavailable, "JetStream system temporarily unavailable")
	}
	return made.Data
}

// unavailable is the server's own code for it.
const unavailable jetstream.ErrorCode = 10008

// refusal is an answer of the API of JetStream.
func refusal(code jetstream.ErrorCode, text string) []byte {
	answer := struct {
		Type  string             `json:"type"`
		Error jetstream.APIError `json:"error"`
	}{
		Type:  "io.nats.jetstream.api.v1.consumer_create_response",
		Error: jetstream.APIError{Code: 400, ErrorCode: code, Description: text},
	}
	if code == unavailable {
		answer.Error.Code = 503
	}
	data, err := json.Marshal(answer)
	if err != nil {
		return nil
	}
	return data
}
