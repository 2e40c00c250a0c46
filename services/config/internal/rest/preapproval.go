package rest

import (
	"context"
	"strings"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/services/config/internal/api"
	"github.com/parley-dsr/parley/services/config/internal/store"
	"github.com/parley-dsr/parley/services/config/internal/store/db"
	"github.com/parley-dsr/parley/services/config/internal/webhooks"
)

const (
	classPreApproval = "PreApprovalWebhook"
	nounPreApproval  = "pre-approval webhook"
)

// ListPreApprovalWebhooks lists the pre-approval webhooks, newest first
// (contract §5).
func (a *API) ListPreApprovalWebhooks(ctx context.Context, r api.ListPreApprovalWebhooksRequestObject) (api.ListPreApprovalWebhooksResponseObject, error) {
	paging := edge.PagingOf(r.Params.Page, r.Params.Size)
	var reply api.ListPreApprovalWebhooks200JSONResponse
	err := a.read(ctx, func(ctx context.Context, q *db.Queries) error {
		all, err := q.PreApprovalWebhooks(ctx)
		if err != nil {
			return err
		}
		rows, err := q.PreApprovalWebhooksPage(ctx, skip(paging), limit(paging))
		if err != nil {
			return err
		}
		items, err := a.showPreApprovals(ctx, q, rows)
		reply.Body = api.PreApprovalWebhookPage(edge.NewPage(items, len(all), paging.Page, paging.Size))
		reply.Headers.ETag = preApprovalTag(all)
		return err
	})
	if err != nil {
		return nil, err
	}
	return reply, nil
}

