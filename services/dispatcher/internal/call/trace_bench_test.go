package call

import (
	"log/slog"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/dispatcher/internal/egress"
)

// BenchmarkUnseen is what spans, logs and headers cost a call that is not
// traced and goes well.
func BenchmarkUnseen(b *testing.B) {
	c := &Caller{Config: Config{Logger: slog.New(slog.DiscardHandler)}}
	event, err := events.New(events.SourceDispatcher, events.WebhookSucceeded, "pri_1_call.1.succeeded", "pri_1", time.Now(), events.WebhookData{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		call := work.Call{CallID: "pri_1_call", RequestID: "pri_1", Phase: record.Pre, Attempt: 1, Webhook: record.Webhook{Direction: record.TwoWay}}
		ctx, attempt := c.begin(b.Context(), &call)
		_, post := c.calling(ctx, call)
		called(post, egress.Answer{Status: 200}, nil)
		_, fact := c.telling(ctx, event)
		fact.End()
		c.tell(ctx, call, result{outcome: events.OutcomeOK})
		attempt.End()
		if paths, _ := replyPaths(call); len(paths) != 1 {
			b.Fatal(paths)
		}
	}
}
