package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/stored"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/services/orchestrator/internal/api"
	"github.com/parley-dsr/parley/services/orchestrator/internal/door"
	"github.com/parley-dsr/parley/services/orchestrator/internal/intake"
	"github.com/parley-dsr/parley/services/orchestrator/internal/view"
)

// graceAfterDue is how long an identity outlives the due date of a request that
// nobody has approved.
const graceAfterDue = 30 * 24 * time.Hour

// CreateRequests takes submissions from anyone (contract §6.2).
func (s *Server) CreateRequests(ctx context.Context, r api.CreateRequestsRequestObject) (api.CreateRequestsResponseObject, error) {
	bulk, err := s.create(ctx, *r.Body, r.Params.IdempotencyKey)
	return api.CreateRequests200JSONResponse(bulk), err
}

// CreateRequestsAuthenticated takes submissions of an API client.
func (s *Server) CreateRequestsAuthenticated(ctx context.Context, r api.CreateRequestsAuthenticatedRequestObject) (api.CreateRequestsAuthenticatedResponseObject, error) {
	bulk, err := s.create(ctx, *r.Body, r.Params.IdempotencyKey)
	return api.CreateRequestsAuthenticated200JSONResponse(bulk), err
}

// create reads all items before it takes any, and then takes them at the same
// time; those with an Idempotency-Key as createOnce does.
func (s *Server) create(ctx context.Context, items []intake.Item, key *string) (api.RequestBulk, error) {
	now := s.Clock().UTC()
	requests := make([]intake.Request, len(items))
	var problems []edge.Problem
	for i, item := range items {
		read, wrong := item.Read(now, s.Ring.Hashes, "body", i)
		requests[i], problems = read, append(problems, wrong...)
	}
	if len(problems) > 0 {
		return api.RequestBulk{}, edge.Unprocessable(problems)
	}
	if err := s.admit(ctx, len(requests)); err != nil {
		return api.RequestBulk{}, err
	}
	if key != nil {
		return s.createOnce(ctx, items, requests, *key, now)
	}
	outcomes := make([]outcome, len(requests))
	atOnce(outcomes, func(i int) outcome { return s.submit(ctx, requests[i], now, naming{ids: []string{newRequestID()}}) })
	return gather(outcomes)
}

// atOnce gives every item its outcome.
func atOnce(outcomes []outcome, submit func(i int) outcome) {
	var wg sync.WaitGroup
	for i := range outcomes {
		wg.Go(func() { outcomes[i] = submit(i) })
	}
	wg.Wait()
}

// submit takes one item: the identity into the vault, then the command.
func (s *Server) submit(ctx context.Context, r intake.Request, now time.Time, as naming) outcome {
	refuse := func(format string, args ...any) outcome {
		return failed(fmt.Sprintf(format, args...), r.Echo)
	}
	if r.Person.Identity.Empty() {
		return refuse(intake.MessageNoIdentity)
	}
	key := r.Submission.PolicyKey
	policy, err := s.Catalog.Policy(ctx, key)
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return refuse("Policy with key %s does not exist", key)
	case err != nil:
		return s.unavailable(err, textNotAdded, r.Echo)
	case len(policy.Policy.Rules) == 0:
		return refuse("Policy with key %s must contain at least one Rule.", key)
	}
	c := s.command(ctx, work.Submit, as.ids[0])
	r.Submission.Origin = orNil(originFrom(ctx).header)
	r.Submission.ClientID = orNil(edge.PrincipalFrom(ctx).ClientID)
	if r.Submission.SealedExternalID, err = s.seal(r.ExternalID); err != nil {
		return s.unavailable(err, textNotAdded, r.Echo)
	}
	r.Submission.Fingerprint = as.fingerprint()
	c.Submission = &r.Submission
	life := max(dueBy(policy.Policy, r.Submission.RequestedAt, now).Add(graceAfterDue).Sub(now), s.IdentityTTL)
	put := s.Vault.Put
	if as.again() {
		put = s.Vault.PutOnce
	}
	err = put(ctx, c.RequestID, r.Person, life)
	switch {
	case errors.Is(err, vault.ErrOther):
		return outcome{err: errOtherBody()}
	case err != nil:
		return s.unavailable(err, textNotAdded, r.Echo)
	}
	return s.submitted(ctx, c, r, as)
}

const (
	textNotAdded     = "This record could not be added"
	textNotConfirmed = "The request is stored and will be processed, but that could not be confirmed in time"
	textNotKnown     = "The request may have been stored, but that could not be confirmed in time"
)

// submitted sends the command. What was not stored leaves nothing in the vault;
// what may have been stored needs its identity, and so does what another attempt
// may store at the same time.
func (s *Server) submitted(ctx context.Context, c work.Command, r intake.Request, as naming) outcome {
	answer, err := s.send(ctx, c)
	switch {
	case errors.Is(err, door.ErrNoAnswer):
		return s.unconfirmed(err, textNotConfirmed, c.RequestID)
	case errors.Is(err, door.ErrUnconfirmed):
		return s.unconfirmed(err, textNotKnown, c.RequestID)
	}
	if err == nil && answer.Accepted {
		return created(answer.Request, r.Submission)
	}
	if as.again() {
		if err == nil && answer.Code == work.RejectedExists {
			return s.taken(ctx, r, as)
		}
	} else if forget := s.Vault.Remove(context.WithoutCancel(ctx), c.RequestID, nil); forget != nil {
		s.Logger.Warn("an identity of a request that was not taken stays until it expires", "request_id", c.RequestID)
	}
	switch {
	case err != nil:
		return s.unavailable(err, textNotAdded, r.Echo)
	case answer.Code == work.RejectedPolicy:
		return failed(fmt.Sprintf("Policy with key %s does not exist", r.Submission.PolicyKey), r.Echo)
	case answer.Code == work.RejectedNoRule:
		return failed(fmt.Sprintf("Policy with key %s must contain at least one Rule.", r.Submission.PolicyKey), r.Echo)
	}
	return failed(textNotAdded, r.Echo)
}

// unconfirmed is a submission of which the caller has to look what became of it.
func (s *Server) unconfirmed(err error, message, id string) outcome {
	out := s.unavailable(err, message, named(id))
	out.maybe = id
	return out
}

func created(shown json.RawMessage, submitted record.Submission) outcome {
	var request view.Request
	if err := stored.Decode(shown, &request); err != nil {
		return outcome{err: fmt.Errorf("rest: read the answer: %w", err)}
	}
	request = view.Created(request, submitted)
	return outcome{request: &request}
}
