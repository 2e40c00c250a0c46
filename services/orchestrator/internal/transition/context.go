package transition

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/services/orchestrator/internal/lifecycle"
)

// context loads what the decision may have to look at beyond the record. It is
// read when it is needed, never kept: a decision on a stale policy would be a
// wrong one. All of it is asked for together, and what others ask for at the
// same time is shared with them, so that nobody changes it.
// It gives the identity as it lies in the vault along, for the touch.
func (l *Loop) context(ctx context.Context, rec *record.Record, in lifecycle.Input) (lifecycle.Context, vault.Sealed, error) {
	var (
		out     lifecycle.Context
		failure [4]error
	)
	id, policyKey := subjectOf(rec, in)
	policy, hooks, settings := l.Catalog.AskPolicy(ctx, policyKey), l.Catalog.AskPreApproval(ctx), l.Catalog.AskSettings(ctx)
	// An identity whose key is missing is not gone: it is for who needs it to
	// say so, and no reason to hold up its request, and in the end all, here.
	provided, err := l.Vault.Fetch(ctx, id)
	out.IdentityGone = errors.Is(err, vault.ErrExpired)
	if err != nil && !out.IdentityGone {
		failure[0] = fmt.Errorf("transition: %w", err)
	}
	out.Policy, failure[1] = policyIn(policy())
	out.PreApproval, failure[2] = webhooksIn(hooks())
	out.ManualApproval, failure[3] = l.manualApproval(settings())
	return out, provided, errors.Join(failure[:]...)
}

// policyIn is nil where there is none.
func policyIn(policy catalog.Policy, err error) (*catalog.Policy, error) {
	if errors.Is(err, catalog.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("transition: read policy: %w", err)
	}
	return &policy, nil
}

func webhooksIn(hooks catalog.PreApproval, err error) ([]record.Webhook, error) {
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return nil, fmt.Errorf("transition: read pre-approval webhooks: %w", err)
	}
	return hooks.Webhooks, nil
}

// manualApproval is the setting as the config service has published it, or the
// start value.
func (l *Loop) manualApproval(settings catalog.Settings, err error) (bool, error) {
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
