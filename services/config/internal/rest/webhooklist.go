package rest

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/record"
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
	wanted := wantedOf(items)
	keys, refused := webhooks.Keys(wanted)
	claim := store.Claim{Keys: keys, Names: namesOf(wanted)}
	err = a.changeList(ctx, policyKey, k, ifMatch, claim, func(ctx context.Context, tx *store.Tx, l *store.Lists) error {
		if refused != nil {
			return refuseItem(refused, k.class)
		}
		connections, err := connectionsOf(ctx, tx.Queries, items)
		if err != nil {
			return err
		}
		placed, err := placeWebhooks(l, k, items, wanted, keys, connections)
		if err != nil {
			return err
		}
		*l.Of(k.stored) = placed
		tx.Audit("replace", k.noun+"s", policyKey)
		byID := make(map[string]db.Connection, len(connections))
		for _, c := range connections {
			byID[c.ID] = c
		}
		shown, err = a.showWithConnections(placed, 0, byID)
		return err
	})
	return shown, err
}

func wantedOf(items []api.WebhookItem) []webhooks.Item {
	wanted := make([]webhooks.Item, 0, len(items))
	for _, item := range items {
		wanted = append(wanted, webhooks.Item{Key: value(item.Key), Name: value(item.Name)})
	}
	return wanted
}

func namesOf(items []webhooks.Item) []string {
	names := make([]string, 0, len(items))
	for _, item := range items {
		names = append(names, item.Name)
	}
	return names
}

// connectionsOf reads the connections that the items name, by their keys.
func connectionsOf(ctx context.Context, q *db.Queries, items []api.WebhookItem) (map[string]db.Connection, error) {
	keys := make([]string, 0, len(items))
	for _, item := range items {
		keys = append(keys, connectionKeyOf(item.ConnectionConfigKey, item.ConnectionConfig))
	}
	rows, err := q.ConnectionsByKey(ctx, keys)
	if err != nil {
		return nil, err
	}
	byKey := make(map[string]db.Connection, len(rows))
	for _, row := range rows {
		byKey[row.Key] = row
	}
	return byKey, nil
}

// readList takes a list, or the page that GET gives if the whole list is on it:
// a part of it would delete the rest.
func readList[T any](body json.RawMessage) ([]T, error) {
	var list []T
	if json.Unmarshal(body, &list) == nil {
		return list, nil
	}
	var page struct {
		Items []T `json:"items"`
		Page  int `json:"page"`
		Pages int `json:"pages"`
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return nil, edge.Unprocessable([]identity.Problem{{
			Type: "list_type", Loc: []any{"body"}, Msg: "Input should be a valid list",
		}})
	}
	if page.Page > 1 || page.Pages > 1 {
		return nil, edge.UnprocessableText("The body is page %d of %d, and webhooks that are not on it would be deleted. "+
			"Send all webhooks: as a list, or as the page of a GET whose size holds them all.", page.Page, page.Pages)
	}
	return page.Items, nil
}

// placeWebhooks checks the items and makes the new list of them. A webhook that
// stays keeps its id.
func placeWebhooks(l *store.Lists, k kind, items []api.WebhookItem, wanted []webhooks.Item, keys []string, connections map[string]db.Connection) ([]record.Webhook, error) {
	stored := make([]webhooks.Webhook, 0, len(l.Others))
	for _, w := range *l.Of(k.stored) {
		stored = append(stored, webhooks.Webhook{ID: w.ID, Policy: l.Policy.ID, Key: w.Key, Name: w.Name})
	}
	for _, w := range l.Others {
		stored = append(stored, webhooks.Webhook{ID: w.ID, Key: w.Key, Name: w.Name})
	}
	list := make([]record.Webhook, 0, len(items))
	for i, item := range items {
		key := connectionKeyOf(item.ConnectionConfigKey, item.ConnectionConfig)
		connection, there := connections[key]
		if !there {
			return nil, noConnection(key)
		}
		if err := callable(connection); err != nil {
			return nil, err
		}
		placed, err := webhooks.Check(stored, l.Policy.ID, wanted, keys, i)
		if err != nil {
			return nil, refuseItem(err, k.class)
		}
		if placed.ID == "" {
			placed.ID = newID("pol")
		}
		list = append(list, record.Webhook{
			ID: placed.ID, Key: placed.Key, Name: placed.Name, Direction: item.Direction,
			ConnectionID: connection.ID, ConnectionKey: connection.Key,
		})
	}
	return list, nil
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
	if err != nil {
		return connection, err
	}
	return connection, callable(connection)
}

// callable refuses connections of other types than https.
func callable(c db.Connection) error {
	if c.ConnectionType != typeHTTPS {
		return edge.UnprocessableText("Webhooks can only use HTTPS connections: connection %s has the type %s.", c.Key, c.ConnectionType)
	}
	return nil
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
