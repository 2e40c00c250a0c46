package rest

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/record"
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

// policyLists reads a policy with its webhooks, in order.
func policyLists(ctx context.Context, q *db.Queries, policyKey string, claim store.Claim) (store.Lists, error) {
	lists, err := store.PolicyLists(ctx, q, policyKey, claim)
	if isMissing(err) {
		return lists, noPolicy(policyKey)
	}
	return lists, err
}

func (a *API) listWebhooks(ctx context.Context, policyKey string, k kind, page, size *int) (api.WebhookPageReplyJSONResponse, error) {
	paging := edge.PagingOf(page, size)
	var reply api.WebhookPageReplyJSONResponse
	err := a.read(ctx, func(ctx context.Context, q *db.Queries) error {
		lists, err := policyLists(ctx, q, policyKey, store.Claim{})
		if err != nil {
			return err
		}
		list := *lists.Of(k.stored)
		part := cut(list, paging)
		items, err := a.showWebhooks(ctx, q, part, int(skip(paging)))
		reply.Body = api.WebhookPage(edge.NewPage(items, len(list), paging.Page, paging.Size))
		reply.Headers.ETag = listTag(list)
		return err
	})
	return reply, err
}

func (a *API) getWebhook(ctx context.Context, policyKey, key string, k kind) (api.WebhookReplyJSONResponse, error) {
	var shown []api.Webhook
	err := a.read(ctx, func(ctx context.Context, q *db.Queries) error {
		lists, err := policyLists(ctx, q, policyKey, store.Claim{})
		if err != nil {
			return err
		}
		list := *lists.Of(k.stored)
		at, err := findWebhook(list, policyKey, key, k)
		if err != nil {
			return err
		}
		shown, err = a.showWebhooks(ctx, q, list[at:at+1], at)
		return err
	})
	if err != nil {
		return api.WebhookReplyJSONResponse{}, err
	}
	return api.WebhookReplyJSONResponse(shown[0]), nil
}

// findWebhook gives the position of a webhook.
func findWebhook(list []record.Webhook, policyKey, key string, k kind) (int, error) {
	at := slices.IndexFunc(list, func(w record.Webhook) bool { return w.Key == key })
	if at < 0 {
		return 0, edge.NotFound("No %s found for key '%s' on Policy '%s'.", k.title, key, policyKey)
	}
	return at, nil
}

