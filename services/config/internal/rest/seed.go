package rest

import (
	"context"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/services/config/internal/api"
	"github.com/parley-dsr/parley/services/config/internal/store"
)

// seedName marks in the database that the first policies were put in.
const seedName = "default policies"

// Seed puts in the policies that every installation begins with
// (contract §3.1), at the first start only: what was deleted or changed since
// stays so. Their entries are published with everything else at the start.
func (a *API) Seed(ctx context.Context) error {
	_, err := a.Store.Write(ctx, "system", func(ctx context.Context, tx *store.Tx) error {
		first, err := tx.Seed(ctx, seedName, tx.Now)
		if err != nil || first == 0 {
			return err
		}
		for _, item := range defaultPolicies() {
			if _, err := tx.Policy(ctx, *item.Key); err == nil {
				continue
			} else if !isMissing(err) {
				return err
			}
			// A name that somebody took before is no reason not to start.
			if _, err := a.upsertPolicy(ctx, tx, item); err != nil {
				if _, alone := failureText(err); !alone {
					return err
				}
			}
		}
		return nil
	})
	return err
}

func defaultPolicies() []api.PolicyItem {
	access, deletion := "access", "deletion"
	return []api.PolicyItem{
		defaultPolicy("Default Access Policy", "default_access_policy", &access,
			defaultRule("Default Access Rule", "default_access_policy_rule", record.ActionAccess)),
		defaultPolicy("Default Erasure Policy", "default_erasure_policy", &deletion,
			defaultRule("Default Erasure Rule", "default_erasure_policy_rule", record.ActionErasure)),
		defaultPolicy("Default Consent Policy", "default_consent_policy", nil,
			defaultRule("Default Consent Rule", "default_consent_rule", record.ActionConsent)),
	}
}

func defaultPolicy(name, key string, drpAction *string, rule api.InlineRule) api.PolicyItem {
	const days = 45
	frame := days
	rules := []api.InlineRule{rule}
	return api.PolicyItem{Name: name, Key: &key, DrpAction: drpAction, ExecutionTimeframe: &frame, Rules: &rules}
}
