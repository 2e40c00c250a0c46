package call

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/tracing"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/dispatcher/internal/egress"
)

// begin starts the span of an attempt. The call itself, the facts about it and
// the next attempt are below it.
func (c *Caller) begin(ctx context.Context, call *work.Call) (context.Context, trace.Span) {
	var about []trace.SpanStartOption // what only a span needs is made only for one
	if c.Tracer != nil {
		about = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
			tracing.KeyRequest.String(call.RequestID), tracing.KeyCall.String(call.CallID),
			tracing.KeyConnection.String(call.Webhook.ConnectionID), tracing.KeyAttempt.Int(call.Attempt))}
	}
	ctx, span := c.Tracer.Continue(ctx, call.TraceParent, "attempt", about...)
	call.TraceParent = tracing.Parent(ctx)
	return process.About(ctx, call.RequestID, call.CallID), span
}

// calling starts the span of a call that leaves the house. Where it goes is a
// secret of the connection.
func (c *Caller) calling(ctx context.Context, call work.Call) (context.Context, trace.Span) {
	if c.Tracer == nil {
		return ctx, noop.Span{}
	}
	return c.Tracer.Start(ctx, "POST", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("http.request.method", "POST"), tracing.KeyCall.String(call.CallID),
		tracing.KeyConnection.String(call.Webhook.ConnectionID), tracing.KeyAttempt.Int(call.Attempt)))
}

func called(span trace.Span, answer egress.Answer, err error) {
	if _, none := span.(noop.Span); none {
		return
	}
	outcome := egress.Outcome(answer, err)
	span.SetAttributes(tracing.KeyOutcome.String(outcome))
	if answer.Status > 0 {
		span.SetAttributes(attribute.Int("http.response.status_code", answer.Status))
	}
	if outcome != events.OutcomeOK {
		tracing.Fail(span, outcome)
	}
	span.End()
}

// telling starts the span of a fact.
func (c *Caller) telling(ctx context.Context, e events.Event) (context.Context, trace.Span) {
	if c.Tracer == nil {
		return ctx, noop.Span{}
	}
	return c.Tracer.Start(ctx, "publish "+tracing.FactName(e.Type()), trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(tracing.KeyFact.String(e.ID()), tracing.KeyFactType.String(e.Type())))
}

// tell writes down an attempt: one that failed for who runs the receiver, the
// others for who looks closely.
func (c *Caller) tell(ctx context.Context, call work.Call, made result) {
	level := slog.LevelDebug
	if made.outcome != events.OutcomeOK {
		level = slog.LevelInfo
	}
	if !c.Logger.Enabled(ctx, level) {
		return
	}
	c.Logger.Log(ctx, level, "attempt", "connection_id", call.Webhook.ConnectionID, "attempt", call.Attempt,
		"outcome", made.outcome, "status", made.status, "took", made.took)
}
