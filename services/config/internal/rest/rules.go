package rest

import (
	"context"
	"encoding/json"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/services/config/internal/api"
	"github.com/parley-dsr/parley/services/config/internal/store"
	"github.com/parley-dsr/parley/services/config/internal/store/db"
)

const (
	classRule    = "Rule"
	actionUpdate = "update" // in the enum of the contract, and never supported
)

// UpsertRules creates or updates rules of a policy, each by itself
// (contract §3.2).
func (a *API) UpsertRules(ctx context.Context, request api.UpsertRulesRequestObject) (api.UpsertRulesResponseObject, error) {
	items := *request.Body
	if err := checkRuleKeys(items); err != nil {
		return nil, err
	}
	var bulk api.RuleBulk
	err := a.change(ctx, func(ctx context.Context, tx *store.Tx) error {
		policy, err := findPolicy(ctx, tx.Queries, request.PolicyKey)
		if err != nil {
			return err
		}
		bulk = api.RuleBulk{Succeeded: []api.Rule{}, Failed: []api.PolicyFailure{}}
		for _, item := range items {
			var row db.Rule
			err := tx.Item(ctx, func(tx *store.Tx) error {
				row, err = a.placeRule(ctx, tx, policy, item)
				return err
			})
			if text, alone := failureText(err); alone {
				bulk.Failed = append(bulk.Failed, api.PolicyFailure{Message: text, Data: failedRule(item)})
				continue
			}
			if err != nil {
				return err
			}
			bulk.Succeeded = append(bulk.Succeeded, showRule(row))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return api.UpsertRules200JSONResponse(bulk), nil
}

func checkRuleKeys(items []api.RuleItem) error {
	var problems []identity.Problem
	for i, item := range items {
		if _, err := keyOf(item.Key, item.Name); err != nil {
			problems = append(problems, invalid(badKey(), i, "name"))
		}
	}
	if len(problems) > 0 {
		return edge.Unprocessable(problems)
	}
	return nil
}

// failedRule shows an item without the configuration of its masking strategy.
func failedRule(item api.RuleItem) json.RawMessage {
	var masking *api.MaskingStrategy
	if item.MaskingStrategy != nil {
		masking = &api.MaskingStrategy{Strategy: item.MaskingStrategy.Strategy}
	}
	return asJSON(struct {
		Name                  string               `json:"name"`
		Key                   *string              `json:"key"`
		ActionType            string               `json:"action_type"`
		StorageDestinationKey *string              `json:"storage_destination_key"`
		MaskingStrategy       *api.MaskingStrategy `json:"masking_strategy"`
	}{item.Name, item.Key, item.ActionType, item.StorageDestinationKey, masking})
}

// placeRule stores an item: over the rule of its key, or as a new one.
func (a *API) placeRule(ctx context.Context, tx *store.Tx, policy db.Policy, item api.RuleItem) (db.Rule, error) {
	key, err := keyOf(item.Key, item.Name)
	if err != nil {
		return db.Rule{}, failure(badKey())
	}
	row, err := tx.Rule(ctx, key)
	known := err == nil
	switch {
	case err != nil && !isMissing(err):
		return row, err
	case known && value(item.Key) == "":
		return row, failure(keyTaken(classRule, key))
	case known && row.PolicyID != policy.ID:
		return row, failf("Rule with identifier %s belongs to another policy.", key)
	case !known:
		row = db.Rule{ID: newID("rul"), PolicyID: policy.ID, Key: key, CreatedAt: tx.Now}
	}
	if err := a.fillRule(ctx, tx, &row, item); err != nil {
		return row, err
	}
	tx.Touch(store.PolicyRef(policy.Key))
	if known {
		return row, updateRule(ctx, tx, row)
	}
	return row, createRule(ctx, tx, row)
}

// fillRule takes over what the item says, if it may stand in the policy.
func (a *API) fillRule(ctx context.Context, tx *store.Tx, row *db.Rule, item api.RuleItem) error {
	switch {
	case item.ActionType == actionUpdate:
		return failure("update Rules are not supported at this time.")
	case item.ActionType == record.ActionErasure && item.MaskingStrategy == nil:
		return failure("Erasure Rules must have masking strategies.")
	}
	if item.ActionType == record.ActionConsent {
		if err := onlyConsent(ctx, tx, *row); err != nil {
			return err
		}
	}
	taken, err := tx.RuleNameTaken(ctx, item.Name, row.ID)
	if err != nil {
		return err
	}
	if taken {
		return failure(nameTaken(classRule, item.Name))
	}
	row.Name, row.ActionType, row.UpdatedAt = item.Name, item.ActionType, tx.Now
	row.StorageDestinationKey, row.MaskingStrategy, row.SealedMaskingConfiguration = nil, nil, nil
	if item.ActionType == record.ActionAccess {
		row.StorageDestinationKey = item.StorageDestinationKey
	}
	if item.MaskingStrategy == nil {
		return nil
	}
	row.MaskingStrategy = &item.MaskingStrategy.Strategy
	if len(item.MaskingStrategy.Configuration) > 0 && string(item.MaskingStrategy.Configuration) != "null" {
		sealed, err := a.Ring.Seal(keyring.Secret, item.MaskingStrategy.Configuration)
		if err != nil {
			return err
		}
		row.SealedMaskingConfiguration = &sealed
	}
	return nil
}

func onlyConsent(ctx context.Context, tx *store.Tx, row db.Rule) error {
	rules, err := tx.RulesOfPolicies(ctx, []string{row.PolicyID})
	if err != nil {
		return err
	}
	for _, other := range rules {
		if other.ActionType == record.ActionConsent && other.ID != row.ID {
			return failf("Policies can only have one consent rule attached.  Existing rule %s found.", other.Key)
		}
	}
	return nil
}

func createRule(ctx context.Context, tx *store.Tx, row db.Rule) error {
	if err := tx.InsertRule(ctx, db.InsertRuleParams{
		ID: row.ID, PolicyID: row.PolicyID, Key: row.Key, Name: row.Name, ActionType: row.ActionType,
		StorageDestinationKey: row.StorageDestinationKey, MaskingStrategy: row.MaskingStrategy,
		SealedMaskingConfiguration: row.SealedMaskingConfiguration, Now: tx.Now,
	}); err != nil {
		return err
	}
	tx.Audit("create", "rule", row.Key)
	return nil
}

func updateRule(ctx context.Context, tx *store.Tx, row db.Rule) error {
	if err := tx.UpdateRule(ctx, db.UpdateRuleParams{
		ID: row.ID, Name: row.Name, ActionType: row.ActionType,
		StorageDestinationKey: row.StorageDestinationKey, MaskingStrategy: row.MaskingStrategy,
		SealedMaskingConfiguration: row.SealedMaskingConfiguration, Now: tx.Now,
	}); err != nil {
		return err
	}
	tx.Audit("update", "rule", row.Key)
	return nil
}

// addInlineRule stores a rule that came with its policy, and its targets.
func (a *API) addInlineRule(ctx context.Context, tx *store.Tx, policy db.Policy, item api.InlineRule) error {
	if item.ActionType == actionUpdate {
		return failure("Unsupported action_type 'update'. Must be one of: access, consent, erasure")
	}
	row, err := a.placeRule(ctx, tx, policy, api.RuleItem{
		Name: item.Name, Key: item.Key, ActionType: item.ActionType,
		StorageDestinationKey: item.StorageDestinationKey, MaskingStrategy: item.MaskingStrategy,
	})
	if err != nil || item.Targets == nil {
		return err
	}
	for _, target := range *item.Targets {
		if _, err := placeTarget(ctx, tx, policy, row, target); err != nil {
			return err
		}
	}
	return nil
}

// ListRules lists the rules of a policy, newest first.
func (a *API) ListRules(ctx context.Context, request api.ListRulesRequestObject) (api.ListRulesResponseObject, error) {
	paging := edge.PagingOf(request.Params.Page, request.Params.Size)
	var items []api.RuleDetail
	var total int64
	err := a.read(ctx, func(ctx context.Context, q *db.Queries) error {
		policy, err := findPolicy(ctx, q, request.PolicyKey)
		if err != nil {
			return err
		}
		rows, err := q.RulesPage(ctx, policy.ID, skip(paging), limit(paging))
		if err != nil {
			return err
		}
		if items, err = showRuleDetails(ctx, q, rows); err != nil {
			return err
		}
		total, err = q.CountRules(ctx, policy.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	return api.ListRules200JSONResponse(edge.NewPage(items, int(total), paging.Page, paging.Size)), nil
}

// GetRule shows one rule with its targets.
func (a *API) GetRule(ctx context.Context, request api.GetRuleRequestObject) (api.GetRuleResponseObject, error) {
	var shown []api.RuleDetail
	err := a.read(ctx, func(ctx context.Context, q *db.Queries) error {
		policy, err := findPolicy(ctx, q, request.PolicyKey)
		if err != nil {
			return err
		}
		row, err := findRule(ctx, q, policy, request.RuleKey)
		if err != nil {
			return err
		}
		shown, err = showRuleDetails(ctx, q, []db.Rule{row})
		return err
	})
	if err != nil {
		return nil, err
	}
	return api.GetRule200JSONResponse(shown[0]), nil
}

func findRule(ctx context.Context, q *db.Queries, policy db.Policy, key string) (db.Rule, error) {
	row, err := q.Rule(ctx, key)
	if isMissing(err) || err == nil && row.PolicyID != policy.ID {
		return row, edge.NotFound("No Rule found for key %s attached to policy %s", key, policy.Key)
	}
	return row, err
}

// DeleteRule deletes a rule with its targets.
func (a *API) DeleteRule(ctx context.Context, request api.DeleteRuleRequestObject) (api.DeleteRuleResponseObject, error) {
	err := a.change(ctx, func(ctx context.Context, tx *store.Tx) error {
		policy, err := findPolicy(ctx, tx.Queries, request.PolicyKey)
		if err != nil {
			return err
		}
		row, err := tx.Rule(ctx, request.RuleKey)
		if isMissing(err) || err == nil && row.PolicyID != policy.ID {
			return edge.NotFound("No Rule found for key %s on Policy %s.", request.RuleKey, policy.Key)
		}
		if err != nil {
			return err
		}
		tx.Touch(store.PolicyRef(policy.Key))
		if err := tx.DeleteRule(ctx, row.ID); err != nil {
			return err
		}
		tx.Audit("delete", "rule", row.Key)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return api.DeleteRule204Response{}, nil
}

func showRule(row db.Rule) api.Rule {
	return api.Rule{
		Name: row.Name, Key: row.Key, ActionType: row.ActionType,
		StorageDestination: showStorage(row.StorageDestinationKey), MaskingStrategy: showMasking(row.MaskingStrategy),
	}
}

// showStorage shows all that is known of a storage destination: its key.
func showStorage(key *string) *api.StorageDestination {
	if key == nil {
		return nil
	}
	return &api.StorageDestination{Key: *key}
}

func showMasking(strategy *string) *api.MaskingStrategy {
	if strategy == nil {
		return nil
	}
	return &api.MaskingStrategy{Strategy: *strategy}
}

func showRuleDetails(ctx context.Context, q *db.Queries, rows []db.Rule) ([]api.RuleDetail, error) {
	ids := make([]string, 0, len(rows))
	for _, row := range rows {
		ids = append(ids, row.ID)
	}
	targets, err := q.TargetsOfRules(ctx, ids)
	if err != nil {
		return nil, err
	}
	byRule := map[string][]api.Target{}
	for _, target := range targets {
		byRule[target.RuleID] = append(byRule[target.RuleID], showTarget(target))
	}
	shown := make([]api.RuleDetail, 0, len(rows))
	for _, row := range rows {
		rule := showRule(row)
		detail := api.RuleDetail{
			Name: rule.Name, Key: rule.Key, ActionType: rule.ActionType, Targets: byRule[row.ID],
			StorageDestination: rule.StorageDestination, MaskingStrategy: rule.MaskingStrategy,
		}
		if detail.Targets == nil {
			detail.Targets = []api.Target{}
		}
		shown = append(shown, detail)
	}
	return shown, nil
}
