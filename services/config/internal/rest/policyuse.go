package rest

import (
	"context"
	"strings"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/services/config/internal/store"
	"github.com/parley-dsr/parley/services/config/internal/store/db"
)

// PolicyUse says whether a privacy request refers to a policy. An error says
// that nobody knows.
type PolicyUse func(ctx context.Context, policyKey string) (referenced bool, err error)

// policyNotReferenced refuses to delete a policy that privacy requests refer
// to: they show it for as long as they are kept.
func (a *API) policyNotReferenced(ctx context.Context, policyKey string) error {
	if err := a.reachable(ctx); err != nil {
		return err
	}
	referenced, err := a.PolicyUse(ctx, policyKey)
	if err != nil {
		return edge.Unavailable(retryAfter, "No orchestrator says whether privacy requests refer to the policy. Nothing was changed.")
	}
	if referenced {
		return edge.Conflict("Cannot delete policy %s: it is referenced by one or more privacy requests.", policyKey)
	}
	return nil
}

// policyNotInUse refuses to delete a policy that has webhooks.
func policyNotInUse(ctx context.Context, q *db.Queries, policy db.Policy) error {
	var keys []string
	for _, kind := range []string{store.KindPre, store.KindPost} {
		rows, err := q.WebhooksOfPolicy(ctx, policy.ID, kind)
		if err != nil {
			return err
		}
		for _, w := range rows {
			keys = append(keys, w.Key)
		}
	}
	if len(keys) > 0 {
		return edge.Conflict("Cannot delete policy %s: it is referenced by webhooks %s.", policy.Key, strings.Join(keys, ", "))
	}
	return nil
}
