// Package probe sees whether a connection can be reached, for the person who
// configures it.
//
// It does what a call does up to the point where something would be sent: the
// secrets are opened, the name is resolved, the address is checked and dialled,
// TLS is spoken with the connection's client certificate, and with OAuth a
// token is fetched, which is not kept. The webhook itself gets nothing. The
// reason of a failure is made of fixed words, since it is shown to whoever may
// read connections.
package probe

import (
	"context"
	"crypto/tls"
	"errors"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/dispatcher/internal/authorization"
	"github.com/parley-dsr/parley/services/dispatcher/internal/call"
	"github.com/parley-dsr/parley/services/dispatcher/internal/egress"
)

// Receivers reaches out of the house.
type Receivers interface {
	Reach(ctx context.Context, url string, certificate *tls.Certificate) error
}

// Tokens fetches tokens on trial.
type Tokens interface {
	Try(ctx context.Context, settings catalog.OAuth) error
}

// Prober probes connections.
type Prober struct {
	Connections call.Connections
	Opener      *authorization.Opener
	Receivers   Receivers
	Tokens      Tokens
}

// Probe probes one connection. Its error is that of NATS, when nothing can be
// said.
func (p Prober) Probe(ctx context.Context, connectionID string) (work.ProbeAnswer, error) {
	connection, err := p.Connections.Connection(ctx, connectionID)
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return failed("", events.OutcomeUnconfigured), nil
	case err != nil:
		return work.ProbeAnswer{}, err
	}
	opened, err := p.Opener.Open(connection)
	if err != nil {
		return failed("", events.OutcomeUnconfigured), nil
	}
	if err := p.Receivers.Reach(ctx, opened.Secrets.URL, opened.Certificate); err != nil {
		return failed("", egress.Outcome(egress.Answer{}, err)), nil
	}
	if opened.OAuth != nil {
		return p.token(ctx, *opened.OAuth), nil
	}
	return work.ProbeAnswer{Passed: true}, nil
}

// token reaches for the endpoint first, since a failed fetch does not say why.
func (p Prober) token(ctx context.Context, settings catalog.OAuth) work.ProbeAnswer {
	if err := p.Receivers.Reach(ctx, settings.TokenURL, nil); err != nil {
		return failed("token endpoint: ", egress.Outcome(egress.Answer{}, err))
	}
	if err := p.Tokens.Try(ctx, settings); err != nil {
		return failed("", events.OutcomeToken)
	}
	return work.ProbeAnswer{Passed: true}
}

func failed(where, outcome string) work.ProbeAnswer {
	return work.ProbeAnswer{FailureReason: where + call.Reason(outcome)}
}