// showWebhooks shows a part of a list; first is the position of its first.
func (a *API) showWebhooks(ctx context.Context, q *db.Queries, part []record.Webhook, first int) ([]api.Webhook, error) {
	ids := make([]string, 0, len(part))
	for _, w := range part {
		ids = append(ids, w.ConnectionID)
	}
	connections, err := store.ConnectionMap(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	return a.showWithConnections(part, first, connections)
}

// showWithConnections opens the secrets of a connection once, however many
// webhooks use it.
func (a *API) showWithConnections(part []record.Webhook, first int, connections map[string]db.Connection) ([]api.Webhook, error) {
	opened := make(map[string]api.Connection, len(connections))
	for id, row := range connections {
		connection, err := a.showConnection(row)
		if err != nil {
			return nil, err
		}
		opened[id] = connection
	}
	shown := make([]api.Webhook, 0, len(part))
	for i, w := range part {
		shown = append(shown, api.Webhook{
			Direction: w.Direction, Key: w.Key, Name: w.Name, ConnectionConfig: opened[w.ConnectionID], Order: first + i,
		})
	}
	return shown, nil
}

// changeList changes one list of a policy and stores what change has made of
// it, with its entry.
func (a *API) changeList(ctx context.Context, policyKey string, k kind, ifMatch *string, claim store.Claim, change func(ctx context.Context, tx *store.Tx, l *store.Lists) error) error {
	return a.change(ctx, func(ctx context.Context, tx *store.Tx) error {
		claim.Kind = k.stored
		lists, err := policyLists(ctx, tx.Queries, policyKey, claim)
		if err != nil {
			return err
		}
		if err := match(ifMatch, listTag(*lists.Of(k.stored))); err != nil {
			return err
		}
		if err := change(ctx, tx, &lists); err != nil {
			return err
		}
		return tx.Replace(ctx, lists, k.stored)
	})
}

// patchWebhook changes one webhook, and moves it (contract §4.6).
func (a *API) patchWebhook(ctx context.Context, policyKey, key string, k kind, ifMatch *string, body api.WebhookPatch) (api.WebhookPatchedReplyJSONResponse, error) {
	reply := api.WebhookPatchedReplyJSONResponse{NewOrder: []api.WebhookOrder{}}
	claim := store.Claim{}
	if body.Name != nil {
		claim.Names = []string{*body.Name}
	}
	err := a.changeList(ctx, policyKey, k, ifMatch, claim, func(ctx context.Context, tx *store.Tx, l *store.Lists) error {
		list := l.Of(k.stored)
		at, err := findWebhook(*list, policyKey, key, k)
		if err != nil {
			return err
		}
		connection, err := patchedConnection(ctx, tx.Queries, &(*list)[at], body)
		if err != nil {
			return err
		}
		if err := patch(l, k, &(*list)[at], body); err != nil {
			return err
		}
		if at, err = move(list, at, k, body.Order, &reply.NewOrder); err != nil {
			return err
		}
		tx.Audit("update", k.noun, key)
		shown, err := a.showWithConnections((*list)[at:at+1], at, map[string]db.Connection{connection.ID: connection})
		if err != nil {
			return err
		}
		reply.Resource = shown[0]
		return nil
	})
	return reply, err
}

// patchedConnection gives the connection that a webhook has now: the one that
// the body names, or its own.
func patchedConnection(ctx context.Context, q *db.Queries, w *record.Webhook, body api.WebhookPatch) (db.Connection, error) {
	if body.ConnectionConfigKey == nil {
		return q.ConnectionByID(ctx, w.ConnectionID)
	}
	connection, err := webhookConnection(ctx, q, *body.ConnectionConfigKey)
	if err == nil {
		w.ConnectionID, w.ConnectionKey = connection.ID, connection.Key
	}
	return connection, err
}

// patch takes over what else the body names; nulls change nothing.
func patch(l *store.Lists, k kind, w *record.Webhook, body api.WebhookPatch) error {
	if body.Direction != nil {
		w.Direction = *body.Direction
	}
	if body.Name == nil || *body.Name == w.Name {
		return nil
	}
	if strings.TrimSpace(*body.Name) == "" {
		return edge.Unprocessable([]identity.Problem{invalid(nameless(k.class), "name")})
	}
	for _, other := range slices.Concat(*l.Of(k.stored), l.Others) {
		if other.Name == *body.Name {
			return edge.BadRequest("%s", nameTaken(k.class, *body.Name))
		}
	}
	w.Name = *body.Name
	return nil
}

// move puts a webhook at another position, if it is to have one, and tells the
// new order of all.
func move(list *[]record.Webhook, at int, k kind, to *int, order *[]api.WebhookOrder) (int, error) {
	if to == nil || *to == at {
		return at, nil
	}
	keys, err := webhooks.Move(keysOf(*list), (*list)[at].Key, *to)
	if errors.Is(err, webhooks.ErrOrder) {
		return at, edge.BadRequest("Cannot set order to %d: there are only %d %s(s) defined on this Policy.", *to, len(*list), k.class)
	}
	if err != nil {
		return at, err
	}
	*list = inOrder(*list, keys)
	*order = ordered(keys)
	return *to, nil
}

func keysOf(list []record.Webhook) []string {
	keys := make([]string, 0, len(list))
	for _, w := range list {
		keys = append(keys, w.Key)
	}
	return keys
}

// inOrder gives the webhooks of the keys, in their order.
func inOrder(list []record.Webhook, keys []string) []record.Webhook {
	byKey := make(map[string]record.Webhook, len(list))
	for _, w := range list {
		byKey[w.Key] = w
	}
	sorted := make([]record.Webhook, 0, len(keys))
	for _, key := range keys {
		sorted = append(sorted, byKey[key])
	}
	return sorted
}

func ordered(keys []string) []api.WebhookOrder {
	order := make([]api.WebhookOrder, 0, len(keys))
	for i, key := range keys {
		order = append(order, api.WebhookOrder{Key: key, Order: i})
	}
	return order
}

// deleteWebhook removes one webhook; the others close up (contract §4.8).
func (a *API) deleteWebhook(ctx context.Context, policyKey, key string, k kind, ifMatch *string) (api.WebhookDeletedReplyJSONResponse, error) {
	reply := api.WebhookDeletedReplyJSONResponse{NewOrder: []api.WebhookOrder{}}
	err := a.changeList(ctx, policyKey, k, ifMatch, store.Claim{}, func(_ context.Context, tx *store.Tx, l *store.Lists) error {
		list := l.Of(k.stored)
		if _, err := findWebhook(*list, policyKey, key, k); err != nil {
			return err
		}
		left, reordered, err := webhooks.Remove(keysOf(*list), key)
		if err != nil {
			return err
		}
		*list = inOrder(*list, left)
		if reordered {
			reply.NewOrder = ordered(left)
		}
		tx.Audit("delete", k.noun, key)
		return nil
	})
	return reply, err
}
