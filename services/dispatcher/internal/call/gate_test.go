package call

import (
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
)

func TestNothingIsCalledForADeletedRequest(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, call := range map[string]work.Call{
		"one_way":      {CallID: "c", Phase: record.Pre, Webhook: record.Webhook{Direction: record.OneWay}},
		"two_way":      {CallID: "c", Phase: record.Pre, Webhook: record.Webhook{Direction: record.TwoWay}},
		"pre-approval": {CallID: "c", Phase: record.PreApproval},
	} {
		request := record.Record{
			Status: record.AwaitingPreApproval, Repliers: []record.Replier{{CallID: "c"}},
			Wait: &record.Wait{Kind: record.WaitCall, CallID: "c"},
		}
		if !wanted(&request, call) {
			t.Errorf("%s: not wanted although it is waited for", name)
		}
		request.DeletedAt = &now
		if wanted(&request, call) {
			t.Errorf("%s: wanted of a deleted request", name)
		}
	}
}
