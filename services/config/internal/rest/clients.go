package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/services/config/internal/api"
	"github.com/parley-dsr/parley/services/config/internal/store"
	"github.com/parley-dsr/parley/services/config/internal/store/db"
)

// CreateClient makes an API client (contract §1.3).
func (a *API) CreateClient(ctx context.Context, request api.CreateClientRequestObject) (api.CreateClientResponseObject, error) {
	item := api.ClientCreate{}
	if request.Body != nil {
		item = *request.Body
	}
	scopes := []string{}
	if item.Scopes != nil {
		scopes = unique(*item.Scopes)
	}
	if err := checkName(item.Name); err != nil {
		return nil, err
	}
	if err := mayAssign(ctx, scopes); err != nil {
		return nil, err
	}
	secret, salt, hash := newSecret()
	id := randomHex()
	err := a.change(ctx, func(ctx context.Context, tx *store.Tx) error {
		tx.Touch(store.ClientRef(id))
		if err := tx.InsertClient(ctx, db.InsertClientParams{
			ID: id, Name: item.Name, Description: item.Description, Scopes: scopes, Roles: []string{},
			SecretSalt: salt, SecretHash: hash, Now: tx.Now,
		}); err != nil {
			return err
		}
		tx.Audit("create", store.NounClient, id)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return api.CreateClient200JSONResponse{ClientID: id, ClientSecret: secret}, nil
}

func checkName(name *string) error {
	if name != nil && strings.TrimSpace(*name) == "" {
		return edge.Unprocessable([]identity.Problem{invalid("Name must not be blank.", "name")})
	}
	return nil
}

// mayAssign refuses scopes that do not exist, and those that the caller has not
// got.
func mayAssign(ctx context.Context, scopes []string) error {
	all := edge.AllScopes()
	for _, scope := range scopes {
		if !slices.Contains(all, scope) {
			return edge.Forbidden(fmt.Sprintf("Invalid Scope. Scopes must be one of %s.", pythonList(all)))
		}
	}
	if missing := missingScopes(ctx, scopes); len(missing) > 0 {
		return edge.Forbidden(fmt.Sprintf("Cannot assign scopes that you do not have. Missing scopes: %s", pythonList(missing)))
	}
	return nil
}

// missingScopes are those that the caller does not have; the root client has all.
func missingScopes(ctx context.Context, scopes []string) []string {
	caller := edge.PrincipalFrom(ctx)
	if caller.Root {
		return nil
	}
	var missing []string
	for _, scope := range scopes {
		if !slices.Contains(caller.Scopes, scope) {
			missing = append(missing, scope)
		}
	}
	return missing
}

// pythonList words a list as compatible systems do: ['a', 'b'].
func pythonList(values []string) string {
	quoted := make([]string, 0, len(values))
	for _, v := range values {
		quoted = append(quoted, "'"+v+"'")
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

func unique(values []string) []string {
	kept := make([]string, 0, len(values))
	for _, v := range values {
		if !slices.Contains(kept, v) {
			kept = append(kept, v)
		}
	}
	return kept
}

// ListClients lists API clients, newest first. The root client is not one of
// them: it is a setting.
func (a *API) ListClients(ctx context.Context, request api.ListClientsRequestObject) (api.ListClientsResponseObject, error) {
	paging := edge.PagingOf(request.Params.Page, request.Params.Size)
	items := []api.Client{}
	var total int64
	err := a.read(ctx, func(ctx context.Context, q *db.Queries) error {
		rows, err := q.Clients(ctx, skip(paging), limit(paging))
		if err != nil {
			return err
		}
		for _, c := range rows {
			items = append(items, showClient(c))
		}
		total, err = q.CountClients(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return api.ListClients200JSONResponse(edge.NewPage(items, int(total), paging.Page, paging.Size)), nil
}

func showClient(c db.Client) api.Client {
	return api.Client{ClientID: c.ID, Name: c.Name, Description: c.Description, Scopes: c.Scopes}
}

// GetClient shows one API client.
func (a *API) GetClient(ctx context.Context, request api.GetClientRequestObject) (api.GetClientResponseObject, error) {
	var client db.Client
	err := a.read(ctx, func(ctx context.Context, q *db.Queries) error {
		var err error
		client, err = q.Client(ctx, request.ClientID)
		return noClient(err)
	})
	if err != nil {
		return nil, err
	}
	return api.GetClient200JSONResponse(showClient(client)), nil
}

func noClient(err error) error {
	if isMissing(err) {
		return edge.NotFound("Client not found.")
	}
	return err
}

// UpdateClient changes what the body names. A null description clears it.
func (a *API) UpdateClient(ctx context.Context, request api.UpdateClientRequestObject) (api.UpdateClientResponseObject, error) {
	body := *request.Body
	if err := checkName(body.Name); err != nil {
		return nil, err
	}
	var client db.Client
	err := a.change(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		client, err = tx.Client(ctx, request.ClientID)
		if err != nil {
			return noClient(err)
		}
		if body.Scopes != nil {
			client.Scopes = unique(*body.Scopes)
			if err := mayAssign(ctx, client.Scopes); err != nil {
				return err
			}
		}
		if body.Name != nil {
			client.Name = body.Name
		}
		if len(body.Description) > 0 {
			client.Description = nil
			if err := json.Unmarshal(body.Description, &client.Description); err != nil {
				return edge.Unprocessable([]identity.Problem{{
					Type: "string_type", Loc: []any{"body", "description"}, Msg: "Input should be a valid string",
				}})
			}
		}
		return storeClient(ctx, tx, client)
	})
	if err != nil {
		return nil, err
	}
	return api.UpdateClient200JSONResponse(showClient(client)), nil
}

func storeClient(ctx context.Context, tx *store.Tx, c db.Client) error {
	tx.Touch(store.ClientRef(c.ID))
	if err := tx.UpdateClient(ctx, db.UpdateClientParams{
		ID: c.ID, Name: c.Name, Description: c.Description, Scopes: c.Scopes, Now: tx.Now,
	}); err != nil {
		return err
	}
	tx.Audit("update", store.NounClient, c.ID)
	return nil
}

// DeleteClient deletes an API client; its tokens are worth nothing from then
// on. One that does not exist is as good as deleted.
func (a *API) DeleteClient(ctx context.Context, request api.DeleteClientRequestObject) (api.DeleteClientResponseObject, error) {
	err := a.changeClient(ctx, request.ClientID, func(ctx context.Context, tx *store.Tx, client db.Client) error {
		tx.Touch(store.ClientRef(client.ID))
		if err := tx.DeleteClient(ctx, client.ID); err != nil {
			return err
		}
		tx.Audit("delete", store.NounClient, client.ID)
		return nil
	})
	if err != nil && !errors.Is(err, errNoSuchClient) {
		return nil, err
	}
	return api.DeleteClient200JSONResponse(nil), nil
}

// errNoSuchClient ends a change without an answer of its own.
var errNoSuchClient = errors.New("rest: no such client")

func (a *API) changeClient(ctx context.Context, id string, run func(ctx context.Context, tx *store.Tx, c db.Client) error) error {
	return a.change(ctx, func(ctx context.Context, tx *store.Tx) error {
		client, err := tx.Client(ctx, id)
		if isMissing(err) {
			return errNoSuchClient
		}
		if err != nil {
			return err
		}
		return run(ctx, tx, client)
	})
}

// RotateClientSecret gives an API client a new secret. Tokens that it has got
// stay good until they expire. Who gets the secret can do what the client can,
// and so must have its scopes already.
func (a *API) RotateClientSecret(ctx context.Context, request api.RotateClientSecretRequestObject) (api.RotateClientSecretResponseObject, error) {
	secret, salt, hash := newSecret()
	err := a.changeClient(ctx, request.ClientID, func(ctx context.Context, tx *store.Tx, client db.Client) error {
		if missing := missingScopes(ctx, client.Scopes); len(missing) > 0 {
			return edge.Forbidden(fmt.Sprintf("Cannot take over a client with scopes that you do not have. Missing scopes: %s", pythonList(missing)))
		}
		if err := tx.SetClientSecret(ctx, db.SetClientSecretParams{
			ID: client.ID, SecretSalt: salt, SecretHash: hash, Now: tx.Now,
		}); err != nil {
			return err
		}
		tx.Audit("rotate secret", store.NounClient, client.ID)
		return nil
	})
	if errors.Is(err, errNoSuchClient) {
		return nil, edge.NotFound("Client not found.")
	}
	if err != nil {
		return nil, err
	}
	return api.RotateClientSecret200JSONResponse{ClientID: request.ClientID, ClientSecret: secret}, nil
}

// GetClientScopes lists the scopes of an API client; none for an unknown one.
func (a *API) GetClientScopes(ctx context.Context, request api.GetClientScopesRequestObject) (api.GetClientScopesResponseObject, error) {
	scopes := []string{}
	err := a.read(ctx, func(ctx context.Context, q *db.Queries) error {
		client, err := q.Client(ctx, request.ClientID)
		if isMissing(err) {
			return nil
		}
		scopes = append(scopes, client.Scopes...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return api.GetClientScopes200JSONResponse(scopes), nil
}

// SetClientScopes replaces the scopes of an API client. Tokens that list a scope
// that was taken away are refused from then on.
func (a *API) SetClientScopes(ctx context.Context, request api.SetClientScopesRequestObject) (api.SetClientScopesResponseObject, error) {
	scopes := unique(*request.Body)
	if err := mayAssign(ctx, scopes); err != nil {
		return nil, err
	}
	err := a.changeClient(ctx, request.ClientID, func(ctx context.Context, tx *store.Tx, client db.Client) error {
		client.Scopes = scopes
		return storeClient(ctx, tx, client)
	})
	if err != nil && !errors.Is(err, errNoSuchClient) {
		return nil, err
	}
	return api.SetClientScopes200JSONResponse(nil), nil
}

// ListScopes lists every scope there is.
func (a *API) ListScopes(context.Context, api.ListScopesRequestObject) (api.ListScopesResponseObject, error) {
	return api.ListScopes200JSONResponse(edge.AllScopes()), nil
}

// ListRoles says which scopes each role implies.
func (a *API) ListRoles(context.Context, api.ListRolesRequestObject) (api.ListRolesResponseObject, error) {
	return api.ListRoles200JSONResponse(edge.RoleScopes()), nil
}

// isMissing says whether a query found no row.
func isMissing(err error) bool { return store.IsMissing(err) }

// CatalogClient reads an API client as the edge needs it.
func (a *API) CatalogClient(ctx context.Context, id string) (catalog.Client, error) {
	var client db.Client
	err := a.read(ctx, func(ctx context.Context, q *db.Queries) error {
		var err error
		client, err = q.Client(ctx, id)
		return err
	})
	if isMissing(err) {
		return catalog.Client{}, catalog.ErrNotFound
	}
	return catalog.Client{ID: client.ID, Scopes: client.Scopes, Roles: client.Roles}, err
}
