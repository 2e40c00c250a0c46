package config

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

// probeSlack is how much longer we wait for an answer than a probe may take.
const probeSlack = 2 * time.Second

// probe asks the dispatchers to reach for a connection: they have the rules by
// which calls leave the house. Without a dispatcher the answer is an error at
// once.
func (s *service) probe(ctx context.Context, connectionID string) (work.ProbeAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, work.ProbeWithin+probeSlack)
	defer cancel()
	var answer work.ProbeAnswer
	msg, err := s.deps.NATS.RequestWithContext(ctx, events.ProbeSubject(connectionID), nil)
	if err != nil {
		return answer, fmt.Errorf("config: probe: %w", err)
	}
	if err := json.Unmarshal(msg.Data, &answer); err != nil {
		return answer, fmt.Errorf("config: probe: %w", err)
	}
	return answer, nil
}
