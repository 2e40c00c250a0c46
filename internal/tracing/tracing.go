// Package tracing makes the spans of a service: what was done, for how long, and
// because of what.
//
// A trace goes through the installation as a W3C traceparent: in the header of a
// REST call, in a command, a fact and an order, and in the header of the call
// that goes out. Who takes one of these continues the trace, and puts its own
// span into what follows from it. A traceparent that came in is passed on, too,
// where nobody collects spans: those before and behind us may.
//
// What happens days later, because somebody else has acted, is a trace of its
// own with a link to the one that it goes on from: a trace that stays open for
// days could be read by nobody.
//
// Attributes are ids, names of routes and types, and statuses. Nothing of a
// person, no secret, and no error text that another system has written.
//
// Nothing here is global. A nil Tracer is of use: it makes no spans and costs
// next to nothing.
package tracing

import (
	"context"
	"encoding/hex"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// scope is the name under which the spans are made.
const scope = "github.com/parley-dsr/parley"

// Keys of the attributes that are not those of the OpenTelemetry conventions.
const (
	KeyRequest    = attribute.Key("parley.request_id")
	KeyCall       = attribute.Key("parley.call_id")
	KeyConnection = attribute.Key("parley.connection_id")
	KeyAttempt    = attribute.Key("parley.attempt")
	KeyOutcome    = attribute.Key("parley.outcome")
	KeyStatus     = attribute.Key("parley.status")
	KeyInput      = attribute.Key("parley.input")
	KeyResult     = attribute.Key("parley.result")
	KeyFact       = attribute.Key("cloudevents.event_id")
	KeyFactType   = attribute.Key("cloudevents.event_type")
)

// Tracer makes spans.
type Tracer struct{ tracer trace.Tracer }

// New gives a tracer; that of a nil provider makes no spans.
func New(p trace.TracerProvider) *Tracer {
	if p == nil {
		return nil
	}
	return &Tracer{tracer: p.Tracer(scope)}
}

// Start begins a span below the one of ctx, or a trace.
func (t *Tracer) Start(ctx context.Context, name string, o ...trace.SpanStartOption) (context.Context, trace.Span) {
	if t == nil {
		return ctx, noop.Span{}
	}
	return t.tracer.Start(ctx, name, o...)
}

// Continue begins a span below the one that a traceparent names. Without one it
// begins a trace: the span of ctx is not asked.
func (t *Tracer) Continue(ctx context.Context, traceParent, name string, o ...trace.SpanStartOption) (context.Context, trace.Span) {
	parent := Parse(traceParent)
	if t == nil {
		if parent.IsValid() {
			ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
		}
		return ctx, noop.Span{}
	}
	if parent.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
	} else {
		o = append(o, trace.WithNewRoot())
	}
	return t.tracer.Start(ctx, name, o...)
}

// Fail marks a span as failed. The text says in what way, in words of ours.
func Fail(span trace.Span, text string) { span.SetStatus(codes.Error, text) }

// LinkTo links a span to where a traceparent points, unless that is its own
// trace.
func LinkTo(span trace.Span, traceParent string) {
	to := Parse(traceParent)
	if to.IsValid() && to.TraceID() != span.SpanContext().TraceID() {
		span.AddLink(trace.Link{SpanContext: to})
	}
}

// Parent is the traceparent of what follows from ctx, "" outside of a trace.
func Parent(ctx context.Context) string { return format(trace.SpanContextFromContext(ctx)) }

// ID is the id of the trace of ctx, "" outside of one.
func ID(ctx context.Context) string {
	if c := trace.SpanContextFromContext(ctx); c.HasTraceID() {
		return c.TraceID().String()
	}
	return ""
}

const (
	versionLength = len("00-")
	parentLength  = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
)

// format writes a traceparent.
func format(c trace.SpanContext) string {
	if !c.IsValid() {
		return ""
	}
	text := make([]byte, 0, parentLength)
	traceID, spanID := c.TraceID(), c.SpanID()
	text = append(text, "00-"...)
	text = hex.AppendEncode(text, traceID[:])
	text = append(text, '-')
	text = hex.AppendEncode(text, spanID[:])
	text = append(text, '-')
	return string(hex.AppendEncode(text, []byte{byte(c.TraceFlags())}))
}

// Parse reads a traceparent of the version that there is; what is none gives a
// context that is not valid.
func Parse(traceParent string) trace.SpanContext {
	none := trace.SpanContext{}
	if len(traceParent) != parentLength || traceParent[:versionLength] != "00-" || traceParent[35] != '-' || traceParent[52] != '-' {
		return none
	}
	traceID, err := trace.TraceIDFromHex(traceParent[3:35])
	if err != nil {
		return none
	}
	spanID, err := trace.SpanIDFromHex(traceParent[36:52])
	if err != nil {
		return none
	}
	flags, err := strconv.ParseUint(traceParent[53:], 16, 8)
	if err != nil {
		return none
	}
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: traceID, SpanID: spanID, TraceFlags: trace.TraceFlags(flags) & trace.FlagsSampled, Remote: true,
	})
}

// FactName is the type of a fact as the names of spans have it:
// "request.created" for dev.parley.request.created.v1.
func FactName(eventType string) string {
	name := strings.TrimPrefix(eventType, "dev.parley.")
	if i := strings.LastIndex(name, ".v"); i > 0 {
		name = name[:i]
	}
	return name
}
