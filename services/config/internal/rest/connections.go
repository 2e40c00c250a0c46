package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/services/config/internal/api"
	"github.com/parley-dsr/parley/services/config/internal/store"
	"github.com/parley-dsr/parley/services/config/internal/store/db"
	"github.com/parley-dsr/parley/services/config/internal/webhooks"
)

const (
	typeHTTPS       = "https"
	classConnection = "ConnectionConfig"
)

// UpsertConnections creates or updates connections, each by itself
// (contract §2.3).
func (a *API) UpsertConnections(ctx context.Context, request api.UpsertConnectionsRequestObject) (api.UpsertConnectionsResponseObject, error) {
	items := *request.Body
	if err := a.checkItems(items); err != nil {
		return nil, err
	}
	var bulk api.ConnectionBulk
	err := a.change(ctx, func(ctx context.Context, tx *store.Tx) error {
		bulk = api.ConnectionBulk{Succeeded: []api.Connection{}, Failed: []api.ConnectionFailure{}}
		for _, item := range items {
			shown, err := a.upsertConnection(ctx, tx, item)
			if text, alone := failureText(err); alone {
				bulk.Failed = append(bulk.Failed, api.ConnectionFailure{Message: text, Data: failedConnection(item)})
				continue
			}
			if err != nil {
				return err
			}
			bulk.Succeeded = append(bulk.Succeeded, shown)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return api.UpsertConnections200JSONResponse(bulk), nil
}

// checkItems refuses the whole list for what no stored row could mend: a name
// of which no key can be made, and a URL that may never be called.
func (a *API) checkItems(items []api.ConnectionItem) error {
	var problems []identity.Problem
	for i, item := range items {
		if value(item.Key) == "" && value(item.Name) != "" {
			if _, err := webhooks.KeyFromName(*item.Name); err != nil {
				return edge.UnprocessableText("%s", badKey())
			}
		}
		var secrets struct {
			URL any `json:"url"`
		}
		if item.ConnectionType != typeHTTPS || json.Unmarshal(item.Secrets, &secrets) != nil {
			continue
		}
		if url, ok := secrets.URL.(string); ok {
			if err := a.Egress.Check(url); err != nil {
				problems = append(problems, invalid(err.Error(), i, "secrets", "url"))
			}
		}
	}
	if len(problems) > 0 {
		return edge.Unprocessable(problems)
	}
	return nil
}

// failedConnection shows an item without its secrets.
func failedConnection(item api.ConnectionItem) api.ConnectionFailureData {
	return api.ConnectionFailureData{
		Name: item.Name, Key: item.Key, ConnectionType: item.ConnectionType, Access: item.Access,
		Disabled: item.Disabled != nil && *item.Disabled, Description: item.Description,
	}
}

func (a *API) upsertConnection(ctx context.Context, tx *store.Tx, item api.ConnectionItem) (api.Connection, error) {
	var shown api.Connection
	err := tx.Item(ctx, func(tx *store.Tx) error {
		row, action, err := a.placeConnection(ctx, tx, item)
		if err != nil {
			return err
		}
		tx.Touch(store.ConnectionRef(row.ID, row.Key))
		if err := tx.Audit(ctx, action, store.NounConnection, row.Key); err != nil {
			return err
		}
		shown, err = a.showConnection(row)
		return err
	})
	return shown, err
}

// placeConnection stores an item: over the connection of its key, or as a new
// one.
func (a *API) placeConnection(ctx context.Context, tx *store.Tx, item api.ConnectionItem) (db.Connection, string, error) {
	key, err := connectionKey(item)
	if err != nil {
		return db.Connection{}, "", err
	}
	row, err := tx.Connection(ctx, key)
	switch {
	case isMissing(err):
		row, err = a.createConnection(ctx, tx, item, key)
		return row, "create", err
	case err != nil:
		return row, "", err
	case value(item.Key) == "":
		return row, "", failure(keyTaken(classConnection, key))
	}
	row, err = a.updateConnection(ctx, tx, item, row)
	return row, "update", err
}

func connectionKey(item api.ConnectionItem) (string, error) {
	if key := value(item.Key); key != "" {
		return key, nil
	}
	if value(item.Name) == "" {
		return "", failure(nameless(classConnection))
	}
	return webhooks.KeyFromName(*item.Name)
}

func (a *API) createConnection(ctx context.Context, tx *store.Tx, item api.ConnectionItem, key string) (db.Connection, error) {
	row := db.Connection{
		ID: newID("con"), Key: key, Name: item.Name, Description: item.Description,
		ConnectionType: item.ConnectionType, Access: item.Access,
		Disabled: item.Disabled != nil && *item.Disabled, CreatedAt: tx.Now, UpdatedAt: tx.Now,
	}
	var err error
	if row.SealedSecrets, err = a.sealGiven(item.Secrets); err != nil {
		return row, err
	}
	return row, tx.InsertConnection(ctx, db.InsertConnectionParams{
		ID: row.ID, Key: row.Key, Name: row.Name, Description: row.Description, ConnectionType: row.ConnectionType,
		Access: row.Access, Disabled: row.Disabled, SealedSecrets: row.SealedSecrets, Now: tx.Now,
	})
}

// updateConnection merges: what is absent, null or empty keeps its value.
func (a *API) updateConnection(ctx context.Context, tx *store.Tx, item api.ConnectionItem, row db.Connection) (db.Connection, error) {
	if row.ConnectionType == typeHTTPS && item.ConnectionType != typeHTTPS {
		if err := mayChangeType(ctx, tx, row); err != nil {
			return row, err
		}
	}
	row.ConnectionType, row.Access, row.UpdatedAt = item.ConnectionType, item.Access, tx.Now
	if value(item.Name) != "" {
		row.Name = item.Name
	}
	if value(item.Description) != "" {
		row.Description = item.Description
	}
	if item.Disabled != nil {
		row.Disabled = *item.Disabled
	}
	sealed, err := a.sealGiven(item.Secrets)
	if err != nil {
		return row, err
	}
	if sealed != nil {
		row.SealedSecrets = sealed
	}
	return row, tx.UpdateConnection(ctx, db.UpdateConnectionParams{
		ID: row.ID, Name: row.Name, Description: row.Description, ConnectionType: row.ConnectionType,
		Access: row.Access, Disabled: row.Disabled, SealedSecrets: row.SealedSecrets, Now: tx.Now,
	})
}

// mayChangeType keeps webhooks and OAuth settings on connections of type https.
func mayChangeType(ctx context.Context, tx *store.Tx, row db.Connection) error {
	keys, err := tx.WebhookKeysOfConnection(ctx, row.ID)
	if err != nil {
		return err
	}
	others, err := tx.CountPreApprovalWebhooksOfConnection(ctx, row.ID)
	if err != nil {
		return err
	}
	if len(keys) > 0 || others > 0 || row.SealedOauth != nil {
		return failf("The type of connection %s cannot change: webhooks or OAuth2 settings depend on it.", row.Key)
	}
	return nil
}

// sealGiven seals secrets as they are; nil where none were given.
func (a *API) sealGiven(secrets json.RawMessage) (*string, error) {
	var given map[string]json.RawMessage
	if len(secrets) == 0 || json.Unmarshal(secrets, &given) != nil || len(given) == 0 {
		return nil, nil
	}
	return a.seal(secrets)
}

func (a *API) seal(plain []byte) (*string, error) {
	sealed, err := a.Ring.Seal(keyring.Secret, plain)
	if err != nil {
		return nil, err
	}
	return &sealed, nil
}

// open is the reverse of seal; nil stays nil.
func (a *API) open(sealed *string) ([]byte, error) {
	if sealed == nil {
		return nil, nil
	}
	return a.Ring.Open(keyring.Secret, *sealed)
}

// ListConnections lists connections by name.
func (a *API) ListConnections(ctx context.Context, request api.ListConnectionsRequestObject) (api.ListConnectionsResponseObject, error) {
	p := request.Params
	w := windowOf(p.Page, p.Size)
	filter, nobody := connectionFilter(p)
	items := []api.Connection{}
	var total int64
	if nobody {
		return api.ListConnections200JSONResponse(edge.NewPage(items, 0, w.page, w.size)), nil
	}
	filter.Skip, filter.PageSize = w.skip(), w.limit()
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
	return api.ListConnections200JSONResponse(edge.NewPage(items, int(total), w.page, w.size)), nil
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
		return tx.Audit(ctx, "delete", store.NounConnection, row.Key)
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

// TestConnection says that no call was made (contract §2.3).
func (a *API) TestConnection(ctx context.Context, request api.TestConnectionRequestObject) (api.TestConnectionResponseObject, error) {
	err := a.read(ctx, func(ctx context.Context, q *db.Queries) error {
		_, err := findConnection(ctx, q, request.ConnectionKey)
		return err
	})
	if err != nil {
		return nil, err
	}
	skipped := "skipped"
	return api.TestConnection200JSONResponse{TestStatusReplyJSONResponse: api.TestStatusReplyJSONResponse{
		Msg:        fmt.Sprintf("Test completed for ConnectionConfig with key: %s.", request.ConnectionKey),
		TestStatus: &skipped,
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
func (a *API) showConnection(row db.Connection) (api.Connection, error) {
	plain, err := a.open(row.SealedSecrets)
	if err != nil {
		return api.Connection{}, fmt.Errorf("rest: secrets of a connection: %w", err)
	}
	masked, err := mask(row.ConnectionType, plain)
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
