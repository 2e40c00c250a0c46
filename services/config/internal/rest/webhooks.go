package rest

import (
	"context"
	"errors"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/services/config/internal/api"
	"github.com/parley-dsr/parley/services/config/internal/store"
	"github.com/parley-dsr/parley/services/config/internal/store/db"
	"github.com/parley-dsr/parley/services/config/internal/webhooks"
)

// kind is one of the two lists of a policy: they have the same rules, and other
// words.
type kind struct {
	stored string // in the table
	class  string // in texts about keys, names and order
	title  string // in texts about what does not exist
	noun   string // in the audit
}

func preKind() kind {
	return kind{store.KindPre, "PolicyPreWebhook", "Pre-Execution Webhook", "pre-execution webhook"}
}

func postKind() kind {
	return kind{store.KindPost, "PolicyPostWebhook", "Post-Execution Webhook", "post-execution webhook"}
}

// webhookList reads a policy and its webhooks of a kind, in order.
func webhookList(ctx context.Context, q *db.Queries, policyKey string, k kind) (db.Policy, []db.Webhook, error) {
	policy, err := findPolicy(ctx, q, policyKey)
	if err != nil {
		return policy, nil, err
	}
	rows, err := q.WebhooksOfPolicy(ctx, policy.ID, k.stored)
	return policy, rows, err
}

func (a *API) listWebhooks(ctx context.Context, policyKey string, k kind, page, size *int) (api.WebhookPageReplyJSONResponse, error) {
	paging := edge.PagingOf(page, size)
	var reply api.WebhookPageReplyJSONResponse
	err := a.read(ctx, func(ctx context.Context, q *db.Queries) error {
		_, rows, err := webhookList(ctx, q, policyKey, k)
		if err != nil {
			return err
		}
		items, err := a.showWebhooks(ctx, q, cut(rows, paging))
		reply.Body = api.WebhookPage(edge.NewPage(items, len(rows), paging.Page, paging.Size))
		reply.Headers.ETag = listTag(rows)
		return err
	})
	return reply, err
}

func (a *API) getWebhook(ctx context.Context, policyKey, key string, k kind) (api.WebhookReplyJSONResponse, error) {
	var shown []api.Webhook
	err := a.read(ctx, func(ctx context.Context, q *db.Queries) error {
		policy, rows, err := webhookList(ctx, q, policyKey, k)
		if err != nil {
			return err
		}
		row, err := findWebhook(rows, policy, key, k)
		if err != nil {
			return err
		}
		shown, err = a.showWebhooks(ctx, q, []db.Webhook{row})
		return err
	})
	if err != nil {
		return api.WebhookReplyJSONResponse{}, err
	}
	return api.WebhookReplyJSONResponse(shown[0]), nil
}

func findWebhook(rows []db.Webhook, policy db.Policy, key string, k kind) (db.Webhook, error) {
	for _, row := range rows {
		if row.Key == key {
			return row, nil
		}
	}
	return db.Webhook{}, edge.NotFound("No %s found for key '%s' on Policy '%s'.", k.title, key, policy.Key)
}

