package rest

import (
	"context"
	"strings"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/services/config/internal/store"
	"github.com/parley-dsr/parley/services/config/internal/store/db"
)

// policyNotInUse refuses to delete a policy that has webhooks. Requests that
// run under a policy have it in their record and do not need it any more.
func policyNotInUse(ctx context.Context, tx *store.Tx, policy db.Policy) error {
	var keys []string
	for _, kind := range []string{store.KindPre, store.KindPost} {
		rows, err := tx.WebhooksOfPolicy(ctx, policy.ID, kind)
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
