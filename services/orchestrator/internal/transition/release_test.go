package transition_test

import (
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator/internal/transition"
)

// TestAOneWayCallHoldsNoRequestWithoutADatabase: nobody makes the call, since
// its receiver is down, and nobody sweeps, since Postgres is away.
func TestAOneWayCallHoldsNoRequestWithoutADatabase(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *transition.Config) { c.Rules.ReleaseAfter = 100 * time.Millisecond })
	b.policy([]record.Webhook{hook("first", record.OneWay)}, nil)
	b.run()
	b.submit("pri_1")
	b.facts.await(events.RequestCompleted, "pri_1")
}
