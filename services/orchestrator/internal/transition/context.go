package transition

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/services/orchestrator/internal/lifecycle"
)

// context loads what the decision may have to look at beyond the record. It is
// read when it is needed, never kept: a decision on a stale policy would be a
// wrong one. All of it is asked for together.
func (l *Loop) context(ctx context.Context, rec *record.Record, in lifecycle.Input) (lifecycle.Context, error) {
	var (
		out     lifecycle.Context
		asked   sync.WaitGroup
		failure [4]error
		known   bool
	)
	id, policyKey := subjectOf(rec, in)
	asked.Go(func() { out.Policy, failure[0] = l.policy(ctx, policyKey) })
	asked.Go(func() { out.PreApproval, failure[1] = l.preApproval(ctx) })
	asked.Go(func() { out.ManualApproval, failure[2] = l.manualApproval(ctx) })
	// An identity whose key is missing is not gone: it is for who needs it to
	// say so, and no reason to hold up its request, and in the end all, here.
	if known, failure[3] = l.Vault.Knows(ctx, id); failure[3] != nil {
		failure[3] = fmt.Errorf("transition: %w", failure[3])
	}
	asked.Wait()
	out.IdentityGone = !known
	return out, errors.Join(failure[:]...)
}

// policy is nil where there is none.
func (l *Loop) policy(ctx context.Context, key string) (*catalog.Policy, error) {
	policy, err := l.Catalog.Policy(ctx, key)
	if errors.Is(err, catalog.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("transition: read policy: %w", err)
	}
	return &policy, nil
}

func (l *Loop) preApproval(ctx context.Context) ([]record.Webhook, error) {
	hooks, err := l.Catalog.PreApproval(ctx)
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return nil, fmt.Errorf("transition: read pre-approval webhooks: %w", err)
	}
	return hooks.Webhooks, nil
}

// manualApproval is the setting as the config service has published it, or the
// start value.
func (l *Loop) manualApproval(ctx context.Context) (bool, error) {
	settings, err := l.Catalog.Settings(ctx)
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return false, fmt.Errorf("transition: read settings: %w", err)
	}
	if settings.RequireManualRequestApproval != nil {
		return *settings.RequireManualRequestApproval, nil
	}
	return l.ManualApproval, nil
}

// subjectOf names the request and the policy that an input is about.
func subjectOf(rec *record.Record, in lifecycle.Input) (id, policyKey string) {
	switch {
	case rec != nil:
		return rec.ID, rec.Submission.PolicyKey
	case in.Command != nil && in.Command.Submission != nil:
		return in.Command.RequestID, in.Command.Submission.PolicyKey
	}
	return "", ""
}
