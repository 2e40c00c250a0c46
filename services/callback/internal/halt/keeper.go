// Package halt keeps account of what is halted, and notices when a halt's time
// is over.
//
// A halt is one key in the bucket dsr_halted, named by the call that halted the
// request, with a time to live that ends with the reply token. There are no
// timers here: when nobody has resumed the request, the server replaces the key
// by a marker, and a durable consumer on the bucket's stream turns the marker
// into the fact callback.expired. Neither a restart of this service nor one of
// NATS can lose it, and a marker names its call, so that a late one can never
// end another halt.
//
// The keeper follows the orchestrator's facts with a second durable consumer.
// Facts may be repeated, and the replicas of the service work on them at the
// same time, so that the end of a halt can be handled before its begin. The
// record decides: a key is made only for a request that is paused on the call,
// and the record is read once more after it was made. Either that second look
// finds the halt over and takes the key away, or the fact that ends the halt is
// published after it and does.
//
// The keeper decides nothing about a request. Whether an expiry counts is the
// orchestrator's word; one for a call that is not waited for changes nothing.
package halt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/tracing"
	"github.com/parley-dsr/parley/internal/watch"
	"github.com/parley-dsr/parley/pkg/events"
)

// records is where the present of the requests is read.
type records interface {
	Get(ctx context.Context, requestID string) (topology.Entry, error)
}

// Keeper keeps the bucket of halts.
type Keeper struct {
	js       jetstream.JetStream
	halted   *topology.Bucket
	requests records
	logger   *slog.Logger
	tracer   *tracing.Tracer
	watch    *watch.Watch
	metrics  *metrics
	clock    func() time.Time
}

// Options of a keeper; all but the tracer are required.
type Options struct {
	JetStream jetstream.JetStream
	Halted    *topology.Bucket
	Requests  records
	Logger    *slog.Logger
	Registry  prometheus.Registerer
	Clock     func() time.Time
	Tracer    *tracing.Tracer
}

// NewKeeper returns a keeper that does nothing until its Facts and Expiries
// run.
func NewKeeper(o Options) *Keeper {
	return &Keeper{
		js: o.JetStream, halted: o.Halted, requests: o.Requests,
		logger: o.Logger, metrics: newMetrics(o.Registry), clock: o.Clock, tracer: o.Tracer,
		watch: watch.New(o.JetStream, o.Logger, o.Registry),
	}
}

// Facts follows the facts that begin and end halts, until ctx ends.
func (k *Keeper) Facts(ctx context.Context) error {
	types := []string{
		events.RequestPaused, events.RequestResumed, events.RequestCanceled,
		events.RequestFailed, events.RequestResubmitted, events.RequestDeleted,
	}
	filters := make([]string, len(types))
	for i, t := range types {
		filter, err := events.Filter(t)
		if err != nil {
			return err
		}
		filters[i] = filter
	}
	return k.follow(ctx, events.StreamEvents, jetstream.ConsumerConfig{
		Durable:        topology.ConsumerCallbackFacts,
		Description:    "Callback service: the facts that begin and end a halt",
		FilterSubjects: filters,
	}, k.fact)
}

// Expiries follows the markers of keys whose time was over, until ctx ends.
func (k *Keeper) Expiries(ctx context.Context) error {
	return k.follow(ctx, k.halted.StreamName(), jetstream.ConsumerConfig{
		Durable:     topology.ConsumerCallbackExpiry,
		Description: "Callback service: halts whose time is over",
	}, k.expiry)
}

// fact handles one fact of the orchestrator.
func (k *Keeper) fact(ctx context.Context, m jetstream.Msg) error {
	e, err := events.Decode(m.Headers(), m.Data())
	if err != nil {
		return fmt.Errorf("%w: %w", errMessage, err)
	}
	var data events.RequestData
	if err := e.DataAs(&data); err != nil {
		return fmt.Errorf("%w: data of %s", errMessage, e.Type()) // the cause may repeat values
	}
	if data.CallID == "" {
		return nil // ended without a call, so without a halt
	}
	ctx, span := k.tracer.Continue(ctx, events.TraceParent(e), "process "+tracing.FactName(e.Type()),
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
			tracing.KeyRequest.String(e.Subject()), tracing.KeyCall.String(data.CallID), tracing.KeyFact.String(e.ID())))
	defer span.End()
	if e.Type() == events.RequestPaused {
		return k.begin(ctx, e, data.CallID)
	}
	return k.end(ctx, data.CallID)
}

