package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/services/config/internal/api"
	"github.com/parley-dsr/parley/services/config/internal/store"
	"github.com/parley-dsr/parley/services/config/internal/store/db"
	"github.com/parley-dsr/parley/services/config/internal/webhooks"
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
		if err := matchItem(ctx, tx, request.Params.IfMatch, items); err != nil {
			return err
		}
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

// matchItem holds If-Match against the connection that the only item names: a
// tag is that of one connection. One that is not there has none.
func matchItem(ctx context.Context, tx *store.Tx, ifMatch *string, items []api.ConnectionItem) error {
	if ifMatch == nil {
		return nil
	}
	if len(items) != 1 {
		return edge.UnprocessableText("If-Match names the version of one connection: send its item alone, or leave the header out.")
	}
	key, err := connectionKey(items[0])
	if err != nil {
		return nil // the item fails by itself, with its text
	}
	row, err := tx.Connection(ctx, key)
	if isMissing(err) {
		return match(ifMatch, "")
	}
	if err != nil {
		return err
	}
	return match(ifMatch, connectionTag(row))
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
		tx.Audit(action, store.NounConnection, row.Key)
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

// updateConnection merges: what is absent, null or empty keeps its value. Only
// secrets do not outlive the type they were given for: what one type shows may
// be secret in another.
func (a *API) updateConnection(ctx context.Context, tx *store.Tx, item api.ConnectionItem, row db.Connection) (db.Connection, error) {
	if row.ConnectionType == typeHTTPS && item.ConnectionType != typeHTTPS {
		if err := mayChangeType(ctx, tx, row); err != nil {
			return row, err
		}
	}
	if row.ConnectionType != item.ConnectionType {
		row.SealedSecrets = nil
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

// errKeyGone is returned for what no key of the ring opens.
var errKeyGone = errors.New("rest: no key opens what is stored")

// open is the reverse of seal; nil stays nil.
func (a *API) open(sealed *string) ([]byte, error) {
	if sealed == nil {
		return nil, nil
	}
	plain, err := a.Ring.Open(keyring.Secret, *sealed)
	if errors.Is(err, keyring.ErrUnknownKey) || errors.Is(err, keyring.ErrSealed) {
		return nil, fmt.Errorf("%w: %w", errKeyGone, err)
	}
	return plain, err
}

// openToMerge opens what a change is to be laid over.
func (a *API) openToMerge(sealed *string) ([]byte, error) {
	plain, err := a.open(sealed)
	if errors.Is(err, errKeyGone) {
		return nil, edge.Conflict("What is stored cannot be opened: its encryption key is gone. Replace all of it with PUT.")
	}
	return plain, err
}
