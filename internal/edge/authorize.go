package edge

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/token"
)

// retryClients is when to come back if clients cannot be looked up.
const retryClients = 2 * time.Second

// authorize does what the operation's security demands.
func (e *Edge) authorize(r *http.Request, op *operation) error {
	switch op.security.kind {
	case oauth2:
		return e.authorizeClient(r, op.security.scopes)
	case replyToken:
		return e.authorizeReply(r, op)
	default:
		return nil
	}
}

// bearer takes the token out of the header; false where there is no bearer
// token. The token itself may be empty.
func bearer(r *http.Request) (string, bool) {
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(value), strings.EqualFold(scheme, "bearer")
}

// authorizeClient checks an access token (contract §1.2).
func (e *Edge) authorizeClient(r *http.Request, needed []string) error {
	sent, ok := bearer(r)
	if !ok {
		return Unauthenticated("")
	}
	access, err := token.ReadAccess(e.config.Ring, sent)
	if err != nil || access.Expired(e.clock()) {
		return Forbidden("")
	}
	client, root, err := e.client(r.Context(), access.ClientID)
	if err != nil {
		return err
	}
	granted := e.grantedScopes(access, client)
	for _, scope := range needed {
		if !slices.Contains(granted, scope) {
			return Forbidden(textForbidden + ". Required scope(s): [" + strings.Join(needed, ", ") + "]")
		}
	}
	stateFrom(r.Context()).principal = Principal{ClientID: client.ID, Root: root, Scopes: granted}
	return nil
}

// client finds the client of a token. The root client is known from the
// settings, so that it can be used while nothing else runs.
func (e *Edge) client(ctx context.Context, id string) (client catalog.Client, root bool, err error) {
	if e.config.RootClientID != "" && id == e.config.RootClientID {
		return catalog.Client{ID: id, Scopes: e.implied[RoleOwner], Roles: []string{RoleOwner}}, true, nil
	}
	client, err = e.config.Clients(ctx, id)
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return catalog.Client{}, false, Forbidden("")
	case err != nil:
		logFailure(requestOf(ctx), err)
		return catalog.Client{}, false, Unavailable(retryClients, "API clients cannot be looked up at the moment.")
	}
	return client, false, nil
}

func requestOf(ctx context.Context) *http.Request {
	return (&http.Request{}).WithContext(ctx)
}

// grantedScopes are what a token gives now: its scopes, if the client still has
// all of them, and what its roles imply, if the client still has all of those.
// So taking one scope away from a client ends every token that lists it. Unknown
// roles imply nothing.
func (e *Edge) grantedScopes(access token.Access, client catalog.Client) []string {
	var granted []string
	if subset(access.Scopes, client.Scopes) {
		granted = append(granted, access.Scopes...)
	}
	if subset(access.Roles, client.Roles) {
		for _, role := range access.Roles {
			granted = append(granted, e.implied[role]...)
		}
	}
	slices.Sort(granted)
	return slices.Compact(granted)
}

func subset(some, all []string) bool {
	for _, s := range some {
		if !slices.Contains(all, s) {
			return false
		}
	}
	return true
}

// authorizeReply asks for a bearer token and lets the service judge it (contract
// §11). Where nobody does, nobody gets in.
func (e *Edge) authorizeReply(r *http.Request, op *operation) error {
	sent, ok := bearer(r)
	if !ok {
		return Unauthenticated("")
	}
	if e.config.ReplyToken == nil {
		return Internal(errNoJudge)
	}
	stateFrom(r.Context()).bearer = sent
	return e.config.ReplyToken(r, op.id, sent)
}

var errNoJudge = errors.New("edge: the service does not judge reply tokens")