// begin makes the key of a halt that the record confirms.
func (k *Keeper) begin(ctx context.Context, paused events.Event, callID string) error {
	h, state, err := k.look(ctx, paused.Subject(), callID)
	if err != nil || state != waiting {
		return err
	}
	value, err := json.Marshal(h)
	if err != nil {
		return err
	}
	left := h.Until.Sub(k.clock())
	if left <= 0 {
		return k.expire(ctx, callID, h)
	}
	_, err = k.halted.Create(ctx, callID, value, left)
	switch {
	case err == nil:
		k.metrics.kept.Inc()
	case !errors.Is(err, topology.ErrConflict): // a conflict: the fact is a repeat
		return err
	}
	if _, state, err = k.look(ctx, paused.Subject(), callID); err != nil || state == waiting {
		return err
	}
	return k.end(ctx, callID)
}

// state is what a record says about a halt.
type state int

const (
	waiting state = iota // the request is paused on the call
	over                 // it is not, and never will be again
	gone                 // there is no record
)

// look reads what the record says about the halt of a call.
func (k *Keeper) look(ctx context.Context, requestID, callID string) (Halt, state, error) {
	entry, err := k.requests.Get(ctx, requestID)
	if errors.Is(err, topology.ErrNotFound) {
		return Halt{}, gone, nil
	}
	if err != nil {
		return Halt{}, gone, err
	}
	r, err := record.Decode(entry.Value)
	if err != nil {
		return Halt{}, gone, fmt.Errorf("halt: %s: %w", requestID, err)
	}
	if h, ok := of(*r, callID); ok {
		return h, waiting, nil
	}
	return Halt{}, over, nil
}

// end removes the key of a halt, if there is one.
func (k *Keeper) end(ctx context.Context, callID string) error {
	_, err := k.halted.Get(ctx, callID)
	if errors.Is(err, topology.ErrNotFound) || errors.Is(err, topology.ErrKey) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := k.halted.Remove(ctx, callID); err != nil {
		return err
	}
	k.metrics.removed.Inc()
	return nil
}

// expiry handles one message of the bucket's stream. A key can outlive its halt
// by a moment; what ends then is no halt, and nobody is told. A record that is
// gone says nothing, so the expiry is told.
func (k *Keeper) expiry(ctx context.Context, m jetstream.Msg) error {
	if !topology.IsExpiry(m.Headers()) {
		return nil // a key that was made or removed
	}
	callID := topology.KeyOfSubject(m.Subject())
	call, err := record.ParseCallID(callID)
	if err != nil {
		return fmt.Errorf("%w: %w", errMessage, err)
	}
	h, state, err := k.look(ctx, call.RequestID, callID)
	if err != nil || state == over {
		return err
	}
	return k.expire(ctx, callID, h)
}

// expire says that the time of a halt is over. The id of the fact is that of
// the call, so that it is one fact however often it is said. It begins a trace,
// linked to the one in which the request was halted.
func (k *Keeper) expire(ctx context.Context, callID string, halted Halt) error {
	call, err := record.ParseCallID(callID)
	if err != nil {
		return fmt.Errorf("%w: %w", errMessage, err)
	}
	e, err := events.New(events.SourceCallback, events.CallbackExpired, callID+".expired", call.RequestID,
		k.clock(), events.CallbackData{CallID: callID, WebhookID: call.Target})
	if err != nil {
		return fmt.Errorf("%w: %w", errMessage, err)
	}
	ctx, span := k.tracer.Continue(ctx, "", "publish "+tracing.FactName(e.Type()), trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(tracing.KeyRequest.String(call.RequestID), tracing.KeyCall.String(callID)))
	defer span.End()
	tracing.LinkTo(span, halted.Trace)
	events.SetTraceParent(&e, tracing.Parent(ctx))
	if err := events.Publish(ctx, k.js, e); err != nil {
		return fmt.Errorf("halt: publish the expiry: %w", err)
	}
	k.metrics.expired.Inc()
	if !halted.Until.IsZero() {
		k.metrics.late.Observe(max(0, k.clock().Sub(halted.Until).Seconds()))
	}
	k.logger.InfoContext(ctx, "halt expired", "request_id", call.RequestID, "call_id", callID)
	return nil
}
