package rest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"net/http"
	"time"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/token"
	"github.com/parley-dsr/parley/services/config/internal/api"
	"github.com/parley-dsr/parley/services/config/internal/store"
	"github.com/parley-dsr/parley/services/config/internal/store/db"
)

// expiresLayout is local time without a zone (contract §0.6).
const expiresLayout = "2006-01-02T15:04:05.000000"

type basicKey struct{}

type basic struct{ id, secret string }

// WithBasic lets the token endpoint see a Basic Authorization header, which the
// generated server does not hand on.
func WithBasic(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, secret, ok := r.BasicAuth(); ok {
			r = r.WithContext(context.WithValue(r.Context(), basicKey{}, basic{id, secret}))
		}
		next.ServeHTTP(w, r)
	})
}

// IssueToken exchanges client credentials for an access token (contract §1.1).
func (a *API) IssueToken(ctx context.Context, request api.IssueTokenRequestObject) (api.IssueTokenResponseObject, error) {
	given, ok := credentials(ctx, request.Body)
	if !ok {
		return nil, failedAuthentication()
	}
	access, err := a.authenticate(ctx, given)
	if err != nil {
		return nil, err
	}
	access.IssuedAt = a.Clock()
	access.ExpiresAt = access.IssuedAt.Add(a.AccessTokenTTL)
	sealed, err := token.IssueAccess(a.Ring, access)
	if err != nil {
		return nil, err
	}
	return api.IssueToken200JSONResponse{
		AccessToken: sealed, TokenType: "Bearer", ExpiresIn: int64(a.AccessTokenTTL / time.Second),
		ExpiresAt: access.ExpiresAt.Local().Format(expiresLayout),
	}, nil
}

// credentials are those of the form; the header counts where the form has not
// both of them.
func credentials(ctx context.Context, form *api.TokenForm) (basic, bool) {
	if form != nil && form.ClientID != nil && form.ClientSecret != nil {
		return basic{*form.ClientID, *form.ClientSecret}, true
	}
	given, ok := ctx.Value(basicKey{}).(basic)
	return given, ok
}

func failedAuthentication() error {
	return &edge.Error{Status: http.StatusUnauthorized, Detail: "Authentication Failure"}
}

// authenticate says what the token of a client may carry. Comparisons take the
// same time whatever is wrong.
func (a *API) authenticate(ctx context.Context, given basic) (token.Access, error) {
	if equal(given.id, a.RootClientID) {
		if !equal(given.secret, a.RootClientSecret) {
			return token.Access{}, failedAuthentication()
		}
		return token.Access{ClientID: a.RootClientID, Scopes: edge.AllScopes(), Roles: []string{"owner"}}, nil
	}
	var client db.Client
	err := a.read(ctx, func(ctx context.Context, q *db.Queries) error {
		var err error
		client, err = q.Client(ctx, given.id)
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return token.Access{}, err
	}
	hash := hashSecret(client.SecretSalt, given.secret)
	if subtle.ConstantTimeCompare(hash, client.SecretHash) != 1 {
		return token.Access{}, failedAuthentication()
	}
	return token.Access{ClientID: client.ID, Scopes: client.Scopes, Roles: client.Roles}, nil
}

func equal(a, b string) bool {
	left, right := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(left[:], right[:]) == 1
}

// hashSecret needs no slow hash: the secret is 128 random bits.
func hashSecret(salt []byte, secret string) []byte {
	sum := sha256.Sum256(append(append([]byte{}, salt...), secret...))
	return sum[:]
}

// newSecret makes a secret, and what is stored of it.
func newSecret() (secret string, salt, hash []byte) {
	secret, salt = randomHex(), make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	return secret, salt, hashSecret(salt, secret)
}

// randomHex makes client ids and secrets: 32 characters.
func randomHex() string {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails
	return hex.EncodeToString(raw)
}
