package rest

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/services/config/internal/api"
	"github.com/parley-dsr/parley/services/config/internal/store"
	"github.com/parley-dsr/parley/services/config/internal/store/db"
)

const savedOAuth = "OAuth2 configuration updated for ConnectionConfig with key: %s."

// PutOAuth replaces the OAuth settings of a connection (contract §2.3).
func (a *API) PutOAuth(ctx context.Context, request api.PutOAuthRequestObject) (api.PutOAuthResponseObject, error) {
	given := *request.Body
	err := a.changeOAuth(ctx, request.ConnectionKey, request.Params.IfMatch, func(db.Connection) (*string, error) {
		return a.sealOAuth(catalog.OAuth{
			GrantType: given.GrantType, TokenURL: given.TokenURL, Scope: given.Scope,
			ClientID: given.ClientID, ClientSecret: given.ClientSecret,
		})
	})
	if err != nil {
		return nil, setOnHTTPS(err)
	}
	return api.PutOAuth200JSONResponse{
		TestStatusReplyJSONResponse: saved(savedOAuth, request.ConnectionKey, request.Params.Verify),
	}, nil
}

// PatchOAuth lays the given settings over the stored ones; nulls change
// nothing.
func (a *API) PatchOAuth(ctx context.Context, request api.PatchOAuthRequestObject) (api.PatchOAuthResponseObject, error) {
	err := a.changeOAuth(ctx, request.ConnectionKey, request.Params.IfMatch, func(row db.Connection) (*string, error) {
		var stored catalog.OAuth
		plain, err := a.openToMerge(row.SealedOauth)
		if err == nil && plain != nil {
			err = json.Unmarshal(plain, &stored)
		}
		if err != nil {
			return nil, err
		}
		merged := overlay(stored, *request.Body)
		if merged.GrantType == "" || merged.TokenURL == "" || merged.ClientID == "" {
			return nil, edge.UnprocessableText("Invalid OAuth2 configuration.")
		}
		return a.sealOAuth(merged)
	})
	if err != nil {
		return nil, setOnHTTPS(err)
	}
	return api.PatchOAuth200JSONResponse{
		TestStatusReplyJSONResponse: saved(savedOAuth, request.ConnectionKey, request.Params.Verify),
	}, nil
}

func overlay(under catalog.OAuth, given api.OAuthSettings) catalog.OAuth {
	set := func(into *string, given *string) {
		if given != nil {
			*into = *given
		}
	}
	set(&under.GrantType, given.GrantType)
	set(&under.TokenURL, given.TokenURL)
	set(&under.ClientID, given.ClientID)
	if given.Scope != nil {
		under.Scope = given.Scope
	}
	if given.ClientSecret != nil {
		under.ClientSecret = given.ClientSecret
	}
	return under
}

func (a *API) sealOAuth(settings catalog.OAuth) (*string, error) {
	if err := a.Egress.Check(settings.TokenURL); err != nil {
		return nil, edge.Unprocessable([]identity.Problem{invalid(err.Error(), "token_url")})
	}
	return a.seal(asJSON(settings))
}

// DeleteOAuth removes the OAuth settings. What secrets there are count again.
func (a *API) DeleteOAuth(ctx context.Context, request api.DeleteOAuthRequestObject) (api.DeleteOAuthResponseObject, error) {
	err := a.changeOAuth(ctx, request.ConnectionKey, request.Params.IfMatch, func(row db.Connection) (*string, error) {
		if row.SealedOauth == nil {
			return nil, edge.NotFound("No OAuth2 configuration found to delete.")
		}
		return nil, nil
	})
	if errors.Is(err, errNotHTTPS) {
		return nil, edge.UnprocessableText("OAuth2 configuration can only be deleted for HTTPS connections")
	}
	if err != nil {
		return nil, err
	}
	return api.DeleteOAuth204Response{}, nil
}

// errNotHTTPS is returned for a connection of another type; the answers to it
// differ.
var errNotHTTPS = errors.New("rest: the connection is not of type https")

func setOnHTTPS(err error) error {
	if errors.Is(err, errNotHTTPS) {
		return edge.UnprocessableText("OAuth2 configuration can only be set for HTTPS connections.")
	}
	return err
}

func oauthConnection(ctx context.Context, q *db.Queries, key string) (db.Connection, error) {
	row, err := findConnection(ctx, q, key)
	if err == nil && row.ConnectionType != typeHTTPS {
		err = errNotHTTPS
	}
	return row, err
}

// changeOAuth stores what next makes of the connection; nil removes.
func (a *API) changeOAuth(ctx context.Context, key string, ifMatch *string, next func(db.Connection) (*string, error)) error {
	return a.change(ctx, func(ctx context.Context, tx *store.Tx) error {
		row, err := oauthConnection(ctx, tx.Queries, key)
		if err != nil {
			return err
		}
		if err := match(ifMatch, connectionTag(row)); err != nil {
			return err
		}
		sealed, err := next(row)
		if err != nil {
			return err
		}
		tx.Touch(store.ConnectionRef(row.ID, row.Key))
		if err := tx.SetOAuth(ctx, sealed, tx.Now, row.ID); err != nil {
			return err
		}
		tx.Audit("set oauth", store.NounConnection, row.Key)
		return nil
	})
}
