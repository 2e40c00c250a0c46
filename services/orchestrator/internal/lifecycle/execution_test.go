package lifecycle

import (
	"testing"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

func TestExecutionsFail(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ said, code, reason, message string }{
		"by the executor's word": {"The shop is closed", "", events.ReasonExecutionFailed, "The shop is closed"},
		"without a word":         {"", "", events.ReasonExecutionFailed, "The execution failed."},
		"for want of a person":   {"The identity has expired", events.ReasonIdentityExpired, events.ReasonIdentityExpired, MessageExpired},
		"for what nobody knows":  {"Soon", "future_code", events.ReasonExecutionFailed, "Soon"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := setup(t)
			l.rules.External, l.ctx.Policy.Pre = true, nil
			l.command(work.Submit)
			l.give(Input{Execution: &ExecutionFact{Type: events.ExecutionFailed, Data: events.ExecutionData{
				ExecutionID: l.rec.Wait.CallID, Message: tt.said, Reason: tt.code,
			}}})
			l.want(record.Failed, "request.failed")
			if r := l.rec.Outbox[0]; r.Reason != tt.reason || r.Message != tt.message {
				t.Errorf("%s, %q", r.Reason, r.Message)
			}
		})
	}
}
