// Package reply answers what the called systems post back: the resume of a
// halted request and the replies of pre-approval webhooks. It also lists what
// is halted.
//
// A reply is checked in the order of the contract: token, body, request. Only
// then anything is written, so that a refused reply has changed nothing. What
// passes becomes a fact, stored before the caller is answered, and the word of
// the orchestrator decides what the answer is; it arrives on an inbox that the
// fact names. When the word does not come in time the answer is 503, and says
// that the reply is stored: it will still be applied.
//
// The checks against the record here only spare the orchestrator what it would
// refuse anyway and keep refused identities out of the vault. Two replies that
// pass them at the same time meet in the orchestrator's compare-and-set, where
// exactly one wins.
//
// A reply that comes early is welcome: while the call that the token names is
// still in flight, or its halt not yet recorded, the record waits for that very
// call, and the orchestrator keeps the resume.
package reply

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/inbox"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/token"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/tracing"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/callback/internal/halt"
)

// Orchestrator takes a fact and gives the orchestrator's word on it: an
// inbox.Inbox.
type Orchestrator interface {
	Ask(ctx context.Context, fact *nats.Msg, options ...jetstream.PublishOpt) (work.Answer, error)
}

// Vault keeps derived identities until the orchestrator has accepted them.
type Vault interface {
	Stage(ctx context.Context, key string, derived identity.Identity, ttl time.Duration) error
}

// Halts is the list of what is halted: a halt.List.
type Halts interface {
	Page(ctx context.Context, offset, size int) (halts []halt.Halt, total int, err error)
}

// Options of the handlers; all are required.
type Options struct {
	Gate         *Gate
	Requests     *topology.Bucket
	Halted       Halts
	Vault        Vault
	Orchestrator Orchestrator
	// IdentityTTL is the life of a derived identity.
	IdentityTTL time.Duration
	Clock       func() time.Time
	Logger      *slog.Logger
	Registry    prometheus.Registerer
	// Tracer may be nil.
	Tracer *tracing.Tracer
}

// Handlers implement the generated server interface.
type Handlers struct {
	Options
	metrics *metrics
}

// NewHandlers returns the handlers.
func NewHandlers(o Options) *Handlers {
	return &Handlers{Options: o, metrics: newMetrics(o.Registry)}
}

// later is what a caller is told to wait before the next try.
const later = 5 * time.Second

// record reads the record of a request. A request that does not exist is
// notFound, one that is deleted 422.
func (h *Handlers) record(ctx context.Context, id string, notFound error) (record.Record, error) {
	entry, err := h.Requests.Get(ctx, id)
	if errors.Is(err, topology.ErrNotFound) || errors.Is(err, topology.ErrKey) {
		return record.Record{}, notFound
	}
	if err != nil {
		h.Logger.Warn("record cannot be read", "request_id", id, "error", err)
		return record.Record{}, edge.Unavailable(later, "The privacy request cannot be read at the moment. Nothing was stored; send the reply again.")
	}
	r, err := record.Decode(entry.Value)
	if err != nil {
		return record.Record{}, fmt.Errorf("reply: %s: %w", id, err)
	}
	tracing.LinkTo(trace.SpanFromContext(ctx), r.Trace) // days may have passed since
	if r.DeletedAt != nil {
		return record.Record{}, deleted(id)
	}
	return *r, nil
}

// ask publishes the reply as a fact and gives the orchestrator's word on it.
func (h *Handlers) ask(ctx context.Context, eventType string, t token.Reply, data events.CallbackData) (work.Answer, error) {
	verb := verbs[eventType]
	id := t.CallID + "." + t.ID + "." + rand.Text() + "." + verb
	fact, err := events.New(events.SourceCallback, eventType, id, t.RequestID, h.Clock(), data)
	if err != nil {
		return work.Answer{}, fmt.Errorf("reply: %w", err)
	}
	ctx, span := h.Tracer.Start(ctx, "publish "+tracing.FactName(eventType), trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		tracing.KeyRequest.String(t.RequestID), tracing.KeyCall.String(t.CallID), tracing.KeyFactType.String(eventType)))
	defer span.End()
	events.SetTraceParent(&fact, tracing.Parent(ctx))
	msg, err := events.Encode(fact)
	if err != nil {
		return work.Answer{}, fmt.Errorf("reply: %w", err)
	}
	begin := time.Now()
	answer, err := h.Orchestrator.Ask(ctx, msg)
	h.metrics.observe(verb, answer, err, time.Since(begin))
	log := h.Logger.With("request_id", t.RequestID, "call_id", t.CallID, "reply", verb)
	switch {
	case errors.Is(err, inbox.ErrNoAnswer):
		log.Warn("reply is stored but not confirmed yet")
		return work.Answer{}, edge.Unavailable(later, "The reply is stored and will still be applied; it has not been confirmed in time.")
	case errors.Is(err, inbox.ErrUnconfirmed):
		log.Warn("reply may be stored or not")
		return work.Answer{}, edge.Unavailable(later, "It is not known whether the reply was stored; send it again.")
	case err != nil:
		log.Warn("reply could not be stored", "error", err)
		return work.Answer{}, edge.Unavailable(later, "The reply could not be stored; send it again.")
	case answer.Code == work.RejectedUnavailable:
		log.Warn("reply could not be decided")
		return work.Answer{}, edge.Unavailable(later, "The reply could not be decided at the moment and was not applied; send it again.")
	}
	log.InfoContext(ctx, "reply", "accepted", answer.Accepted, "code", answer.Code)
	return answer, nil
}

// verbs are the ends of the ids of facts, by type.
var verbs = map[string]string{
	events.CallbackResumed:     "resumed",
	events.CallbackEligible:    "eligible",
	events.CallbackNotEligible: "not_eligible",
}

func deleted(id string) error {
	return edge.UnprocessableText("Privacy request with id %s has been deleted.", id)
}
