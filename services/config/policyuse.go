package config

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

// policyUseWithin is how long the orchestrator may take to say whether privacy
// requests refer to a policy.
const policyUseWithin = 5 * time.Second

// errPolicyUse is returned where an orchestrator answered that it cannot tell.
var errPolicyUse = errors.New("config: the orchestrator cannot tell whether a policy is in use")

// policyUse asks the orchestrators; one of them answers.
func (s *service) policyUse(ctx context.Context, policyKey string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, policyUseWithin)
	defer cancel()
	msg, err := s.deps.NATS.RequestWithContext(ctx, events.PolicyUseSubject(policyKey), nil)
	if err != nil {
		return false, fmt.Errorf("config: use of a policy: %w", err)
	}
	var answer work.PolicyUse
	if err := json.Unmarshal(msg.Data, &answer); err != nil {
		return false, fmt.Errorf("config: use of a policy: %w", err)
	}
	if !answer.Known {
		return false, errPolicyUse
	}
	return answer.Referenced, nil
}
