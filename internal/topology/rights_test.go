package topology_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/topology"
)

// TestRights: a server with the users of the table gives each service and the
// operator their rights, no more and no less; what another one has is told as
// missing and as too much, and no user at all has everything.
func TestRights(t *testing.T) {
	t.Parallel()
	s := withAccounts(t)
	have := map[string]topology.Rights{}
	for _, u := range users(t) {
		if u.Account != "" {
			continue
		}
		nc, _ := s.as(t, u.Name)
		rights, err := topology.RightsOf(t.Context(), nc)
		if err != nil {
			t.Fatalf("%s: %v", u.Name, err)
		}
		if lacks, beyond := rights.Deviations(u.Name); len(lacks)+len(beyond) > 0 {
			t.Errorf("%s lacks %v and has %v beyond", u.Name, lacks, beyond)
		}
		have[u.Name] = rights
	}
	if len(have) != 5 {
		t.Fatalf("%d users were asked", len(have))
	}

	lacks, beyond := have[topology.UserDispatcher].Deviations(topology.UserCallback)
	if !slices.Contains(lacks, "publish $KV.dsr_halted.>") || !slices.Contains(beyond, "answer") || !slices.Contains(beyond, "publish dsr.event.webhook.halted.*") {
		t.Errorf("as callback, the dispatcher lacks %v and has %v beyond", lacks, beyond)
	}
	loose := have[topology.UserDispatcher]
	loose.Deny = nil
	if lacks, beyond := loose.Deviations(topology.UserDispatcher); len(lacks) > 0 || !strings.Contains(strings.Join(beyond, " "), topology.ConsumerCommands) {
		t.Errorf("without what is denied, the dispatcher lacks %v and has %v beyond", lacks, beyond)
	}
	older := have[topology.UserOrchestrator]
	older.Answers = false
	older.Publish = append(slices.Clone(older.Publish), "$JS.API.CONSUMER.CREATE.DSR_EVENTS.callback-facts", "$JS.API.CONSUMER.CREATE.DSR_WORK.observer-a")
	if lacks, beyond := older.Deviations(topology.UserOrchestrator); !slices.Equal(lacks, []string{"answer"}) || len(beyond) != 2 {
		t.Errorf("the orchestrator lacks %v and has %v beyond", lacks, beyond)
	}

	nc, _ := testbed.NATS(t)
	rights, err := topology.RightsOf(t.Context(), nc)
	if err != nil || !rights.Everything {
		t.Fatalf("without users: %+v, %v", rights, err)
	}
	if _, beyond := rights.Deviations(topology.UserConfig); !slices.Equal(beyond, []string{"everything"}) {
		t.Errorf("without users, config has %v beyond", beyond)
	}
}
