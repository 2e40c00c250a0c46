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
