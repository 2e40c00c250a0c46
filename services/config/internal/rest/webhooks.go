package rest

import (
	"context"
	"encoding/json"
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
	w := windowOf(page, size)
	var reply api.WebhookPageReplyJSONResponse
	err := a.read(ctx, func(ctx context.Context, q *db.Queries) error {
		_, rows, err := webhookList(ctx, q, policyKey, k)
		if err != nil {
			return err
		}
		items, err := a.showWebhooks(ctx, q, cut(rows, w))
		reply.Body = api.WebhookPage(edge.NewPage(items, len(rows), w.page, w.size))
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

// putWebhooks replaces a list: all of it or nothing (contract §4.5).
func (a *API) putWebhooks(ctx context.Context, policyKey string, k kind, ifMatch *string, body json.RawMessage) ([]api.Webhook, error) {
	items, err := readList[api.WebhookItem](body)
	if err != nil {
		return nil, err
	}
	var shown []api.Webhook
	err = a.change(ctx, func(ctx context.Context, tx *store.Tx) error {
		policy, rows, err := webhookList(ctx, tx.Queries, policyKey, k)
		if err != nil {
			return err
		}
		if err := match(ifMatch, listTag(rows)); err != nil {
			return err
		}
		placed, err := placeWebhooks(ctx, tx, policy, k, items)
		if err != nil {
			return err
		}
		if err := storeWebhooks(ctx, tx, policy, k, rows, placed); err != nil {
			return err
		}
		shown, err = a.showWebhooks(ctx, tx.Queries, placed)
		return err
	})
	return shown, err
}

// readList takes a list, or the page that GET gives.
func readList[T any](body json.RawMessage) ([]T, error) {
	var list []T
	if json.Unmarshal(body, &list) == nil {
		return list, nil
	}
	var page struct {
		Items []T `json:"items"`
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return nil, edge.Unprocessable([]identity.Problem{{
			Type: "list_type", Loc: []any{"body"}, Msg: "Input should be a valid list",
		}})
	}
	return page.Items, nil
}

// placeWebhooks checks the items and makes the rows of the new list.
func placeWebhooks(ctx context.Context, tx *store.Tx, policy db.Policy, k kind, items []api.WebhookItem) ([]db.Webhook, error) {
	owners, err := tx.WebhookOwners(ctx, k.stored)
	if err != nil {
		return nil, err
	}
	stored := make([]webhooks.Webhook, 0, len(owners))
	for _, w := range owners {
		stored = append(stored, webhooks.Webhook{ID: w.ID, Policy: w.PolicyID, Key: w.Key, Name: w.Name})
	}
	wanted := make([]webhooks.Item, 0, len(items))
	for _, item := range items {
		wanted = append(wanted, webhooks.Item{Key: value(item.Key), Name: value(item.Name)})
	}
	keys, err := webhooks.Keys(wanted)
	if err != nil {
		return nil, refuseItem(err, k.class)
	}
	rows := make([]db.Webhook, 0, len(items))
	for i, item := range items {
		connection, err := webhookConnection(ctx, tx.Queries, connectionKeyOf(item.ConnectionConfigKey, item.ConnectionConfig))
		if err != nil {
			return nil, err
		}
		placed, err := webhooks.Check(stored, policy.ID, wanted, keys, i)
		if err != nil {
			return nil, refuseItem(err, k.class)
		}
		rows = append(rows, db.Webhook{
			ID: placed.ID, Kind: k.stored, PolicyID: policy.ID, ConnectionID: connection.ID, Key: placed.Key,
			Name: placed.Name, Direction: item.Direction, Position: int32(i),
		})
	}
	return rows, nil
}

// connectionKeyOf is the key that was given, or that of the connection as GET
// shows it.
func connectionKeyOf(key *string, shown *struct {
	Key *string `json:"key,omitempty"`
},
) string {
	if value(key) == "" && shown != nil {
		return value(shown.Key)
	}
	return value(key)
}

// webhookConnection finds a connection that can be called.
func webhookConnection(ctx context.Context, q *db.Queries, key string) (db.Connection, error) {
	connection, err := findConnection(ctx, q, key)
	if err == nil && connection.ConnectionType != typeHTTPS {
		err = edge.UnprocessableText("Webhooks can only use HTTPS connections: connection %s has the type %s.", key, connection.ConnectionType)
	}
	return connection, err
}

// refuseItem words what the rules refuse.
func refuseItem(err error, class string) error {
	if errors.Is(err, webhooks.ErrDuplicate) {
		return edge.BadRequest("Check request body: there are multiple webhooks whose keys or names resolve to the same value.")
	}
	var item *webhooks.ItemError
	if !errors.As(err, &item) {
		return err
	}
	switch {
	case errors.Is(err, webhooks.ErrNameless):
		return edge.Unprocessable([]identity.Problem{invalid(nameless(class), item.Index, "name")})
	case errors.Is(err, webhooks.ErrKeyless):
		return edge.Unprocessable([]identity.Problem{invalid(badKey(), item.Index, "name")})
	case errors.Is(err, webhooks.ErrKeyTaken):
		return edge.BadRequest("%s", keyTaken(class, item.Key))
	case errors.Is(err, webhooks.ErrNameTaken):
		return edge.BadRequest("%s", nameTaken(class, item.Name))
	case errors.Is(err, webhooks.ErrElsewhere):
		return edge.BadRequest("%s with key %s belongs to another policy.", class, item.Key)
	}
	return err
}

// storeWebhooks makes the stored list the wanted one. The ids of new rows are
// set in the wanted list.
func storeWebhooks(ctx context.Context, tx *store.Tx, policy db.Policy, k kind, before, wanted []db.Webhook) error {
	kept := make(map[string]bool, len(wanted))
	for i := range wanted {
		w := &wanted[i]
		var err error
		if w.ID == "" {
			w.ID = newID("pol")
			err = tx.InsertWebhook(ctx, db.InsertWebhookParams{
				ID: w.ID, Kind: w.Kind, PolicyID: w.PolicyID, ConnectionID: w.ConnectionID, Key: w.Key,
				Name: w.Name, Direction: w.Direction, Position: w.Position, Now: tx.Now,
			})
		} else {
			err = updateWebhook(ctx, tx, *w)
		}
		if err != nil {
			return err
		}
		kept[w.ID] = true
	}
	for _, w := range before {
		if !kept[w.ID] {
			if err := tx.DeleteWebhook(ctx, w.ID); err != nil {
				return err
			}
		}
	}
	tx.Touch(store.PolicyRef(policy.Key))
	return tx.Audit(ctx, "replace", k.noun+"s", policy.Key)
}

func updateWebhook(ctx context.Context, tx *store.Tx, w db.Webhook) error {
	return tx.UpdateWebhook(ctx, db.UpdateWebhookParams{
		ID: w.ID, ConnectionID: w.ConnectionID, Name: w.Name, Direction: w.Direction, Position: w.Position, Now: tx.Now,
	})
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