func (a *API) showPreApprovals(ctx context.Context, q *db.Queries, rows []db.PreApprovalWebhook) ([]api.PreApprovalWebhook, error) {
	ids := make([]string, 0, len(rows))
	for _, row := range rows {
		ids = append(ids, row.ConnectionID)
	}
	connections, err := store.ConnectionMap(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	shown := make([]api.PreApprovalWebhook, 0, len(rows))
	for _, row := range rows {
		connection, err := a.showConnection(connections[row.ConnectionID])
		if err != nil {
			return nil, err
		}
		shown = append(shown, api.PreApprovalWebhook{Key: row.Key, Name: row.Name, ConnectionConfig: connection})
	}
	return shown, nil
}

// PutPreApprovalWebhooks replaces the pre-approval webhooks of the whole
// system: all of them or nothing.
func (a *API) PutPreApprovalWebhooks(ctx context.Context, r api.PutPreApprovalWebhooksRequestObject) (api.PutPreApprovalWebhooksResponseObject, error) {
	items, err := readList[api.PreApprovalWebhookItem](*r.Body)
	if err != nil {
		return nil, err
	}
	var shown []api.PreApprovalWebhook
	err = a.change(ctx, func(ctx context.Context, tx *store.Tx) error {
		before, err := tx.PreApprovalWebhooks(ctx)
		if err != nil {
			return err
		}
		if err := match(r.Params.IfMatch, preApprovalTag(before)); err != nil {
			return err
		}
		wanted, err := placePreApprovals(ctx, tx, before, items)
		if err != nil {
			return err
		}
		if err := storePreApprovals(ctx, tx, before, wanted); err != nil {
			return err
		}
		shown, err = a.showPreApprovals(ctx, tx.Queries, wanted)
		return err
	})
	if err != nil {
		return nil, err
	}
	return api.PutPreApprovalWebhooks200JSONResponse(shown), nil
}

func placePreApprovals(ctx context.Context, tx *store.Tx, before []db.PreApprovalWebhook, items []api.PreApprovalWebhookItem) ([]db.PreApprovalWebhook, error) {
	stored := make([]webhooks.Webhook, 0, len(before))
	for _, w := range before {
		stored = append(stored, webhooks.Webhook{ID: w.ID, Key: w.Key, Name: w.Name})
	}
	wanted := make([]webhooks.Item, 0, len(items))
	for _, item := range items {
		wanted = append(wanted, webhooks.Item{Key: value(item.Key), Name: item.Name})
	}
	keys, err := webhooks.Keys(wanted)
	if err != nil {
		return nil, refuseItem(err, classPreApproval)
	}
	rows := make([]db.PreApprovalWebhook, 0, len(items))
	for i, item := range items {
		connection, err := webhookConnection(ctx, tx.Queries, connectionKeyOf(item.ConnectionConfigKey, item.ConnectionConfig))
		if err != nil {
			return nil, err
		}
		placed, err := webhooks.Check(stored, "", wanted, keys, i)
		if err != nil {
			return nil, refuseItem(err, classPreApproval)
		}
		rows = append(rows, db.PreApprovalWebhook{
			ID: placed.ID, ConnectionID: connection.ID, Key: placed.Key, Name: placed.Name,
		})
	}
	return rows, nil
}

func storePreApprovals(ctx context.Context, tx *store.Tx, before, wanted []db.PreApprovalWebhook) error {
	kept := make(map[string]bool, len(wanted))
	for i := range wanted {
		w := &wanted[i]
		var err error
		if w.ID == "" {
			w.ID = newID("pre")
			err = tx.InsertPreApprovalWebhook(ctx, db.InsertPreApprovalWebhookParams{
				ID: w.ID, ConnectionID: w.ConnectionID, Key: w.Key, Name: w.Name, Now: tx.Now,
			})
		} else {
			err = updatePreApproval(ctx, tx, *w)
		}
		if err != nil {
			return err
		}
		kept[w.ID] = true
	}
	for _, w := range before {
		if !kept[w.ID] {
			if err := tx.DeletePreApprovalWebhook(ctx, w.ID); err != nil {
				return err
			}
		}
	}
	tx.Touch(store.PreApprovalRef())
	tx.Audit("replace", nounPreApproval+"s", "")
	return nil
}

func updatePreApproval(ctx context.Context, tx *store.Tx, w db.PreApprovalWebhook) error {
	return tx.UpdatePreApprovalWebhook(ctx, db.UpdatePreApprovalWebhookParams{
		ID: w.ID, ConnectionID: w.ConnectionID, Name: w.Name, Now: tx.Now,
	})
}

// GetPreApprovalWebhook shows one pre-approval webhook.
func (a *API) GetPreApprovalWebhook(ctx context.Context, r api.GetPreApprovalWebhookRequestObject) (api.GetPreApprovalWebhookResponseObject, error) {
	var shown []api.PreApprovalWebhook
	err := a.read(ctx, func(ctx context.Context, q *db.Queries) error {
		row, err := findPreApproval(ctx, q, r.WebhookKey)
		if err != nil {
			return err
		}
		shown, err = a.showPreApprovals(ctx, q, []db.PreApprovalWebhook{row})
		return err
	})
	if err != nil {
		return nil, err
	}
	return api.GetPreApprovalWebhook200JSONResponse(shown[0]), nil
}

func findPreApproval(ctx context.Context, q *db.Queries, key string) (db.PreApprovalWebhook, error) {
	row, err := q.PreApprovalWebhook(ctx, key)
	if isMissing(err) {
		return row, edge.NotFound("No PreApprovalWebhook found for key %s.", key)
	}
	return row, err
}

// PatchPreApprovalWebhook changes one pre-approval webhook; nulls change
// nothing.
func (a *API) PatchPreApprovalWebhook(ctx context.Context, r api.PatchPreApprovalWebhookRequestObject) (api.PatchPreApprovalWebhookResponseObject, error) {
	var shown []api.PreApprovalWebhook
	err := a.changePreApproval(ctx, r.WebhookKey, r.Params.IfMatch, func(ctx context.Context, tx *store.Tx, row db.PreApprovalWebhook) error {
		if r.Body.ConnectionConfigKey != nil {
			connection, err := webhookConnection(ctx, tx.Queries, *r.Body.ConnectionConfigKey)
			if err != nil {
				return err
			}
			row.ConnectionID = connection.ID
		}
		if r.Body.Name != nil {
			if err := freePreApproval(ctx, tx, row, *r.Body.Name); err != nil {
				return err
			}
			row.Name = *r.Body.Name
		}
		if err := updatePreApproval(ctx, tx, row); err != nil {
			return err
		}
		var err error
		if shown, err = a.showPreApprovals(ctx, tx.Queries, []db.PreApprovalWebhook{row}); err != nil {
			return err
		}
		tx.Audit("update", nounPreApproval, row.Key)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return api.PatchPreApprovalWebhook200JSONResponse(shown[0]), nil
}

func freePreApproval(ctx context.Context, tx *store.Tx, row db.PreApprovalWebhook, name string) error {
	if strings.TrimSpace(name) == "" {
		return edge.Unprocessable([]identity.Problem{invalid(nameless(classPreApproval), "name")})
	}
	taken, err := tx.PreApprovalNameTaken(ctx, name, row.ID)
	if err == nil && taken {
		return edge.BadRequest("%s", nameTaken(classPreApproval, name))
	}
	return err
}

// DeletePreApprovalWebhook removes one pre-approval webhook.
func (a *API) DeletePreApprovalWebhook(ctx context.Context, r api.DeletePreApprovalWebhookRequestObject) (api.DeletePreApprovalWebhookResponseObject, error) {
	err := a.changePreApproval(ctx, r.WebhookKey, r.Params.IfMatch, func(ctx context.Context, tx *store.Tx, row db.PreApprovalWebhook) error {
		if err := tx.DeletePreApprovalWebhook(ctx, row.ID); err != nil {
			return err
		}
		tx.Audit("delete", nounPreApproval, row.Key)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return api.DeletePreApprovalWebhook200JSONResponse(nil), nil
}

func (a *API) changePreApproval(ctx context.Context, key string, ifMatch *string, run func(context.Context, *store.Tx, db.PreApprovalWebhook) error) error {
	return a.change(ctx, func(ctx context.Context, tx *store.Tx) error {
		row, err := findPreApproval(ctx, tx.Queries, key)
		if err != nil {
			return err
		}
		all, err := tx.PreApprovalWebhooks(ctx)
		if err != nil {
			return err
		}
		if err := match(ifMatch, preApprovalTag(all)); err != nil {
			return err
		}
		tx.Touch(store.PreApprovalRef())
		return run(ctx, tx, row)
	})
}