func (a *API) showWebhooks(ctx context.Context, q *db.Queries, rows []db.Webhook) ([]api.Webhook, error) {
	ids := make([]string, 0, len(rows))
	for _, row := range rows {
		ids = append(ids, row.ConnectionID)
	}
	connections, err := store.ConnectionMap(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	shown := make([]api.Webhook, 0, len(rows))
	for _, row := range rows {
		connection, err := a.showConnection(connections[row.ConnectionID])
		if err != nil {
			return nil, err
		}
		shown = append(shown, api.Webhook{
			Direction: row.Direction, Key: row.Key, Name: row.Name,
			ConnectionConfig: connection, Order: int(row.Position),
		})
	}
	return shown, nil
}

// patchWebhook changes one webhook, and moves it (contract §4.6).
func (a *API) patchWebhook(ctx context.Context, policyKey, key string, k kind, ifMatch *string, body api.WebhookPatch) (api.WebhookPatchedReplyJSONResponse, error) {
	var reply api.WebhookPatchedReplyJSONResponse
	err := a.change(ctx, func(ctx context.Context, tx *store.Tx) error {
		policy, rows, err := webhookList(ctx, tx.Queries, policyKey, k)
		if err != nil {
			return err
		}
		row, err := findWebhook(rows, policy, key, k)
		if err != nil {
			return err
		}
		if err := match(ifMatch, listTag(rows)); err != nil {
			return err
		}
		if err := applyPatch(ctx, tx, &row, k, body); err != nil {
			return err
		}
		order, err := moveWebhook(rows, &row, k, body.Order)
		if err != nil {
			return err
		}
		if err := updateWebhook(ctx, tx, row); err != nil {
			return err
		}
		if err := storeOrder(ctx, tx, rows, order); err != nil {
			return err
		}
		tx.Touch(store.PolicyRef(policy.Key))
		if err := tx.Audit(ctx, "update", k.noun, row.Key); err != nil {
			return err
		}
		shown, err := a.showWebhooks(ctx, tx.Queries, []db.Webhook{row})
		if err != nil {
			return err
		}
		reply = api.WebhookPatchedReplyJSONResponse{Resource: shown[0], NewOrder: order}
		return nil
	})
	return reply, err
}

// applyPatch takes over what the body names; nulls change nothing.
func applyPatch(ctx context.Context, tx *store.Tx, row *db.Webhook, k kind, body api.WebhookPatch) error {
	if body.ConnectionConfigKey != nil {
		connection, err := webhookConnection(ctx, tx.Queries, *body.ConnectionConfigKey)
		if err != nil {
			return err
		}
		row.ConnectionID = connection.ID
	}
	if body.Direction != nil {
		row.Direction = *body.Direction
	}
	if body.Name == nil || *body.Name == row.Name {
		return nil
	}
	if *body.Name == "" {
		return edge.Unprocessable([]identity.Problem{invalid(nameless(k.class), "name")})
	}
	taken, err := tx.WebhookNameTaken(ctx, k.stored, *body.Name, row.ID)
	if err != nil {
		return err
	}
	if taken {
		return edge.BadRequest("%s", nameTaken(k.class, *body.Name))
	}
	row.Name = *body.Name
	return nil
}

// moveWebhook gives the new order of all, or nothing where none changes.
func moveWebhook(rows []db.Webhook, row *db.Webhook, k kind, to *int) ([]api.WebhookOrder, error) {
	if to == nil || *to == int(row.Position) {
		return []api.WebhookOrder{}, nil
	}
	keys, err := webhooks.Move(keysOf(rows), row.Key, *to)
	if errors.Is(err, webhooks.ErrOrder) {
		return nil, edge.BadRequest("Cannot set order to %d: there are only %d %s(s) defined on this Policy.", *to, len(rows), k.class)
	}
	if err != nil {
		return nil, err
	}
	row.Position = int32(*to) //nolint:gosec // less than the length of the list
	return ordered(keys), nil
}

func keysOf(rows []db.Webhook) []string {
	keys := make([]string, 0, len(rows))
	for _, row := range rows {
		keys = append(keys, row.Key)
	}
	return keys
}

func ordered(keys []string) []api.WebhookOrder {
	order := make([]api.WebhookOrder, 0, len(keys))
	for i, key := range keys {
		order = append(order, api.WebhookOrder{Key: key, Order: i})
	}
	return order
}

// storeOrder writes the positions that changed.
func storeOrder(ctx context.Context, tx *store.Tx, rows []db.Webhook, order []api.WebhookOrder) error {
	byKey := make(map[string]db.Webhook, len(rows))
	for _, row := range rows {
		byKey[row.Key] = row
	}
	for _, place := range order {
		row := byKey[place.Key]
		if int(row.Position) == place.Order {
			continue
		}
		if err := tx.SetWebhookPosition(ctx, int32(place.Order), row.ID); err != nil { //nolint:gosec // an index
			return err
		}
	}
	return nil
}

// deleteWebhook removes one webhook; the others close up (contract §4.8).
func (a *API) deleteWebhook(ctx context.Context, policyKey, key string, k kind, ifMatch *string) (api.WebhookDeletedReplyJSONResponse, error) {
	reply := api.WebhookDeletedReplyJSONResponse{NewOrder: []api.WebhookOrder{}}
	err := a.change(ctx, func(ctx context.Context, tx *store.Tx) error {
		policy, rows, err := webhookList(ctx, tx.Queries, policyKey, k)
		if err != nil {
			return err
		}
		row, err := findWebhook(rows, policy, key, k)
		if err != nil {
			return err
		}
		if err := match(ifMatch, listTag(rows)); err != nil {
			return err
		}
		left, reordered, err := webhooks.Remove(keysOf(rows), row.Key)
		if err != nil {
			return err
		}
		if err := tx.DeleteWebhook(ctx, row.ID); err != nil {
			return err
		}
		if reordered {
			reply.NewOrder = ordered(left)
		}
		if err := storeOrder(ctx, tx, rows, reply.NewOrder); err != nil {
			return err
		}
		tx.Touch(store.PolicyRef(policy.Key))
		return tx.Audit(ctx, "delete", k.noun, row.Key)
	})
	return reply, err
}
