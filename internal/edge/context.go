package edge

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
)

// Principal is who an access token speaks for.
type Principal struct {
	ClientID string
	// Root says that it is the root client of the settings.
	Root bool
	// Scopes are those that the token gives at this moment, directly or by a
	// role.
	Scopes []string
}

// state is what the edge knows about a request while it is served.
type state struct {
	requestID string
	client    netip.Addr
	route     string // the path's template, "" where nothing matched
	operation string
	logger    *slog.Logger

	principal Principal
	bearer    string
}

type stateKey struct{}

// stateFrom gives the state of a request; an empty one outside the edge.
func stateFrom(ctx context.Context) *state {
	if s, ok := ctx.Value(stateKey{}).(*state); ok {
		return s
	}
	return &state{}
}

func (s *state) attributes() []any {
	attributes := []any{slog.String("request_id", s.requestID)}
	if s.operation != "" {
		attributes = append(attributes, slog.String("operation", s.operation))
	}
	return attributes
}

// PrincipalFrom returns who called an operation with OAuth security; the zero
// value elsewhere.
func PrincipalFrom(ctx context.Context) Principal { return stateFrom(ctx).principal }

// Bearer returns the bearer token of an operation with reply token security;
// "" elsewhere, so that an access token travels no further than the edge.
func Bearer(ctx context.Context) string { return stateFrom(ctx).bearer }

// RequestID returns the id under which a request stands in the log.
func RequestID(ctx context.Context) string { return stateFrom(ctx).requestID }

// ClientAddr returns the address of the caller: behind trusted proxies, the one
// that they name. It is the zero address where there is none.
func ClientAddr(r *http.Request) netip.Addr { return stateFrom(r.Context()).client }
