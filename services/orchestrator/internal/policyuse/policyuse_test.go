package policyuse_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator/internal/policyuse"
)

// model refers to the policies of its keys; the value is its error.
type model map[string]error

func (m model) PolicyReferenced(_ context.Context, key string) (bool, error) {
	err, there := m[key]
	return there, err
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	nc, _ := testbed.NATS(t)
	service := policyuse.New(nc, model{"used": nil, "away": errors.New("away")}, slog.New(slog.DiscardHandler))
	go func() { _ = service.Run(t.Context()) }()
	for subject, want := range map[string]work.PolicyUse{
		events.PolicyUseSubject("used"):   {Known: true, Referenced: true},
		events.PolicyUseSubject("unused"): {Known: true},
		events.PolicyUseSubject("away"):   {Referenced: true},
		"dsr.ask.policy.===":              {},
	} {
		var got work.PolicyUse
		if err := json.Unmarshal(ask(t, nc, subject), &got); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: %+v, want %+v", subject, got, want)
		}
	}
}

// ask asks until somebody listens.
func ask(t *testing.T, nc *nats.Conn, subject string) []byte {
	t.Helper()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		answer, err := nc.RequestWithContext(ctx, subject, nil)
		cancel()
		if errors.Is(err, nats.ErrNoResponders) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return answer.Data
	}
}
