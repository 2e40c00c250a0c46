package call

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/token"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/dispatcher/internal/authorization"
	"github.com/parley-dsr/parley/services/dispatcher/internal/payload"
)

// prepared is what an attempt needs.
type prepared struct {
	connectionID string
	secrets      catalog.Secrets
	oauth        *catalog.OAuth
	certificate  *tls.Certificate
	body         []byte
	header       http.Header // of the call itself: laid over the connection's
	// tokenEnds is the end of the reply token, zero where there is none.
	tokenEnds time.Time
}

// impossibleError says that a call cannot be made, now or later.
type impossibleError struct{ outcome string }

func (e *impossibleError) Error() string { return "call: impossible: " + e.outcome }

func (c *Caller) prepare(
	ctx context.Context, call work.Call, request *record.Record, reading func() (catalog.Connection, error), fetching *ahead[vault.Sealed],
) (prepared, error) {
	connection, err := reading()
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return prepared{}, &impossibleError{events.OutcomeUnconfigured}
	case err != nil:
		return prepared{}, fmt.Errorf("call: connection: %w", err)
	case connection.Disabled:
		return prepared{}, &impossibleError{events.OutcomeDisabled}
	}
	opened, err := c.Opener.Open(connection)
	switch {
	case errors.Is(err, authorization.ErrUnconfigured), errors.Is(err, authorization.ErrSecret):
		return prepared{}, &impossibleError{events.OutcomeUnconfigured}
	case err != nil:
		return prepared{}, &unreadableError{"the secrets of the connection: " + why(err)}
	}
	p := prepared{connectionID: connection.ID, secrets: opened.Secrets, oauth: opened.OAuth, certificate: opened.Certificate}
	person, err := c.person(ctx, fetching, request.Staged)
	switch {
	case errors.Is(err, vault.ErrExpired):
		return prepared{}, &impossibleError{events.OutcomeIdentityGone}
	case errors.Is(err, vault.ErrUnreadable), errors.Is(err, vault.ErrForeign):
		return prepared{}, &unreadableError{"the identity: " + why(err)}
	case err != nil:
		return prepared{}, fmt.Errorf("call: vault: %w", err)
	}
	now := c.Clock()
	if p.body, err = payload.Build(call, request, person, c.externalID(request), now); err != nil {
		return prepared{}, err
	}
	if p.header, p.tokenEnds, err = c.headers(call, now); err != nil {
		return prepared{}, err
	}
	return p, p.prove(call, now)
}

// person gives what is known of the person. It is opened here and not where it
// was read, since that takes a deeper stack than asking.
func (c *Caller) person(ctx context.Context, fetching *ahead[vault.Sealed], staged []string) (vault.Person, error) {
	sealed, err := fetching.wait()
	if err != nil {
		return vault.Person{}, err
	}
	return c.Vault.Unseal(ctx, sealed, staged)
}

// externalID opens the identifier that the caller chose.
func (c *Caller) externalID(r *record.Record) *string {
	return c.Ring.OpenText(keyring.Vault, r.Submission.SealedExternalID)
}

// prove adds what shows the receiver that the call is ours, where the
// connection asks for it.
func (p *prepared) prove(call work.Call, now time.Time) error {
	signature, err := authorization.Signature(p.secrets, call.CallID, now, p.body)
	if err != nil {
		return &impossibleError{events.OutcomeUnconfigured}
	}
	if signature != "" {
		p.header.Set("Webhook-Signature", signature)
	}
	return nil
}

// headers are those of the call itself. A call that may be answered later has
// a new reply token for every attempt.
func (c *Caller) headers(call work.Call, now time.Time) (http.Header, time.Time, error) {
	header := http.Header{}
	header.Set("Webhook-Id", call.CallID)
	header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	if call.TraceParent != "" {
		header.Set("Traceparent", call.TraceParent)
	}
	paths, scope := replyPaths(call)
	if paths == nil {
		return header, time.Time{}, nil
	}
	ends := now.Add(c.DelayTimeout).UTC().Truncate(time.Second)
	sealed, err := token.IssueReply(c.Ring, token.Reply{
		WebhookID: call.Webhook.ID, RequestID: call.RequestID, CallID: call.CallID, ID: uuid.NewString(),
		Scopes: []string{scope}, IssuedAt: now, ExpiresAt: ends,
	})
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("call: %w", err)
	}
	header.Set("Reply-To-Token", sealed)
	for _, reply := range paths {
		header.Set(reply.header, reply.path)
	}
	if c.PublicURL != "" {
		c.addAbsolute(header, call)
	}
	return header, ends, nil
}

// replyPath is a header that says where to answer later.
type replyPath struct{ header, path string }

// replyPaths gives the headers that say where to answer later, and the scope
// of the token; nil for calls that end with their answer.
func replyPaths(call work.Call) (paths []replyPath, scope string) {
	root := "/privacy-request/" + call.RequestID
	switch {
	case call.Phase == record.PreApproval:
		eligible, notEligible := root+"/pre-approve/eligible", root+"/pre-approve/not-eligible"
		return []replyPath{
			{"Reply-To-Eligible", eligible}, {"Reply-To-Not-Eligible", notEligible},
			{"Reply-To-Approve", eligible}, {"Reply-To-Deny", notEligible}, // the older names
		}, token.ScopeReview
	case call.Phase == record.Pre && call.Webhook.Direction == record.TwoWay:
		return []replyPath{{"Reply-To", root + "/resume"}}, token.ScopeResume
	}
	return nil, ""
}

// addAbsolute adds, for the reply paths, URLs that can be called as they are.
func (c *Caller) addAbsolute(header http.Header, call work.Call) {
	base := strings.TrimSuffix(c.PublicURL, "/") + "/api/v1"
	if call.Phase == record.PreApproval {
		header.Set("Reply-To-Eligible-Url", base+header.Get("Reply-To-Eligible"))
		header.Set("Reply-To-Not-Eligible-Url", base+header.Get("Reply-To-Not-Eligible"))
		return
	}
	header.Set("Reply-To-Url", base+header.Get("Reply-To"))
}
