// Package rest is the REST edge of the orchestrator: contract §6, on top of the
// interfaces that are generated from the OpenAPI document.
//
// Nothing here changes a request. A change is a command, sent through package
// door to the transition loop; the answer says what became of it, and is given
// when the read model has it too. Lists and logs are read from the read model;
// while its database is away they are 503, and changes go on.
package rest

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/tracing"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator/internal/api"
	"github.com/parley-dsr/parley/services/orchestrator/internal/follow"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
)

// retryAfter is when a caller that was told 503 may ask again.
const retryAfter = 2 * time.Second

// Commands takes commands and gives their answers; see package door.
type Commands interface {
	Send(ctx context.Context, c work.Command) (work.Answer, error)
}

// Records has the records of the requests.
type Records interface {
	Get(ctx context.Context, id string) (topology.Entry, error)
}

// Server answers the operations of the OpenAPI document.
type Server struct {
	Commands  Commands
	ReadModel *readmodel.Store
	Vault     *vault.Vault
	Catalog   *catalog.Store
	// Requests has the records; they are read where a submission may come again.
	Requests Records
	// Show makes the REST object of a record.
	Show func(rec *record.Record, now time.Time) (json.RawMessage, error)
	// Apply tells the read model.
	Apply  func(ctx context.Context, rec *record.Record, facts []events.Event) error
	Ring   *keyring.Ring
	Clock  func() time.Time
	Logger *slog.Logger
	// Tracer may be nil.
	Tracer *tracing.Tracer
	// IdentityTTL is the least life of an identity in the vault.
	IdentityTTL time.Duration
	// Facts lets requests be followed.
	Facts *follow.Facts
	// Stopping is done when the service begins to stop: streams end then.
	Stopping context.Context //nolint:containedctx // a signal
	// Heartbeat is the longest silence of a stream; 0 is a quarter of a minute.
	Heartbeat time.Duration
	// Submissions is the limit for callers without credentials; nil is none.
	Submissions *Limit
	// ShownWithin is how long a caller is kept for the read model to show what
	// was changed; 0 is eight seconds.
	ShownWithin time.Duration

	openStreams sync.Once
	places      chan struct{}
}

var _ api.StrictServerInterface = (*Server)(nil)

// Handler serves the operations. The edge stands before it.
func (s *Server) Handler() http.Handler {
	strict := api.NewStrictHandlerWithOptions(s, []api.StrictMiddlewareFunc{withOrigin}, api.StrictHTTPServerOptions{
		RequestErrorHandlerFunc: edge.RequestError, ResponseErrorHandlerFunc: edge.ResponseError,
	})
	return api.HandlerWithOptions(strict, api.ChiServerOptions{ErrorHandlerFunc: edge.RequestError})
}

// command begins a command of the caller.
func (s *Server) command(ctx context.Context, name, requestID string) work.Command {
	return work.Command{
		ID: rand.Text(), Name: name, RequestID: requestID, At: s.Clock().UTC(),
		Actor: actor(ctx),
	}
}

// shownWithin is how long a caller is kept for the read model to show what was
// changed, by a database that answers and is busy. The transition loop waits
// much less, and for nobody in particular.
const shownWithin = 8 * time.Second

// send sends a command and waits for its answer, and for the read model where it
// is behind.
func (s *Server) send(ctx context.Context, c work.Command) (work.Answer, error) {
	ctx, span := s.Tracer.Start(ctx, "command "+c.Name, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(tracing.KeyRequest.String(c.RequestID)))
	defer span.End()
	c.TraceParent = tracing.Parent(ctx)
	answer, err := s.Commands.Send(ctx, c)
	if err != nil {
		tracing.Fail(span, "not answered")
	}
	if err == nil && answer.Behind > 0 {
		ctx, cancel := context.WithTimeout(ctx, cmp.Or(s.ShownWithin, shownWithin))
		defer cancel()
		if err := s.ReadModel.Await(ctx, c.RequestID, answer.Behind); err != nil {
			s.Logger.Debug("a change is answered before it is shown", "request_id", c.RequestID, "error", err)
		}
	}
	return answer, err
}

// actor names who called, "" for nobody.
func actor(ctx context.Context) string {
	p := edge.PrincipalFrom(ctx)
	if p.Root {
		return "root"
	}
	return p.ClientID
}

// seal seals what may say something about a person.
func (s *Server) seal(text *string) (string, error) { return s.Ring.SealText(keyring.Vault, text) }

// unseal opens it; what cannot be opened is not shown.
func (s *Server) unseal(sealed string) *string { return s.Ring.OpenText(keyring.Vault, sealed) }

func newRequestID() string { return "pri_" + uuid.NewString() }

// origin is what a request says about where it comes from.
type origin struct {
	header string
	addr   netip.Addr
}

type originKey struct{}

func withOrigin(next api.StrictHandlerFunc, _ string) api.StrictHandlerFunc {
	return func(ctx context.Context, w http.ResponseWriter, r *http.Request, request any) (any, error) {
		from := origin{header: r.Header.Get("Origin"), addr: edge.ClientAddr(r)}
		return next(context.WithValue(ctx, originKey{}, from), w, r, request)
	}
}

func originFrom(ctx context.Context) origin {
	from, _ := ctx.Value(originKey{}).(origin)
	return from
}

func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// dueBy is when a request of a policy is due at the latest: 45 days after it
// was submitted, where the policy says nothing. Who dates a request into the
// future does not keep its identity here for longer.
func dueBy(p record.Policy, requestedAt, now time.Time) time.Time {
	if p.ExecutionTimeframe == nil {
		return now.AddDate(0, 0, 45)
	}
	if requestedAt.After(now) {
		requestedAt = now
	}
	return requestedAt.AddDate(0, 0, *p.ExecutionTimeframe)
}
