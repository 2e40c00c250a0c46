package transition

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/services/orchestrator/internal/lifecycle"
)

// context loads what the decision may have to look at beyond the record. It is
// read when it is needed, never kept: a decision on a stale policy would be a
// wrong one.
func (l *Loop) context(ctx context.Context, rec *record.Record, in lifecycle.Input) (lifecycle.Context, error) {
	var out lifecycle.Context
	id, policyKey := subjectOf(rec, in)
	policy, err := l.Catalog.Policy(ctx, policyKey)
	switch {
	case err == nil:
		out.Policy = &policy
	case !errors.Is(err, catalog.ErrNotFound):
		return out, fmt.Errorf("transition: read policy: %w", err)
	}
	hooks, err := l.Catalog.PreApproval(ctx)
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return out, fmt.Errorf("transition: read pre-approval webhooks: %w", err)
	}
	out.PreApproval = hooks.Webhooks
	out.ManualApproval, err = l.manualApproval(ctx)
	if err != nil {
		return out, err
	}
	// An identity whose key is missing is not gone: it is for who needs it to
	// say so, and no reason to hold up its request, and in the end all, here.
	known, err := l.Vault.Knows(ctx, id)
	if err != nil {
		return out, fmt.Errorf("transition: %w", err)
	}
	out.IdentityGone = !known
	return out, nil
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
