// Package rest answers the REST edge of the config service.
//
// What reaches it has passed the edge: the token is good and carries the scope,
// and path, query and body fit the description. It answers for what only the
// stored rows can tell. A change is made in this order: NATS must answer, else
// nothing is touched; the database commits; the entries stand in the bucket
// dsr_config; only then the caller gets a 200. Whoever reads the bucket after
// that sees the change.
package rest

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/services/config/internal/api"
	"github.com/parley-dsr/parley/services/config/internal/egress"
	"github.com/parley-dsr/parley/services/config/internal/publish"
	"github.com/parley-dsr/parley/services/config/internal/store"
	"github.com/parley-dsr/parley/services/config/internal/store/db"
)

// retryAfter is what a caller is told to wait when something is away.
const retryAfter = 5 * time.Second

// maxEntry is how large an entry may become, as it is published. A NATS server
// takes 1 MiB unless it is told otherwise, with the subject and the headers.
const maxEntry = 900 << 10

// API answers every operation of the description.
type API struct {
	Store     *store.Store
	Publisher *publish.Publisher
	Ring      *keyring.Ring
	Egress    *egress.Rules
	// PolicyUse asks the orchestrator.
	PolicyUse PolicyUse
	// Probe asks whether the connection of that id can be reached. Its error
	// means that nobody answers.
	Probe func(ctx context.Context, connectionID string) (work.ProbeAnswer, error)

	RootClientID          string
	RootClientSecret      string
	AccessTokenTTL        time.Duration
	RequireManualApproval bool
	Clock                 func() time.Time
}

var _ api.StrictServerInterface = (*API)(nil)

// change makes one change and publishes it.
func (a *API) change(ctx context.Context, run func(ctx context.Context, tx *store.Tx) error) error {
	if err := a.reachable(ctx); err != nil {
		return err
	}
	entries, err := a.Store.Write(ctx, edge.PrincipalFrom(ctx).ClientID, func(ctx context.Context, tx *store.Tx) error {
		tx.MaxEntry = maxEntry
		return run(ctx, tx)
	})
	if err != nil {
		return explain(err)
	}
	err = a.Publisher.Publish(ctx, entries)
	if errors.Is(err, topology.ErrTooLarge) {
		return edge.Unavailable(retryAfter, "The change is stored and cannot be published: it is larger than max_payload of the NATS server.")
	}
	if err != nil {
		return edge.Unavailable(retryAfter, "The change is stored and will be published. NATS has not confirmed it yet.")
	}
	return nil
}

// reachable refuses what needs NATS while that is away.
func (a *API) reachable(ctx context.Context) error {
	if err := a.Publisher.Check(ctx); err != nil {
		return edge.Unavailable(retryAfter, "NATS cannot be reached. Nothing was changed.")
	}
	return nil
}

// read answers from one state of the database.
func (a *API) read(ctx context.Context, run func(ctx context.Context, q *db.Queries) error) error {
	return explain(a.Store.Read(ctx, run))
}

// explain words what the store tells about the database. Other errors are the
// answer already, or nobody's business.
func explain(err error) error {
	var large *store.TooLargeError
	switch {
	case errors.As(err, &large):
		return edge.UnprocessableText("Too large: with this change, %s %s would take %d bytes as it is stored, encrypted and encoded. "+
			"%d are allowed. Nothing was changed.", large.Noun, large.Key, large.Size, large.Limit)
	case errors.Is(err, store.ErrUnconfirmed):
		return edge.Unavailable(retryAfter, "The database did not confirm the change. It may be stored or not.")
	case errors.Is(err, store.ErrUnavailable):
		return edge.Unavailable(retryAfter, "The database cannot be reached. Nothing was changed.")
	}
	return err
}

// newID makes the id of a row: the first letters of its table and a UUID.
func newID(prefix string) string { return prefix + "_" + uuid.NewString() }

func timestamp(t time.Time) edge.Timestamp { return edge.Timestamp(t) }
