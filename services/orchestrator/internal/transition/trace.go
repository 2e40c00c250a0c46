package transition

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/trace"

	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/tracing"
	"github.com/parley-dsr/parley/services/orchestrator/internal/lifecycle"
)

// begin starts the span of an input. What the input leads to is below it, so
// its trace becomes that of the span.
func (l *Loop) begin(ctx context.Context, m *message) (context.Context, trace.Span) {
	in := &m.delivery.Input
	ctx, span := l.Tracer.Continue(ctx, in.Trace, "transition "+nameOf(*in), trace.WithSpanKind(trace.SpanKindConsumer))
	if span.IsRecording() {
		span.SetAttributes(tracing.KeyRequest.String(m.delivery.RequestID), tracing.KeyInput.String(in.ID))
		if call := callOf(m.delivery); call != "" {
			span.SetAttributes(tracing.KeyCall.String(call))
		}
	}
	in.Trace = tracing.Parent(ctx)
	return process.About(ctx, m.delivery.RequestID, callOf(m.delivery)), span
}

// goesOn links the span to where the request was left, if that was another
// trace: somebody has acted, or a time was over.
func goesOn(ctx context.Context, rec *record.Record) {
	if rec != nil {
		tracing.LinkTo(trace.SpanFromContext(ctx), rec.Trace)
	}
}

// moved says what the request has become.
func (l *Loop) moved(ctx context.Context, rec *record.Record, in lifecycle.Input) {
	l.Logger.DebugContext(ctx, "transition", "input", nameOf(in), "status", rec.Status, "revision", rec.Revision)
	trace.SpanFromContext(ctx).SetAttributes(tracing.KeyStatus.String(string(rec.Status)))
}

func ended(span trace.Span, err error) {
	span.SetAttributes(tracing.KeyResult.String(resultOf(err)))
	if err != nil && !errors.Is(err, topology.ErrConflict) {
		tracing.Fail(span, "not applied")
	}
}

// publishing is the span of a fact, which ends when the server has it.
func (l *Loop) publishing(ctx context.Context, r record.Recipe) trace.Span {
	_, span := l.Tracer.Continue(ctx, r.Trace, "publish "+tracing.FactName(r.Type), trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(tracing.KeyFact.String(r.ID), tracing.KeyFactType.String(r.Type)))
	return span
}

// nameOf is what an input is about: one of a few words.
func nameOf(in lifecycle.Input) string {
	switch {
	case in.Command != nil:
		return "command " + in.Command.Name
	case in.Webhook != nil:
		return tracing.FactName(in.Webhook.Type)
	case in.Callback != nil:
		return tracing.FactName(in.Callback.Type)
	case in.Execution != nil:
		return tracing.FactName(in.Execution.Type)
	}
	return "unreadable"
}

func callOf(d Delivery) string {
	switch in := d.Input; {
	case in.Command != nil:
		return in.Command.CallID
	case in.Webhook != nil:
		return in.Webhook.Data.CallID
	case in.Callback != nil:
		return in.Callback.Data.CallID
	case in.Execution != nil:
		return in.Execution.Data.ExecutionID
	}
	return ""
}
