package rest

import (
	"context"
	"encoding/json"
	"maps"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/services/config/internal/api"
	"github.com/parley-dsr/parley/services/config/internal/store"
	"github.com/parley-dsr/parley/services/config/internal/store/db"
)

// GetSettings shows what holds, or with api_set what was set over the API.
func (a *API) GetSettings(ctx context.Context, r api.GetSettingsRequestObject) (api.GetSettingsResponseObject, error) {
	var set api.Settings
	err := a.read(ctx, func(ctx context.Context, q *db.Queries) error {
		var err error
		set, err = settings(ctx, q)
		return err
	})
	if err != nil {
		return nil, err
	}
	if r.Params.APISet == nil || !*r.Params.APISet {
		a.fillIn(&set)
	}
	return api.GetSettings200JSONResponse{SettingsReplyJSONResponse: api.SettingsReplyJSONResponse(set)}, nil
}

func (a *API) fillIn(set *api.Settings) {
	execution := api.ExecutionSettings{}
	if set.Execution != nil {
		execution = *set.Execution
	}
	if execution.RequireManualRequestApproval == nil {
		execution.RequireManualRequestApproval = &a.RequireManualApproval
	}
	set.Execution = &execution
}

// settings reads what was set over the API.
func settings(ctx context.Context, q *db.Queries) (api.Settings, error) {
	var set api.Settings
	body, err := q.Settings(ctx)
	if isMissing(err) {
		return set, nil
	}
	if err != nil {
		return set, err
	}
	return set, json.Unmarshal(body, &set)
}

// PatchSettings lays settings over those that were set before (contract §1.4).
func (a *API) PatchSettings(ctx context.Context, r api.PatchSettingsRequestObject) (api.PatchSettingsResponseObject, error) {
	var set api.Settings
	err := a.change(ctx, func(ctx context.Context, tx *store.Tx) error {
		before, err := settings(ctx, tx.Queries)
		if err != nil {
			return err
		}
		if set, err = overSettings(before, api.Settings(*r.Body)); err != nil {
			return err
		}
		tx.Touch(store.SettingsRef())
		if err := tx.SetSettings(ctx, asJSON(set), tx.Now); err != nil {
			return err
		}
		tx.Audit("update", store.NounSettings, "execution")
		return nil
	})
	if err != nil {
		return nil, err
	}
	return api.PatchSettings200JSONResponse{SettingsReplyJSONResponse: api.SettingsReplyJSONResponse(set)}, nil
}

// overSettings merges by the JSON text: what it does not name stays.
func overSettings(under, over api.Settings) (api.Settings, error) {
	if over.Execution == nil {
		return under, nil
	}
	members := map[string]json.RawMessage{}
	for _, part := range []*api.ExecutionSettings{under.Execution, over.Execution} {
		named := map[string]json.RawMessage{}
		if err := json.Unmarshal(asJSON(part), &named); err != nil {
			return under, err
		}
		maps.Copy(members, named)
	}
	var merged api.Settings
	err := json.Unmarshal(asJSON(members), &merged.Execution)
	return merged, err
}

// DeleteSettings forgets what was set over the API.
func (a *API) DeleteSettings(ctx context.Context, _ api.DeleteSettingsRequestObject) (api.DeleteSettingsResponseObject, error) {
	err := a.change(ctx, func(ctx context.Context, tx *store.Tx) error {
		tx.Touch(store.SettingsRef())
		if err := tx.DeleteSettings(ctx); err != nil {
			return err
		}
		tx.Audit("delete", store.NounSettings, "execution")
		return nil
	})
	if err != nil {
		return nil, err
	}
	return api.DeleteSettings200JSONResponse{}, nil
}

// ListAudit lists who changed what, newest first.
func (a *API) ListAudit(ctx context.Context, r api.ListAuditRequestObject) (api.ListAuditResponseObject, error) {
	paging := edge.PagingOf(r.Params.Page, r.Params.Size)
	items := []api.AuditEntry{}
	var total int64
	err := a.read(ctx, func(ctx context.Context, q *db.Queries) error {
		rows, err := q.AuditPage(ctx, skip(paging), limit(paging))
		if err != nil {
			return err
		}
		for _, row := range rows {
			items = append(items, api.AuditEntry{
				OccurredAt: timestamp(row.OccurredAt), ClientID: row.ClientID, Action: row.Action,
				Resource: row.Noun, Key: row.Key,
			})
		}
		total, err = q.CountAudit(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return api.ListAudit200JSONResponse(edge.NewPage(items, int(total), paging.Page, paging.Size)), nil
}
