// Package authorization says who we are to a receiver, and adds what a
// connection's owner wants in the headers of every call (contract §9.2).
//
// Later headers replace earlier ones: the secret authorization, then the
// configured headers, which may name another Authorization, then, on
// connections with OAuth, the token, which nothing configured replaces. What
// the call itself needs (reply headers, webhook-id) is laid over all of these
// by the caller.
package authorization

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/parley-dsr/parley/internal/catalog"
)

// Tokens gives the OAuth tokens of connections.
type Tokens interface {
	// Token gives a token that is good now, and not the one that the receiver
	// refused, if it did.
	Token(ctx context.Context, connectionID string, settings catalog.OAuth, refused string) (string, error)
}

// Headers makes the headers of calls.
type Headers struct {
	// Tokens is asked for connections with OAuth settings.
	Tokens Tokens
}

// For gives the headers that the connection asks for. oauth is nil where the
// connection has no OAuth settings; refused is as in Tokens.
func (h Headers) For(ctx context.Context, connectionID string, secrets catalog.Secrets, oauth *catalog.OAuth, refused string) (http.Header, error) {
	header := http.Header{"Content-Type": {"application/json"}}
	if secrets.Authorization != "" && oauth == nil {
		header.Set("Authorization", secrets.Authorization)
	}
	for name, value := range secrets.Headers {
		if !reserved[http.CanonicalHeaderKey(name)] {
			header.Set(name, value)
		}
	}
	if oauth == nil {
		return header, nil
	}
	token, err := h.Tokens.Token(ctx, connectionID, *oauth, refused)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrToken, err)
	}
	header.Set("Authorization", bearer+token)
	return header, nil
}

const bearer = "Bearer "

// TokenIn gives the token in headers that For has made.
func TokenIn(header http.Header) string {
	return strings.TrimPrefix(header.Get("Authorization"), bearer)
}

// Headers that frame the message: they follow from the body and the
// connection, and a configured value would break either.
var reserved = map[string]bool{
	"Accept-Encoding": true, "Connection": true, "Content-Length": true, "Keep-Alive": true,
	"Proxy-Authorization": true, "Proxy-Connection": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true,
}
