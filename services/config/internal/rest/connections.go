package rest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/services/config/internal/api"
	"github.com/parley-dsr/parley/services/config/internal/mask"
	"github.com/parley-dsr/parley/services/config/internal/store"
	"github.com/parley-dsr/parley/services/config/internal/store/db"
)

const (
	typeHTTPS       = "https"
	classConnection = "ConnectionConfig"
)

// ListConnections lists connections by name.
func (a *API) ListConnections(ctx context.Context, request api.ListConnectionsRequestObject) (api.ListConnectionsResponseObject, error) {
	p := request.Params
	paging := edge.PagingOf(p.Page, p.Size)
	filter, nobody := connectionFilter(p)
	items := []api.Connection{}
	var total int64
	if nobody {
		return api.ListConnections200JSONResponse(edge.NewPage(items, 0, paging.Page, paging.Size)), nil
	}
	filter.Skip, filter.PageSize = skip(paging), limit(paging)
	err := a.read(ctx, func(ctx context.Context, q *db.Queries) error {
		rows, err := q.Connections(ctx, filter)
		if err != nil {
			return err
		}
		if items, err = a.showConnections(rows); err != nil {
			return err
		}
		total, err = q.CountConnections(ctx, db.CountConnectionsParams{
			Search: filter.Search, Disabled: filter.Disabled, Types: filter.Types, TypesNot: filter.TypesNot,
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return api.ListConnections200JSONResponse(edge.NewPage(items, int(total), paging.Page, paging.Size)), nil
}

// connectionFilter translates the query. nobody says that no connection can
// match: none has ever been tested, and none is linked to a system.
func connectionFilter(p api.ListConnectionsParams) (filter db.ConnectionsParams, nobody bool) {
	filter = db.ConnectionsParams{Disabled: p.Disabled, Types: []string{}, TypesNot: []string{}}
	if value(p.Search) != "" {
		filter.Search = p.Search
	}
	if p.ConnectionType != nil {
		for _, t := range *p.ConnectionType {
			filter.Types = append(filter.Types, strings.ToLower(t))
		}
	}
	if p.SystemType != nil {
		nobody = !narrow(&filter, *p.SystemType)
	}
	nobody = nobody || p.TestStatus != nil && *p.TestStatus != api.Untested
	return filter, nobody || p.OrphanedFromSystem != nil && !*p.OrphanedFromSystem
}

// narrow keeps the types that belong to a kind of system. A database is what is
// none of the others.
func narrow(filter *db.ConnectionsParams, kind api.ListConnectionsParamsSystemType) (possible bool) {
	groups := map[api.ListConnectionsParamsSystemType][]string{
		api.Saas:   {"saas"},
		api.Manual: {"manual", "manual_webhook", "manual_task"},
		api.Email:  {"attentive_email", "dynamic_erasure_email", "generic_consent_email", "generic_erasure_email", "sovrn"},
	}
	group, named := groups[kind]
	if !named {
		for _, others := range groups {
			filter.TypesNot = append(filter.TypesNot, others...)
		}
		return true
	}
	if len(filter.Types) == 0 {
		filter.Types = group
		return true
	}
	filter.Types = intersect(filter.Types, group)
	return len(filter.Types) > 0
}

func intersect(a, b []string) []string {
	both := []string{}
	for _, v := range a {
		if contains(b, v) {
			both = append(both, v)
		}
	}
	return both
}

// GetConnection shows one connection.
func (a *API) GetConnection(ctx context.Context, request api.GetConnectionRequestObject) (api.GetConnectionResponseObject, error) {
	var row db.Connection
	err := a.read(ctx, func(ctx context.Context, q *db.Queries) error {
		var err error
		row, err = findConnection(ctx, q, request.ConnectionKey)
		return err
	})
	if err != nil {
		return nil, err
	}
	shown, err := a.showConnection(row)
	if err != nil {
		return nil, err
	}
	return api.GetConnection200JSONResponse{
		Body:    detail(shown),
		Headers: api.GetConnection200ResponseHeaders{ETag: connectionTag(row)},
	}, nil
}

// detail adds the name of the linked system, which is the connection itself
// where none is linked.
func detail(c api.Connection) api.ConnectionDetail {
	return api.ConnectionDetail{
		ConnectionType: c.ConnectionType, Secrets: c.Secrets, SaasConfig: c.SaasConfig, Name: c.Name, Key: c.Key,
		Description: c.Description, Access: c.Access, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
		Disabled: c.Disabled, LastTestTimestamp: c.LastTestTimestamp, LastTestSucceeded: c.LastTestSucceeded,
		Authorized: c.Authorized, EnabledActions: c.EnabledActions, LinkedSystems: c.LinkedSystems, SystemKey: c.Name,
	}
}

func findConnection(ctx context.Context, q *db.Queries, key string) (db.Connection, error) {
	row, err := q.Connection(ctx, key)
	if isMissing(err) {
		return row, noConnection(key)
	}
	return row, err
}

func noConnection(key string) error {
	return edge.NotFound("No connection configuration found with key '%s'.", key)
}

// DeleteConnection deletes a connection with its pre-approval webhooks. The
// webhooks of policies hold it.
func (a *API) DeleteConnection(ctx context.Context, request api.DeleteConnectionRequestObject) (api.DeleteConnectionResponseObject, error) {
	err := a.change(ctx, func(ctx context.Context, tx *store.Tx) error {
		row, err := findConnection(ctx, tx.Queries, request.ConnectionKey)
		if err != nil {
			return err
		}
		if err := match(request.Params.IfMatch, connectionTag(row)); err != nil {
			return err
		}
		if err := notInUse(ctx, tx, row); err != nil {
			return err
		}
		others, err := tx.CountPreApprovalWebhooksOfConnection(ctx, row.ID)
		if err != nil {
			return err
		}
		if others > 0 {
			tx.Touch(store.PreApprovalRef())
		}
		tx.Touch(store.ConnectionRef(row.ID, row.Key))
		if err := tx.DeleteConnection(ctx, row.ID); err != nil {
			return err
		}
		tx.Audit("delete", store.NounConnection, row.Key)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return api.DeleteConnection204Response{}, nil
}

func notInUse(ctx context.Context, tx *store.Tx, row db.Connection) error {
	keys, err := tx.WebhookKeysOfConnection(ctx, row.ID)
	if err != nil {
		return err
	}
	if len(keys) > 0 {
		return edge.Conflict("Cannot delete connection configuration %s: it is used by webhooks %s.", row.Key, strings.Join(keys, ", "))
	}
	return nil
}

// TestConnection says that no call was made (contract §2.3), unless the caller
// wants to know whether the connection can be reached.
func (a *API) TestConnection(ctx context.Context, request api.TestConnectionRequestObject) (api.TestConnectionResponseObject, error) {
	var id string
	err := a.read(ctx, func(ctx context.Context, q *db.Queries) error {
		row, err := findConnection(ctx, q, request.ConnectionKey)
		id = row.ID
		return err
	})
	if err != nil {
		return nil, err
	}
	status := "skipped"
	var reason *string
	if probe := request.Params.Probe; probe != nil && *probe {
		answer, err := a.Probe(ctx, id)
		if err != nil {
			return nil, edge.Unavailable(retryAfter, "The connection could not be tested: no dispatcher answers.")
		}
		status = "passed"
		if !answer.Passed {
			status, reason = "failed", &answer.FailureReason
		}
	}
	return api.TestConnection200JSONResponse{TestStatusReplyJSONResponse: api.TestStatusReplyJSONResponse{
		Msg:        fmt.Sprintf("Test completed for ConnectionConfig with key: %s.", request.ConnectionKey),
		TestStatus: &status, FailureReason: reason,
	}}, nil
}

func (a *API) showConnections(rows []db.Connection) ([]api.Connection, error) {
	shown := make([]api.Connection, 0, len(rows))
	for _, row := range rows {
		c, err := a.showConnection(row)
		if err != nil {
			return nil, err
		}
		shown = append(shown, c)
	}
	return shown, nil
}

// showConnection shows a connection with its secrets masked (contract §2.1).
// Secrets whose key is gone are shown as none: they have to be set again.
func (a *API) showConnection(row db.Connection) (api.Connection, error) {
	plain, err := a.open(row.SealedSecrets)
	if err != nil && !errors.Is(err, errKeyGone) {
		return api.Connection{}, fmt.Errorf("rest: secrets of a connection: %w", err)
	}
	masked, err := mask.Secrets(row.ConnectionType, plain)
	if err != nil {
		return api.Connection{}, err
	}
	return api.Connection{
		ConnectionType: row.ConnectionType, Secrets: masked, Name: row.Name, Key: row.Key,
		Description: row.Description, Access: row.Access, CreatedAt: timestamp(row.CreatedAt),
		UpdatedAt: timestamp(row.UpdatedAt), Disabled: row.Disabled, LinkedSystems: []string{},
	}, nil
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
